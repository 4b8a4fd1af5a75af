"""Guards one of several processes, so that it always ends with one sentence and an exit status that says what to do.

If a process of a job is lost, JAX's runtime aborts the others from its own threads, where Python cannot intervene. So each
process runs its program as a child. The guard passes signals on to the child, waits for its end, and reports an abort in one
sentence. Nothing here imports JAX, so that the guard needs little memory.
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
"""Exit status of a run that must be started again: EX_TEMPFAIL of sysexits.h, "try again later".

It is not 0, because the run is not finished; not 1 or 2, which a restart does not fix; and not 128 + a signal, which may also
mean that a person stopped the run or that memory was exhausted.
"""

LEAVING_SECONDS = 15.0
"""A failing process waits this long for the others to report the same failure. After it ends, they report only its loss."""

SERVICE_SECONDS = 2.0
"""The process that runs JAX's service waits this much longer after all others have disconnected."""

PASSED_ON = (signal.SIGTERM, signal.SIGINT)

GUARDED = "XACTOR_JAX_GUARD"
"""Environment variable with the guard's process id, in the child."""

LOST = (
    "error: a process of this run was lost (it was killed, or its machine is gone), so this one ends too: start all of them "
    "again with the same command, and they go on from what is saved."
)
SIGNS = ("gloo", "nccl", "connection reset by peer", "socket closed", "heartbeat", "coordination", "unavailable:")
"""Words in the runtime's error messages, in lower case, that mean that another process is lost."""


def guard(several: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Call this first. With several processes it runs the program again as a child and exits with the status of `status_of`.

    It returns in the child, which ends when its guard ends, and in a single process. There SIGTERM ends the program with
    `RESTART`, until the trainer, which must save a checkpoint, sets its own handler. SIGTERM ends the program at once, because
    an exception raised inside a library's native code may crash it.
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
    """Runs a program to its end. SIGTERM and Ctrl-C are passed on to it. Returns its status, or -(signal that ended it)."""
    child = subprocess.Popen(command, env=dict(environ), cwd=folder, process_group=0)
    before = {number: signal.signal(number, lambda sent, _: child.send_signal(sent)) for number in PASSED_ON}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_of(returncode: int) -> tuple[int, str]:
    """(exit status, sentence) for a child that ended with a status or, negative, by a signal."""
    if returncode == -signal.SIGABRT:  # how JAX's runtime ends a process when another is lost
        return RESTART, LOST
    if returncode == -signal.SIGTERM:  # sent before the trainer's handler was set, so there was nothing to save
        return RESTART, ""
    if returncode < 0:
        return 128 - returncode, f"error: this process of the run was ended by {signal.Signals(-returncode).name}."
    return returncode, ""


def _end_with(parent: int) -> None:
    """Makes the system kill this process when its parent ends (on Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(RESTART)


def is_loss(error: BaseException) -> bool:
    """Whether an error of the runtime means that another process is lost."""
    return any(sign in str(error).lower() for sign in SIGNS) and type(error).__module__.startswith(("builtins", "jax"))


@contextlib.contextmanager
def leaving_at_once(several: bool) -> Iterator[None]:
    """Ends one of several processes at once if it fails, because otherwise it and the others would wait for each other.

    In a single process, errors pass through.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not several:
            raise
        status, sentence = _report(error)
        print(sentence, file=sys.stderr, flush=True)
        _leave(status, LEAVING_SECONDS if status in (1, 2) else 0.0)


def _report(error: BaseException) -> tuple[int, str]:
    """(exit status, sentence to print) for an error."""
    if reported := verdict(error):
        return reported
    if isinstance(error, KeyboardInterrupt):
        return 130, "error: stopped at once, without saving: the same command goes on from what is saved."
    if is_loss(error):
        return RESTART, LOST
    sys.excepthook(type(error), error, error.__traceback__)
    return 1, "error: this process of the run failed with the error above, and the others end with it."


def _leave(status: int, seconds: float) -> None:
    """Ends this process after `seconds`, in which other processes can report the same error."""
    if seconds and (distributed := sys.modules.get("jax._src.distributed")) and distributed.global_state.client:
        with contextlib.suppress(Exception):
            _leave_together(distributed.global_state, round(1000 * seconds))
    sys.stdout.flush()
    os._exit(status)


def _leave_together(joined: Any, milliseconds: int) -> None:
    """Waits until all processes leave, then disconnects from JAX's service.

    The runtime aborts processes that are still connected when the service ends.
    """
    joined.client.wait_at_barrier("leaving", milliseconds)
    joined.client.shutdown()
    if joined.process_id == 0:  # runs the service, whose last replies to the others may still be in transit
        time.sleep(SERVICE_SECONDS)
