"""The benchmark as a person starts it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.launch.programs import run_here


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/benchmark/actor.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.slow  # quick: tests/actor/test_speed.py
def test_both_ways_are_measured_and_written(tmp_path: pathlib.Path) -> None:
    done = run("--presets", "demo", "--seconds", "0.01", "--set", "steps=2", "--json", str(tmp_path / "speed.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "speed.json").read_text())
    assert [row["way"] for row in written["rows"]] == ["cache", "no_cache"]
    assert all(row["frames/s"] > 0 and row["GFLOP/s"] > 0 for row in written["rows"])
    assert written["rows"][0]["GFLOP/frame"] < written["rows"][1]["GFLOP/frame"]
    assert "frames/s" in done.stdout and "GB/s" in done.stdout


def test_mistakes_end_in_one_sentence() -> None:
    for wrong, said in ((["--set", "pace=1"], "'pace'"), (["--batch", "0"], "--batch"), (["--presets", "huge"], "'huge'")):
        done = run_here("benchmark/actor.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
