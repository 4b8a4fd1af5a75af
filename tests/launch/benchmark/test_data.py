"""The benchmark of the data path as a person starts it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

from tests.launch.programs import run_here


def test_every_stage_is_measured_and_its_parts_add_up(tmp_path: pathlib.Path) -> None:
    done = run_here("benchmark/data.py", "--sizes=32", "--clip_seconds=1", "--seconds=0.01", f"--json={tmp_path / 'data.json'}")
    assert done.returncode == 0, done.stderr
    rows = {row["stage"]: row for row in json.loads((tmp_path / "data.json").read_text())}
    assert rows.keys() == {"motion", "autoencoder", "actor", "video", "video, latents", "video, latents, no drafts"}
    for row in rows.values():
        parts = [value for name, value in row.items() if name.startswith("% ")]
        assert row["clips/s"] > 0 and abs(sum(parts) - 100) < 1e-6 and min(parts) >= 0 and row["% read"] > 0
    assert rows["actor"]["% decode"] == rows["video, latents, no drafts"]["% decode"] == 0 < rows["video"]["% decode"]


def test_mistakes_end_in_one_sentence() -> None:
    wrongs = ((["--stages", "lips"], "'lips'"), (["--sizes", "64,big"], "big"), (["--data", "/nowhere"], "prepare.py"))
    for wrong, said in wrongs:
        done = run_here("benchmark/data.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
