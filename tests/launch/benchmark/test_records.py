"""The benchmark of formats of frames as a person starts it."""

from __future__ import annotations

import json
import pathlib

from tests.launch.programs import run_here


def test_codings_are_measured_at_the_quality_of_jpeg(tmp_path: pathlib.Path) -> None:
    few = ("--sizes=32", "--frames=10", "--repeats=2", "--codings=jpeg,h264,h264/4,h264 420/8")
    done = run_here("benchmark/records.py", *few, f"--json={tmp_path / 'rows.json'}")
    assert done.returncode == 0, done.stderr
    jpeg, *others = json.loads((tmp_path / "rows.json").read_text())
    assert [row["coding"] for row in others] == ["h264", "h264/4", "h264 420/8"] and others[0]["mouth"] > jpeg["mouth"]
    for row in (jpeg, *others):
        assert row["PSNR"] > jpeg["PSNR"] - 1.0 and min(row["KB/frame"], row["1: ms"], row["window 8: ms"]) > 0
    assert all(row["KB/frame"] < jpeg["KB/frame"] for row in others)


def test_mistakes_end_in_one_sentence() -> None:
    for wrong, said in ((["--codings", "gif"], "'gif'"), (["--sizes", "63"], "even"), (["--frames", "1"], "from 2")):
        done = run_here("benchmark/records.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
