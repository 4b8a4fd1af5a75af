"""The table of pods, from reports of known numbers."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.launch.programs import run_here

STEP = {
    "fits": True,
    "mesh": {"data": 16, "fsdp": 16, "tensor": 1},
    "remat": "full",
    "batch_size": 256,
    "peak": 8.04e9,
    "utilisation": 0.304,
    "collectives": {"all-gather": {"bytes": 1.5e9}, "all-reduce": {"bytes": 0.25e9}},
}
REPORT = {"chip": {"memory": 16e9}, "steps": [{"fits": False}, STEP]}
MISTAKES = [
    ("--only=voice:base", "no stage 'voice:base'"),
    ("--pods=v9", "no pod 'v9'"),
    ("--effort=3", "--effort=3.0 is not possible: use a number from -1.0 to 1.0"),
]


def table(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/study/compile_table.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_what_is_known_is_printed_and_not_compiled_again(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "known.json"
    file.write_text(json.dumps({"video:base v5e-256": REPORT}))
    done = table("--only=video:base", "--pods=v5e-256", f"--json={file}")
    assert done.returncode == 0, done.stderr
    line = "| video:base | v5e-256 | data=16 fsdp=16, remat full | 256 | 8.0 of 16 GB | 1.75 GB | 30% |"
    assert done.stdout.splitlines()[2:] == [line]


@pytest.mark.parametrize(("wrong", "said"), MISTAKES)
def test_mistakes_end_in_one_sentence(wrong: str, said: str) -> None:
    done = run_here("study/compile_table.py", wrong)
    assert done.returncode == 2 and said in done.stderr and "v5e-256" not in done.stdout
