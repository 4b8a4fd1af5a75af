"""Removes half-written files and folders, however the program ends.

An error or Ctrl-C raises an exception, and context managers remove the files. SIGTERM ends the process at once, because an
exception raised inside a library's native code may crash it. Its handler needs to know which files are being written, so this
module keeps a list of them for the whole process.
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
    """Removes these files and folders if the body fails. Those that existed before stay."""
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
    """Removes a file or folder after the body, also if the body fails."""
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
    """Writes a small file so that readers never see half of it: by a rename locally, by a single upload on gs://."""
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
    """Ends this process and the processes that it started through `multiprocessing`, and removes their unfinished files."""
    for child in multiprocessing.active_children():
        child.kill()
    for path in [path for path in _WRITING if not is_remote(path)]:
        _remove(path)
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # a progress bar hides the cursor
    os._exit(status)


class _End:
    """The handler of SIGTERM. It is a class so that `_listen` can recognise it among other handlers."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, *_: object) -> None:
        end_at_once(self._status)


def end_on_sigterm(status: int) -> Any:
    """Makes SIGTERM end the program at once with `status`. Returns the previous handler."""
    return signal.signal(signal.SIGTERM, _End(status))


@contextlib.contextmanager
def ended_by_sigterm(status: int = 128 + signal.SIGTERM) -> Iterator[None]:
    """Within the body, SIGTERM ends the program at once with `status`, unless other code sets another handler.

    Python calls a signal handler only between two of its own instructions. A library that compiles or waits for another process
    may delay that by minutes. So a thread receives the signal, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    threading.Thread(target=_listen, args=(receiver,), daemon=True).start()
    woken, before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False), end_on_sigterm(status)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        sender.close()


def _listen(receiver: socket.socket) -> None:
    """Reads signal numbers until the other end is closed, and calls our handler on SIGTERM."""
    with receiver:
        while numbers := receiver.recv(64):
            handler = signal.getsignal(signal.SIGTERM)
            if signal.SIGTERM in numbers and isinstance(handler, _End):
                handler()
