"""One of several processes under a guard: whatever ends it, it ends with one sentence and a status that says what to do.

When a process of a job is lost, the runtime of the others aborts them from threads of its own, out of reach of Python. So
the program of one of several processes is run as a child; its guard passes signals on, waits, and turns such an end into a
sentence.
Nothing here imports JAX: the guard stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xactor_jax.errors import verdict
from xactor_jax.unfinished import end_on_sigterm

RESTART = 75
"""Exit status of a run that is to be started again: EX_TEMPFAIL of sysexits.h, "try again later".

Not 0, for the run is not done; not 1 or 2, which a restart does not put right; and not 128 + a signal, which also means a
person or a lack of memory.
"""

LEAVING_SECONDS = 15.0
"""A process that fails waits so long for the others to fail in the same way: who sees it gone says no more than that."""

SERVICE_SECONDS = 2.0
"""The process that holds JAX's service stays so much longer, when all others have taken leave of it."""

PASSED_ON = (signal.SIGTERM, signal.SIGINT)

GUARDED = "XACTOR_JAX_GUARD"
"""Environment variable with the guard's process id, in the child."""

LOST = (
    "error: a process of this run was lost (it was killed, or its machine is gone), so this one ends too: start all of them "
    "again with the same command, and they go on from what is saved."
)
SIGNS = ("gloo", "nccl", "connection reset by peer", "socket closed", "heartbeat", "coordination", "unavailable:")
"""What errors of the runtime say, in lower case, when another process is gone."""


def guard(several: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Call first: with several processes it starts the program again as a child and ends as `status_of` says of the child.

    Returns in the child, which ends when its guard does, and where there is one process alone. SIGTERM ends that one with
    `RESTART` until the trainer, which has something to save, listens for it; at once, for an exception may come up in the
    midst of a library's native code and crash it.
    """
    if not several or environ.get(GUARDED):
        end_on_sigterm(RESTART)
    if not several:
        return
    if parent := environ.get(GUARDED):
        _end_with(int(parent))
        return
    status, sentence = status_of(run_child([sys.executable, *sys.orig_argv[1:]], {**environ, GUARDED: str(os.getpid())}))
    if sentence:
        print(sentence, file=sys.stderr, flush=True)
    sys.exit(status)


def run_child(command: Sequence[str], environ: Mapping[str, str] = os.environ, folder: str | os.PathLike = ".") -> int:
    """Runs a program to its end, which alone is told of SIGTERM and Ctrl-C; its status, or -(the signal that ended it)."""
    child = subprocess.Popen(command, env=dict(environ), cwd=folder, process_group=0)
    before = {number: signal.signal(number, lambda sent, _: child.send_signal(sent)) for number in PASSED_ON}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_of(returncode: int) -> tuple[int, str]:
    """(exit status, sentence) for a child that ended with a status or, negative, by a signal.

    An abort is how the runtime ends a process when another is lost; SIGTERM comes before the program can save anything.
    """
    if returncode == -signal.SIGABRT:
        return RESTART, LOST
    if returncode == -signal.SIGTERM:
        return RESTART, ""
    if returncode < 0:
        return 128 - returncode, f"error: this process of the run was ended by {signal.Signals(-returncode).name}."
    return returncode, ""


def _end_with(parent: int) -> None:
    """Has the system kill this process when its parent ends (on Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(RESTART)


def is_loss(error: BaseException) -> bool:
    """Whether an error of the runtime says that another process is gone."""
    return any(sign in str(error).lower() for sign in SIGNS) and type(error).__module__.startswith(("builtins", "jax"))


@contextlib.contextmanager
def leaving_at_once(several: bool) -> Iterator[None]:
    """One of several processes that fails does not wait for the others, which would wait for it; they are lost without it.

    With one process alone errors pass through.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not several:
            raise
        status, sentence = _told(error)
        print(sentence, file=sys.stderr, flush=True)
        _leave(status, LEAVING_SECONDS if status in (1, 2) else 0.0)


def _told(error: BaseException) -> tuple[int, str]:
    """(exit status, what to print) for an error."""
    if told := verdict(error):
        return told
    if isinstance(error, KeyboardInterrupt):
        return 130, "error: stopped at once, without saving: the same command goes on from what is saved."
    if is_loss(error):
        return RESTART, LOST
    sys.excepthook(type(error), error, error.__traceback__)
    return 1, "error: this process of the run failed as told above, and the others end with it."


def _leave(status: int, seconds: float) -> None:
    """Ends this process; others that make the same mistake get time to tell it too."""
    if seconds and (distributed := sys.modules.get("jax._src.distributed")) and distributed.global_state.client:
        with contextlib.suppress(Exception):
            _leave_together(distributed.global_state, round(1000 * seconds))
    sys.stdout.flush()
    os._exit(status)


def _leave_together(joined: Any, milliseconds: int) -> None:
    """Waits until all processes leave, then takes leave of JAX's service: the runtime aborts who has not when it ends."""
    joined.client.wait_at_barrier("leaving", milliseconds)
    joined.client.shutdown()
    if joined.process_id == 0:  # which holds the service; an answer of it may be on its way to the others
        time.sleep(SERVICE_SECONDS)
