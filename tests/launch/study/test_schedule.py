"""launch/study/schedule.py as a program."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.launch.programs import run_here

PROGRAM = "study/schedule.py"


def test_a_picture_and_a_table(repository, tmp_path) -> None:
    sizes = ("--schedule=pyramid", "--steps=4", "--offset=2", "--chunks=3")
    history = ("--history=geometric", "--history_level=0.2", "--history_decay=0.5")
    command = [sys.executable, f"launch/{PROGRAM}", *sizes, *history, "--text", f"--out={tmp_path}/s.png"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    want = """
    call 0     1     2
    0    1.000 .     .
    1    0.750 .     .
    2    0.500 1.000 .
    3    0.250 0.750 .
    4    0.200 0.500 1.000
    5    0.200 0.250 0.750
    6    0.100 0.200 0.500
    7    0.100 0.200 0.250
    """
    assert lines == [line.split() for line in want.strip().splitlines()]
    assert len(np.unique(cv2.imread(str(tmp_path / "s.png"), cv2.IMREAD_GRAYSCALE))) > 10
    assert [p.name for p in tmp_path.iterdir()] == ["s.png"]


def test_the_context_bounds_what_is_seen_and_the_history_schedule_is_followed() -> None:
    sizes = ("--schedule=autoregressive", "--steps=1", "--chunks=5", "--context=3")
    done = run_here(PROGRAM, *sizes, "--history=linear", "--history_level=0.3", "--history_span=3", "--text")
    assert done.stdout.splitlines()[-1].split() == ["4", ".", "0.100", "0.200", "0.300", "1.000"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--schedule=spiral"], "invalid choice: 'spiral'"),
        (["--history=cubic"], "invalid choice: 'cubic'"),
        (["--steps=0"], "--steps=0 is not possible: use a whole number from 1"),
        (["--schedule=pyramid", "--steps=3", "--offset=4"], "--offset 4 does not fit 3 steps"),
        (["--history_level=1.5"], "--history_level=1.5 is not possible"),
        (["--history_level=nan"], "--history_level=nan is not possible"),
        (["--history_decay=-1"], "--history_decay=-1.0 is not possible"),
        (["--chunks=100000"], "more than can be seen"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, options, message) -> None:
    done = run_here(PROGRAM, *options, "--text", f"--out={tmp_path}/s.png")
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "message"),
    [("", "give --out FILE.png"), ("s.gif", "does not end in .png"), ("nowhere/s.png", "does not exist: make it")],
)
def test_where_nothing_can_be_written(tmp_path, out, message) -> None:
    done = run_here(PROGRAM, *([f"--out={tmp_path / out}"] if out else []))
    assert done.returncode == 2 and message in done.stderr and not list(tmp_path.iterdir())
