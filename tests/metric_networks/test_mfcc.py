"""Cepstra against sums that are written out, and against numbers of python_speech_features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xactor_jax.metric_networks import mfcc as m


def written_out(samples: np.ndarray, k: int) -> np.ndarray:
    """Cepstra of frame k, from the equations in the module's docstring, in plain sums."""
    s = samples.astype(float)
    y = [s[n] - 0.97 * (s[n - 1] if n else 0.0) if n < len(s) else 0.0 for n in range(160 * k, 160 * k + 400)]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    power = np.abs(turns @ y) ** 2 / 512
    mel = lambda j: 2595 * math.log10(1 + 8000 / 700) * j / 27
    corner = [math.floor(513 * 700 * (10 ** (mel(j) / 2595) - 1) / 16000) for j in range(28)]
    log, tops = [], zip(corner, corner[1:], corner[2:], strict=False)
    for a, b, c in tops:
        energy = sum(power[i] * (i - a) / (b - a) for i in range(a, b)) + sum(power[i] * (c - i) / (c - b) for i in range(b, c))
        log.append(math.log(energy or 2.0**-52))
    cosines = lambda n: sum(x * math.cos(math.pi * n * (2 * j + 1) / 52) for j, x in enumerate(log))
    cepstra = [math.sqrt(2 / 26) * cosines(n) * (1 + 11 * math.sin(math.pi * n / 22)) for n in range(1, 13)]
    return np.array([math.log(power.sum() or 2.0**-52), *cepstra])


def chirp() -> np.ndarray:
    n = np.arange(1000)
    return (8000 * np.sin(0.05 * n) + 3000 * np.sin(n * n / 3000)).astype(np.int16)


@pytest.mark.parametrize(("count", "frames"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (1680, 9)])
def test_every_frame_follows_the_equations(rng, count, frames):
    samples = rng.integers(-32768, 32768, count).astype(np.int16)
    samples[500:1000] = 0  # a silent frame
    expected = [written_out(samples, k) for k in range(frames)]
    np.testing.assert_allclose(m.mfcc(samples), expected, rtol=1e-6, atol=1e-6)


def test_the_packages_numbers():
    """`python_speech_features.mfcc(chirp(), 16000)`, version 0.6, frames 0 and 4, the first six."""
    first = [
        17.634679603507507,
        35.71347545573003,
        16.39720629576703,
        -4.203900974567615,
        -16.3360389830543,
        -15.574516908691256,
    ]
    last = [
        19.340785115760283,
        14.760924336090389,
        -25.108822020370425,
        -7.314253089360181,
        40.21015574116734,
        40.17418570789954,
    ]
    np.testing.assert_allclose(m.mfcc(chirp())[[0, 4], :6], [first, last], rtol=1e-9)


def test_pieces_are_the_whole(rng, monkeypatch):
    samples = rng.integers(-99, 99, 5000).astype(np.int16)
    whole = m.mfcc(samples)
    monkeypatch.setattr(m, "PIECE", 7)
    np.testing.assert_allclose(m.mfcc(samples), whole, rtol=1e-9)


def test_samples_are_rounded_and_limited():
    found = m.int16(np.array([0, 1, -1, 1.4 / 32768, 1.6 / 32768, -0.25], np.float32))
    np.testing.assert_array_equal(found, [0, 32767, -32768, 1, 2, -8192])
    assert found.dtype == np.int16
