"""Folders in which something is written before it is moved to its place whole."""

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
"""File in such a folder that is locked as long as its process lives."""


@contextlib.contextmanager
def scratch(target: epath.PathLike) -> Iterator[epath.Path]:
    """A new folder to write `target` in: beside a local one, from where it can be renamed, else in the system's place.

    It is removed at the end; those that killed processes left for the same target are removed at the beginning. Raises
    `UserError` where nothing can be written.
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
    """A new folder and its lock. Until it is locked another process may take it for one that was left, and remove it."""
    while True:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = (folder / LOCK).open("ab")
        with contextlib.suppress(OSError):  # a file system without locks, where nothing is removed
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():
            return folder, lock
        lock.close()


def _remove_left(parent: pathlib.Path, prefix: str) -> None:
    """Removes folders whose lock nobody holds. Those without a lock are not ours, or about to get it."""
    for lock in [path / LOCK for path in parent.iterdir() if path.name.startswith(prefix)]:
        with contextlib.suppress(OSError), lock.open("rb+") as file:
            if try_to_lock(file):
                shutil.rmtree(lock.parent, ignore_errors=True)
