"""Local and remote paths: every place that takes a local path takes `gs://` too, and these are the two that differ."""

from __future__ import annotations

import os
import pathlib

from etils import epath

from xactor_jax.errors import UserError

REPOSITORY = pathlib.Path(__file__).parents[1]
"""The folder that holds this package, configs/ and launch/."""


def is_remote(path: epath.PathLike) -> bool:
    """Whether a path names a store such as gs://, where nothing can be renamed or mapped into memory."""
    return "://" in str(path)


def absolute(path: epath.PathLike) -> epath.Path:
    """The path from the root; a remote one has its root in it."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).expanduser().absolute()


def check_path(path: str, what: str) -> None:
    """Raises `UserError` naming `what` unless a file, local or in gs://, can have such a path."""
    scheme, remote, _ = path.partition("://")
    if remote and scheme != "gs":
        raise UserError(f"the {what} {path} is neither a local file nor in gs://: name one that is.")
    try:
        if b"\0" in os.fsencode(path) or not epath.Path(path).name:
            raise ValueError
    except ValueError:
        raise UserError(f"the {what} {path!r} is no path of a file: name one.") from None
