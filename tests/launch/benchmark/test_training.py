"""The benchmark as a person starts it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.launch.programs import run_here

SMALL = (
    *("--config=configs/motion.py", "--steps=3", "--config.batch_size=8", "--config.data.image_size=32"),
    *("--config.network.image_size=32", "--config.network.latent_dim=8", "--config.network.widths=(8,)"),
    *("--config.network.encoder_widths=(8,)", "--config.network.patch=8"),
)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/benchmark/training.py", *arguments]
    one_device = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=one_device)


@pytest.mark.slow  # quick: tests/training/test_benchmark.py
def test_batches_in_memory_and_the_data_beside_one_another(tmp_path: pathlib.Path) -> None:
    data = ("persons=3", "clips_per_person=1", "clip_seconds=0.4", f"cache={tmp_path}")
    done = run(*SMALL, *(f"--config.data.{setting}" for setting in data), f"--json={tmp_path / 'speed.json'}")
    assert done.returncode == 0, done.stderr[-3000:]
    written = json.loads((tmp_path / "speed.json").read_text())
    assert written["flops"] > 0 and written["devices"] == 1 and written["peak"] is None and written["compile_seconds"] > 0
    for measured in (written["synthetic"], written["data"]):
        assert measured["examples_per_second"] == 8 * measured["steps_per_second"] > 0
        assert measured["flops_per_second"] == written["flops"] * measured["steps_per_second"]
        assert 0 <= measured["data_wait"] < 1
    assert written["synthetic"]["loss"] != written["data"]["loss"]
    assert "synthetic" in done.stdout and "no peak is published" in done.stdout


def test_mistakes_end_in_one_sentence() -> None:
    for wrong, said in (
        ((*SMALL[:1], "--steps=0"), "--steps=0"),
        ((), "no config"),
        ((*SMALL, "--config.batch_siz=2"), "did you mean"),
    ):
        done = run_here("benchmark/training.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
