"""File locks between threads and processes. The kernel holds them, so a lock is released when its process ends."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import time
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def locked(path: pathlib.Path, how: int = fcntl.LOCK_EX) -> Iterator[IO[bytes]]:
    """Holds the lock of a file, which is created if needed. Raises BlockingIOError if `how` says not to wait."""
    with path.open("ab") as file:
        fcntl.flock(file, how)
        yield file


def try_to_lock(file: IO[bytes], seconds: float = 0.0) -> bool:
    """Tries to lock an open file until it is closed, and returns whether it did. Raises OSError on file systems without locks.

    seconds: how long to wait for another process; one that was killed may need a moment to end.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
