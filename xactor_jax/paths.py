"""Local and remote paths: every place that takes a local path takes `gs://` too, and these are the two that differ."""

from __future__ import annotations

import contextlib
import os
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


def at_home(text: str) -> str:
    """A word of a command line with ~ for the home folder written out, also after `--option=`, where shells leave it alone."""
    option, equals, value = text.rpartition("=") if text.startswith("-") else ("", "", text)
    return f"{option}{equals}{os.path.expanduser(value)}"


def place_of(path: epath.PathLike) -> str:
    """The one name of the place that a path leads to, through links and `..`."""
    if is_remote(path):
        return str(epath.Path(path))
    with contextlib.suppress(ValueError):  # of a path with a NUL in it, which leads nowhere
        return os.path.realpath(os.path.expanduser(path))
    return str(path)


def same_file(first: epath.PathLike, second: epath.PathLike) -> bool:
    """Whether two paths lead to one file, however they are written."""
    if place_of(first) == place_of(second):
        return True
    try:
        return not is_remote(first) and not is_remote(second) and os.path.samefile(first, second)
    except (OSError, ValueError):  # one of them is not there
        return False


def readable(path: epath.PathLike) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 are spelt out."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")
