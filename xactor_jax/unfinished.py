"""Files and folders that are being written: whatever ends the program, nothing half-written stays.

An error or Ctrl-C unwinds the program, which removes them on its way. SIGTERM ends it at once, for an exception may come up in
the midst of a library's native code and crash it; so its handler has to know what is being written, and a list of that is kept
here for the whole process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from etils import epath

from xactor_jax.paths import is_remote

_WRITING: list[str] = []


@contextlib.contextmanager
def removed_on_error(*paths: epath.PathLike) -> Iterator[None]:
    """Removes files and folders, where they have been written, if what is inside fails; what was there before stays."""
    new = [str(path) for path in paths if path and not epath.Path(path).exists()]
    _WRITING.extend(new)
    try:
        yield
    except BaseException:
        for path in new:
            _remove(path)
        raise
    finally:
        for path in new:
            _WRITING.remove(path)


@contextlib.contextmanager
def removed_at_end(path: epath.PathLike) -> Iterator[None]:
    """Removes a file or folder after what is inside, however that ends."""
    _WRITING.append(str(path))
    try:
        yield
    finally:
        _remove(str(path))
        _WRITING.remove(str(path))


def _remove(path: str) -> None:
    if is_remote(path):
        epath.Path(path).unlink(missing_ok=True)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def write_whole(path: epath.PathLike, data: bytes | str) -> None:
    """Writes a small file that is never seen half-written: moved into place locally, put in one piece on gs://."""
    path = epath.Path(path)
    data = data.encode() if isinstance(data, str) else data
    if is_remote(path):
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with removed_on_error(temporary):
        temporary.write_bytes(data)
        temporary.replace(path)


def end_at_once(status: int) -> None:
    """Ends this process and those that it started through `multiprocessing`; what they were writing is removed."""
    for child in multiprocessing.active_children():
        child.kill()
    for path in [path for path in _WRITING if not is_remote(path)]:
        _remove(path)
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # a progress bar hides the cursor
    os._exit(status)


class _End:
    """What is done on SIGTERM; the class tells it from what others do then."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, *_: object) -> None:
        end_at_once(self._status)


def end_on_sigterm(status: int) -> Any:
    """From now on SIGTERM ends the program at once, with `status`; returns what was done until now."""
    return signal.signal(signal.SIGTERM, _End(status))


@contextlib.contextmanager
def ended_by_sigterm(status: int = 128 + signal.SIGTERM) -> Iterator[None]:
    """SIGTERM ends the program at once, with `status`, while it is inside and nothing else listens for the signal.

    Python calls what listens between two lines of its own, which may be minutes away in a library that compiles or waits for
    another process: so a thread hears of the signal, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    threading.Thread(target=_listen, args=(heard,), daemon=True).start()
    woken, before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False), end_on_sigterm(status)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        told.close()


def _listen(heard: socket.socket) -> None:
    """Reads the numbers of signals until the other end is closed."""
    with heard:
        while numbers := heard.recv(64):
            listener = signal.getsignal(signal.SIGTERM)
            if signal.SIGTERM in numbers and isinstance(listener, _End):
                listener()
