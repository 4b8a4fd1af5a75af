"""Jobs that end well, raise, crash and hang."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

from data.jobs import run_jobs


def work(job: str) -> str:
    if job == "raise":
        raise ValueError("bad file")
    if job == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if job == "hang":
        time.sleep(600)
    return f"{job} done"


def test_no_job_stops_the_others():
    jobs = ["a", "crash", "b", "raise", "hang", "c"]
    outcomes = {outcome.job: outcome for outcome in run_jobs(work, jobs, processes=2, timeout=8.0)}
    assert sorted(outcomes) == sorted(jobs)
    assert all(outcomes[job].result == f"{job} done" and not outcomes[job].failure for job in "abc")
    assert outcomes["raise"].failure == "ValueError: bad file"
    assert "died (exit code -11)" in outcomes["crash"].failure
    assert outcomes["hang"].failure == "took longer than 8 s"


def test_here_without_processes():
    assert [outcome.result for outcome in run_jobs(work, ["a", "b"], processes=0, timeout=1.0)] == ["a done", "b done"]


def test_no_jobs():
    assert list(run_jobs(work, [], processes=2, timeout=1.0)) == []


def test_processes_end_with_the_caller():
    others = set(multiprocessing.active_children())
    outcomes = run_jobs(work, ["a", "hang"], processes=2, timeout=60.0)
    assert next(outcomes).job == "a" and set(multiprocessing.active_children()) > others
    outcomes.close()
    assert set(multiprocessing.active_children()) <= others


def blocked(_: str) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_even_the_first_process_ignores_ctrl_c(repository: pathlib.Path) -> None:
    """In an interpreter that has started no process yet."""
    program = "from data.jobs import run_jobs; from tests.data.test_isolation import blocked\n"
    program += "if __name__ == '__main__': print([o.result for o in run_jobs(blocked, ['a', 'b'], processes=2, timeout=60.0)])"
    ended = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "[True, True]\n", ended.stderr
