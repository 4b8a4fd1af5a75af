"""LPIPS of videos: pairs of frames, without the first."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import PerceptualModel, PerceptualSettings
from xactor_jax.scoring.lpips import ALEX, VGG
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.video import Case, of_frames


def network_of(trunk: str) -> tuple[PerceptualModel, Network]:
    settings = PerceptualSettings(widths=(2, 2, 2, 2, 2), lpips=True, trunk=trunk)
    params = jax.jit(PerceptualModel(settings).init)(jax.random.key(0))
    return PerceptualModel(settings), Network(ConfigDict({"network": dataclasses.asdict(settings)}), params, "0")


def test_it_is_the_mean_over_pairs_of_frames_but_the_first(rng):
    model, network = network_of("alexnet")
    x, y = rng.integers(0, 256, (2, 4, 40, 36, 3)).astype(np.uint8)
    found = ALEX.measure(Case(of_frames("a", x), of_frames("b", y)), network)
    signed = lambda frames: frames.astype(np.float32) / 255 * 2 - 1
    wanted = jax.jit(model.distance)(network.params, signed(x), signed(y))
    np.testing.assert_allclose(found.curves["lpips_alex"], [np.nan, *wanted[1:]], rtol=1e-3)
    assert found.values["lpips_alex"] == pytest.approx(float(np.mean(wanted[1:])), rel=1e-3)
    one = ALEX.measure(Case(of_frames("a", x[:1]), of_frames("b", y[:1])), network)
    assert np.isnan(one.values["lpips_alex"])


def test_weights_of_the_other_network_are_refused(rng):
    frames = of_frames("a", np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(UserError, match="not those of lpips: import them with"):
        VGG.measure(Case(frames, frames), network_of("alexnet")[1])
