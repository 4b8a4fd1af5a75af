"""Temporary folders: a result is written there and moved to its final place when it is complete."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.locks import try_to_lock
from xactor_jax.paths import is_remote
from xactor_jax.unfinished import removed_at_end

LOCK = ".in_use"
"""File in a temporary folder that is locked as long as the process that uses the folder runs."""


@contextlib.contextmanager
def scratch(target: epath.PathLike) -> Iterator[epath.Path]:
    """A new temporary folder for writing `target`.

    For a local target it is in the same parent folder, so that the result can be moved by a rename; for a remote target it is
    in the system's folder for temporary files. It is removed at the end. Folders of killed processes for the same target are
    removed at the start. Raises `UserError` if the parent folder cannot be written to.
    """
    place = epath.Path(target)
    parent, prefix = pathlib.Path(tempfile.gettempdir() if is_remote(place) else place.parent), f".{place.name}."
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left(parent, prefix)
        folder, lock = _claimed(parent, prefix)
    except OSError as error:
        raise UserError(f"cannot write to {parent} ({error.strerror}): choose a folder that you may write to.") from error
    with lock, removed_at_end(folder):
        yield epath.Path(folder)


def _claimed(parent: pathlib.Path, prefix: str) -> tuple[pathlib.Path, IO[bytes]]:
    """A new folder and its lock. Tries again if another process removed the folder, as abandoned, before it was locked."""
    while True:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = (folder / LOCK).open("ab")
        with contextlib.suppress(OSError):  # a file system without locks; there `_remove_left` removes nothing
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():
            return folder, lock
        lock.close()


def _remove_left(parent: pathlib.Path, prefix: str) -> None:
    """Removes folders whose lock no process holds. Folders without a lock file are not ours, or were only just created."""
    for lock in [path / LOCK for path in parent.iterdir() if path.name.startswith(prefix)]:
        with contextlib.suppress(OSError), lock.open("rb+") as file:
            if try_to_lock(file):
                shutil.rmtree(lock.parent, ignore_errors=True)
