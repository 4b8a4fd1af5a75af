"""Local and remote paths: every place that takes a local path takes `gs://` too, and these are the two that differ."""

from __future__ import annotations

import pathlib

from etils import epath

REPOSITORY = pathlib.Path(__file__).parents[1]
"""The folder that holds this package, configs/ and launch/."""


def is_remote(path: epath.PathLike) -> bool:
    """Whether a path names a store such as gs://, where nothing can be renamed or mapped into memory."""
    return "://" in str(path)


def absolute(path: epath.PathLike) -> epath.Path:
    """The path from the root; a remote one has its root in it."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).expanduser().absolute()
