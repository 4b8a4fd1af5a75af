"""Checks that files and folders can be written, before the work whose results they hold."""

from __future__ import annotations

import os
import pathlib

from etils import epath

from xactor_jax.errors import UserError, first_line
from xactor_jax.paths import is_remote


def check_target(path: epath.PathLike, suffix: str) -> None:
    """Raises `UserError` unless a file with that suffix can be written at `path`. It tries to write an empty file beside it."""
    target = epath.Path(path)
    remote = is_remote(path)
    if target.suffix.lower() != suffix:
        raise UserError(f"{path} does not end in {suffix}: give the file a name that does.")
    if not remote and not target.parent.is_dir():
        raise UserError(f"the folder {target.parent} does not exist: make it, or name another place for {target.name}.")
    if not remote and target.is_dir():
        raise UserError(f"{path} is a folder: name a file.")
    probe = target.with_name(f".{target.name}.{os.getpid()}.probe")
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except Exception as error:  # remote stores raise errors of any kind
        raise UserError(f"{target.parent} cannot be written to ({first_line(error)}): name another folder.") from None


def make_folder(path: epath.PathLike) -> epath.Path:
    """Creates the folder of a report if needed.

    Raises:
        UserError: it cannot be made or written to.
    """
    folder = epath.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unmade(path, error) from None
    check_target(folder / "report.json", ".json")
    return folder


def make_local_folder(path: str) -> pathlib.Path:
    """Creates a local folder, for files that are appended to or mapped. Raises `UserError` also if the path is remote."""
    folder = pathlib.Path(path)
    try:
        if is_remote(path):
            raise OSError("it is not on this machine")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unmade(path, error) from None
    return folder


def _unmade(path: epath.PathLike, error: OSError) -> UserError:
    return UserError(f"the folder {path} cannot be made ({error}): name another one with --out.")
