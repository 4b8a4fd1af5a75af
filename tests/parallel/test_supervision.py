"""A guard and its child as real programs, without JAX."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from xactor_jax.errors import UserError
from xactor_jax.parallel import supervision
from xactor_jax.parallel.supervision import LOST, RESTART

PROGRAM = """
import os, signal, sys, time
from xactor_jax.parallel import supervision
supervision.guard(True)
print(os.getpid(), flush=True)
exec(sys.argv[1])
"""


def guarded(repository: pathlib.Path, what: str) -> subprocess.Popen[str]:
    """A guard whose child does something, and has printed its id."""
    pipe, command = subprocess.PIPE, [sys.executable, "-c", PROGRAM, what]
    return subprocess.Popen(command, cwd=repository, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("pass", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("os.abort()", RESTART, LOST + "\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", RESTART, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "error: this process of the run was ended by SIGKILL.\n"),
    ],
)
def test_how_a_child_ends(repository: pathlib.Path, what: str, status: int, said: str) -> None:
    process = guarded(repository, what)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(repository: pathlib.Path, number: signal.Signals) -> None:
    catch = f"signal.signal({int(number)}, lambda *_: sys.exit(7)); print('ready', flush=True); time.sleep(60)"
    process = guarded(repository, catch)
    assert process.stdout is not None and process.stdout.readline() and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(timeout=60) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="the system must end a process with its parent")
def test_the_child_of_a_killed_guard_ends(repository: pathlib.Path) -> None:
    process = guarded(repository, "time.sleep(60)")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("what", "status"), [("pass", 0), ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", RESTART), ("sys.exit(2)", 2)]
)
def test_a_single_process_has_no_guard_and_asks_for_a_restart_by_itself(
    repository: pathlib.Path, what: str, status: int
) -> None:
    """Before anything is set up there is nothing to save, and nothing is wrong; no exit hook runs, whatever was cut short."""
    program = PROGRAM.replace("guard(True)", "guard(False)")
    what = f"import atexit; atexit.register(print, 'hook'); {what}"
    process = subprocess.Popen([sys.executable, "-c", program, what], cwd=repository, stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status
    assert said.split() == [str(process.pid)] + ([] if status == RESTART else ["hook"])


def test_a_single_process_lets_errors_through() -> None:
    with pytest.raises(UserError, match="wrong"), supervision.leaving_at_once(False):
        raise UserError("wrong")


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (
            ValueError("UNKNOWN: Gloo AllGather failed: [external/gloo/tcp/pair.cc:538] Read error: Connection reset by peer"),
            True,
        ),
        (RuntimeError("UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats)"), True),
        (ValueError("the task wants x: (4, 8) and the data gives (4, 9)"), False),
    ],
)
def test_which_errors_say_that_another_process_is_gone(error: Exception, loss: bool) -> None:
    assert supervision.is_loss(error) == loss


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        ("UserError('no data')", 2, "error: no data\n"),
        ("RuntimeError('Gloo failed')", RESTART, LOST + "\n"),
        (
            "KeyboardInterrupt()",
            130,
            "error: stopped at once, without saving: the same command goes on from what is saved.\n",
        ),
    ],
)
def test_a_failing_process_leaves_without_waiting(repository: pathlib.Path, raised: str, status: int, said: str) -> None:
    """The exit hooks, in which JAX waits for the others, are not run."""
    program = (
        "import atexit\nfrom xactor_jax.errors import UserError\nfrom xactor_jax.parallel import supervision\n"
        f"atexit.register(print, 'waited')\nwith supervision.leaving_at_once(True):\n    raise {raised}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, env={**os.environ})
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)
