"""The benchmark of the data path as a person starts it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from launch.benchmark import _need
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


def test_needed_cores_follow_the_measured_speed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 1 GFLOP at every size: 494,500 examples a second on one H200."""
    asked = []
    monkeypatch.setattr(_need, "example_flops", lambda config: asked.append(config) or 1e9)
    options = ["--stages=motion", "--presets=default,puppets", "--set=motion:batch_size=12", "--set=data.examples_per_clip=2"]
    small = ["--sizes=48", "--clip_seconds=1", "--seconds=0.01", f"--json={tmp_path / 'data.json'}"]
    done = run_here("benchmark/data.py", "--need", *options, *small)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "data.json").read_text())
    measured, computed = written["measured"], written["computed"]
    assert [(row["preset"], row["batch"], row["side"]) for row in measured] == [("default", 12, 48), ("puppets", 12, 48)]
    assert [(c.network.image_size, c.data.image_size, c.batch_size) for c in asked] == [(48, 48, 12)] * 2
    assert measured[0]["examples/s"] == pytest.approx(2 * measured[0]["clips/s"])
    assert [row["machine"] for row in computed] == ["H200", "8 × H200", "v5e-8 host"] * 2
    for row, line in zip(measured, computed[::3], strict=True):
        assert line["cores"] == pytest.approx(494_500 / row["examples/s"]) and line["steps/s"] == pytest.approx(494_500 / 12)
    assert "Computed for 50% of the published peak" in done.stdout


def test_mistakes_end_in_one_sentence() -> None:
    wrongs = ((["--stages", "lips"], "'lips'"), (["--sizes", "64,big"], "big"), (["--data", "/nowhere"], "prepare.py"))
    wrongs += ((["--presets", "huge"], "huge"), (["--set", "data.pace=2"], "data.pace"))
    for wrong, said in wrongs:
        done = run_here("benchmark/data.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
