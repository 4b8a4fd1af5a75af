"""Whatever ends a program, nothing half-written stays."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from xactor_jax.unfinished import removed_on_error, write_whole

FILES = """
with exit_on_user_error(), removed_on_error(folder / ".v.json.partial", folder / ".out"):
    (folder / ".out").mkdir()
    (folder / ".out" / "x").write_text("half")
    (folder / ".v.json.partial").write_text("half")
    end()
"""

VIDEO = """
from xactor_jax.media.video_io import VideoWriter
with exit_on_user_error(), VideoWriter(folder / "v.mp4", 64) as writer:
    writer.write(np.zeros((3, 64, 64, 3), np.uint8))
    end()
"""

WORKERS = """
from data.jobs import run_jobs
def work(_):
    end()
    time.sleep(60)
if __name__ == "__main__":
    with exit_on_user_error():
        list(run_jobs(work, [1, 2], processes=2, timeout=60.0))
"""

PROGRAM = """
import os, pathlib, signal, sys, time
import numpy as np
from xactor_jax.errors import exit_on_user_error
from xactor_jax.unfinished import removed_on_error
folder = pathlib.Path(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell turns off in what it runs in the background
def end():  # Ctrl-C reaches all processes of a terminal
    os.killpg(0, signal.SIGINT) if sys.argv[1] == "SIGINT" else os.kill(os.getpgid(0), signal.SIGTERM)
"""


@pytest.mark.parametrize("writing", [FILES, VIDEO, WORKERS], ids=["files", "video", "workers"])
@pytest.mark.parametrize(("name", "status", "said"), [("SIGTERM", 143, ""), ("SIGINT", 130, "stopped\n")])
def test_signals_leave_neither_files_nor_tracebacks(
    repository: pathlib.Path, tmp_path: pathlib.Path, writing: str, name: str, status: int, said: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + writing)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.mp4").write_text("of an earlier run")
    command = [sys.executable, str(tmp_path / "program.py"), name, str(tmp_path / "out")]
    how = dict(capture_output=True, text=True, timeout=120, start_new_session=True)
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(repository)}, **how)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", said)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept.mp4"]


def test_ctrl_c_while_a_program_still_imports_is_no_traceback(repository: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A name that is no UTF-8 can be printed, and ~ is the home folder after an option's =, too."""
    program = f"import os, sys; sys.path.insert(0, {str(repository)!r}); from launch import _root; "
    program += "print(sys.argv[1:], os.fsdecode(b'caf\\xe9')); raise KeyboardInterrupt"
    command = [sys.executable, "-c", program, "--out=~/x", "--set=data.path=~/y", "gs://b/~"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": "/home/me"}, timeout=120)
    assert ended.returncode == -signal.SIGINT and not ended.stderr
    assert ended.stdout == "['--out=/home/me/x', '--set=data.path=/home/me/y', 'gs://b/~'] caf\\udce9\n"


def test_files_are_whole_or_not_there(tmp_path: pathlib.Path) -> None:
    write_whole(tmp_path / "a.json", "old")
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "b", b"new")
    with pytest.raises(KeyError), removed_on_error(tmp_path / "a.json", tmp_path / "c"):
        (tmp_path / "c").write_text("half")
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b"] and (tmp_path / "a.json").read_text() == "old"
