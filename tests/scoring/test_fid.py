"""FID's features frame by frame, and its distance against pytorch-fid's formula."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from tests.scoring.networks import tiny_network
from xactor_jax.metric_networks.inception import InceptionModel, InceptionSettings
from xactor_jax.scoring.fid import PROTOCOL
from xactor_jax.scoring.video import Case, of_frames

MODEL = InceptionModel(InceptionSettings(side=75, divisor=16))


def published(a: np.ndarray, b: np.ndarray) -> float:
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    trace = np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + trace)


def test_every_frame_has_its_features_in_order(rng):
    network = tiny_network(MODEL, rng)
    features = lambda frames: PROTOCOL.measure(Case(of_frames("a", frames)), network).features
    frames = rng.integers(0, 256, (5, 20, 24, 3), np.uint8)
    found = features(frames)
    assert found.shape == (5, MODEL.settings.features)
    assert np.abs(found[:, None] - found)[~np.eye(5, dtype=bool)].max(axis=-1).min() > 0.01
    np.testing.assert_allclose(features(frames[::-1]), found[::-1], atol=1e-5)


def test_the_distance_is_that_of_all_frames_together(rng):
    mix = rng.normal(size=(6, 6))
    draw = lambda n, shift: (rng.normal(size=(n, 6)) @ mix + shift).astype(np.float32)
    generated, true = [draw(30, 0.0), draw(50, 1.0)], [draw(40, 3.0), draw(7, -2.0)]
    expected = published(np.concatenate(generated), np.concatenate(true))
    assert PROTOCOL.pool(generated, true)["fid"] == pytest.approx(expected, rel=1e-5)
    assert PROTOCOL.pool(true, true)["fid"] == pytest.approx(0.0, abs=1e-5)


def test_one_frame_is_no_set(rng):
    some, one = rng.normal(size=(3, 6)), rng.normal(size=(1, 6))
    assert np.isnan([PROTOCOL.pool(*sets)["fid"] for sets in (([one], [some]), ([some], [one]), ([], [some]))]).all()
    assert np.isfinite(PROTOCOL.pool([one, one], [some])["fid"])
