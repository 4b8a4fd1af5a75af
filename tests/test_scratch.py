"""Folders for what is being written: gone at the end, whatever that is."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from xactor_jax.errors import UserError
from xactor_jax.scratch import scratch

HOLD = """
import sys
from xactor_jax.scratch import scratch
with scratch(sys.argv[1]) as folder:
    (folder / "half").write_text("")
    print(folder, flush=True)
    sys.stdin.read()
"""


def holder(target: pathlib.Path, repository: pathlib.Path) -> tuple[subprocess.Popen, pathlib.Path]:
    """A process that writes, and its folder."""
    command = [sys.executable, "-c", HOLD, str(target)]
    process = subprocess.Popen(command, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, pathlib.Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: pathlib.Path, repository: pathlib.Path
) -> None:
    (tmp_path / ".out.staging").mkdir()  # another program's
    process, left = holder(tmp_path / "out", repository)
    with scratch(tmp_path / "out") as mine:
        assert (left / "half").exists() and mine.parent == tmp_path
    process.kill()
    process.wait()
    assert left.exists()
    with scratch(tmp_path / "out") as mine, scratch(tmp_path / "out") as second:
        assert not left.exists() and mine.exists() and second != mine
    assert [path.name for path in tmp_path.iterdir()] == [".out.staging"]


def test_where_nothing_can_be_written(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file .*: choose a folder that you may write to"):
        scratch(tmp_path / "file" / "x").__enter__()
