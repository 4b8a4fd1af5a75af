"""The benchmark of rendering: its numbers on a model that only sums, and on the tiny one."""

from __future__ import annotations

import json
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import stages
from launch.benchmark import renderer
from tests.launch.programs import run_here
from xactor_jax.video import rendering


def test_frames_and_flops_are_those_of_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = types.SimpleNamespace(steps=3, guided=True)
    model = types.SimpleNamespace(image_size=16, motion_dim=5, render_settings=settings)
    task = types.SimpleNamespace(model=model, init=lambda key: {})
    monkeypatch.setattr(stages, "make_task", lambda config: task)
    monkeypatch.setattr(rendering, "render", lambda m, v, k, image, still, motion: iter([np.zeros(len(x)) for x in motion]))
    monkeypatch.setattr(rendering, "draw_batch", lambda m, v, keys, image, still, motion: motion @ jnp.ones((5, 7)))
    row = renderer.measure(None, frames=6, repeats=1)
    assert row["frames"] == 6 and row["frames/s"] > 0 and row["side"] == 16 and row["steps"] == 3 and row["guided"]
    assert row["TFLOP/frame"] == pytest.approx(2 * 5 * 7 * 1e-12)
    assert row["TFLOP/s"] == pytest.approx(row["TFLOP/frame"] * row["frames/s"])


@pytest.mark.slow  # quick: the test above
def test_a_small_renderer_is_measured(tmp_path: pathlib.Path) -> None:
    small = ("autoencoder.image_size=32", "autoencoder.channels=(8,)", "network.unet.channels=(8,)", "data.window=4")
    small += ("network.unet.attention=(True,)", "network.unet.heads=2", "network.unet.groups=4", "network.motion_dim=8")
    options = [f"--set={setting}" for setting in small]
    done = run_here("benchmark/renderer.py", "--preset=puppets", "--frames=4", *options, f"--json={tmp_path / 'n.json'}")
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "n.json").read_text())
    assert row["frames"] == 4 and row["side"] == 32 and row["frames/s"] > 0 and row["TFLOP/frame"] > 0


def test_mistakes_end_in_one_sentence() -> None:
    for wrong, said in ((["--frames=0"], "--frames=0"), (["--preset=huge"], "huge"), (["--set=render.pace=1"], "render.pace")):
        done = run_here("benchmark/renderer.py", *wrong)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
