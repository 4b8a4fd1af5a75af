"""Local and remote paths. Every function that takes a local path takes `gs://` too."""

from __future__ import annotations

import contextlib
import os
import pathlib

from etils import epath

REPOSITORY = pathlib.Path(__file__).parents[1]
"""The folder that holds this package, configs/ and launch/."""


def is_remote(path: epath.PathLike) -> bool:
    """Whether a path is in a store such as gs://, where files cannot be renamed or mapped into memory."""
    return "://" in str(path)


def absolute(path: epath.PathLike) -> epath.Path:
    """The absolute path; a remote path is absolute already."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).expanduser().absolute()


def at_home(text: str) -> str:
    """Expands ~ in a word of a command line, also after `--option=`, where shells do not expand it."""
    option, equals, value = text.rpartition("=") if text.startswith("-") else ("", "", text)
    return f"{option}{equals}{os.path.expanduser(value)}"


def place_of(path: epath.PathLike) -> str:
    """The path with links and `..` resolved, so that two paths to one place are equal."""
    if is_remote(path):
        return str(epath.Path(path))
    with contextlib.suppress(ValueError):  # raised for a path with a NUL character, which cannot exist
        return os.path.realpath(os.path.expanduser(path))
    return str(path)


def same_file(first: epath.PathLike, second: epath.PathLike) -> bool:
    """Whether two paths lead to the same file, also if they are written differently."""
    if place_of(first) == place_of(second):
        return True
    try:
        return not is_remote(first) and not is_remote(second) and os.path.samefile(first, second)
    except (OSError, ValueError):  # one of the files does not exist
        return False


def readable(path: epath.PathLike) -> str:
    """A path as text that can always be written: bytes that are not UTF-8 become escapes."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")
