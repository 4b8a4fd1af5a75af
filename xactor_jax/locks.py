"""Locks among the threads and processes that share a file system. They are the kernel's, so none outlives its process."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import time
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def locked(path: pathlib.Path, how: int = fcntl.LOCK_EX) -> Iterator[IO[bytes]]:
    """Holds the lock of a file, which is made. Raises BlockingIOError where `how` says not to wait."""
    with path.open("ab") as file:
        fcntl.flock(file, how)
        yield file


def try_to_lock(file: IO[bytes], seconds: float = 0.0) -> bool:
    """Whether the open file is locked now, until it is closed. Raises OSError on file systems without locks.

    seconds: how long to wait for another process, which may have been killed and be about to end.
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
