"""How videos become FVD's clips, the distance of sets, and the published number that its weights must give."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.scoring.networks import tiny_network
from xactor_jax.metric_networks.i3d import I3DModel, I3DSettings
from xactor_jax.scoring import fvd
from xactor_jax.scoring.fvd import PROTOCOL
from xactor_jax.scoring.video import Case, of_frames

MODEL = I3DModel(I3DSettings(side=32, classes=6, divisor=16))


@pytest.fixture(scope="module")
def network():
    return tiny_network(MODEL, np.random.default_rng(1))


def test_whole_clips_of_16_frames_count(network, rng):
    features = lambda frames: PROTOCOL.measure(Case(of_frames("a", frames)), network).features
    frames = rng.integers(0, 256, (42, 20, 24, 3), np.uint8)
    found = features(frames)
    assert found.shape == (2, 6) and np.abs(found[0] - found[1]).max() > 0.01
    np.testing.assert_allclose(found, np.concatenate([features(frames[:16]), features(frames[16:32])]), atol=1e-5)


def test_a_shorter_video_has_no_clip(network, rng):
    frames = rng.integers(0, 256, (15, 20, 24, 3), np.uint8)
    found = PROTOCOL.measure(Case(of_frames("a", frames)), network).features
    assert found.shape == (0, 6)
    assert np.isnan(PROTOCOL.pool([found], [rng.normal(size=(3, 6))])["fvd"])


def test_equal_clips_differ_by_the_square_of_their_distance(rng):
    a, b = rng.normal(size=(2, 6))
    found = PROTOCOL.pool([np.repeat(a[None], 3, 0)], [np.repeat(b[None], 2, 0), b[None]])
    assert found["fvd"] == pytest.approx(np.square(a - b).sum(), rel=1e-4)


def test_the_sanity_value_is_of_black_and_white_clips(network, monkeypatch):
    def brightness(params, clips):
        assert clips.shape[1:] == (30, 64, 64, 3)
        return jnp.ones(6) * clips.max((1, 2, 3, 4))[:, None] / 255.0

    monkeypatch.setattr(fvd, "_features", lambda settings: jax.jit(brightness))
    expected, found = fvd.sanity(network)
    assert expected == pytest.approx(151.26, abs=0.01)
    assert found == pytest.approx(6.0)
