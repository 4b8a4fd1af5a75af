"""Cepstra against those of python_speech_features."""

from __future__ import annotations

import numpy as np
import pytest

published = pytest.importorskip("python_speech_features")

from xactor_jax.metric_networks.mfcc import mfcc


@pytest.mark.parametrize("count", [1, 400, 401, 16000, 700_000])
def test_they_are_equal(rng, count):
    samples = rng.integers(-32768, 32768, count).astype(np.int16)
    samples[2000:6000] = 0
    np.testing.assert_allclose(mfcc(samples), published.mfcc(samples, 16000), rtol=1e-9, atol=1e-9)
