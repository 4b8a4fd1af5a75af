"""Intervals against SciPy's bootstrap and normal theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from xactor_jax.scoring import statistics
from xactor_jax.scoring.statistics import difference, estimate, interval


def test_the_interval_is_scipys(rng):
    x = rng.exponential(size=40)
    expected = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose(interval(x, draws=20_000), expected, atol=0.01)
    np.testing.assert_allclose(interval(x), expected, atol=0.04)


def test_it_covers_the_true_mean_as_often_as_it_says(rng):
    """Of n normal values the interval is that of their standard deviation without the correction √(n / (n − 1))."""
    n, times = 30, 400
    found = [interval(rng.normal(3.0, 2.0, n), seed, draws=500) for seed in range(times)]
    covered = np.mean([low < 3.0 < high for low, high in found])
    z = 1.96 * math.sqrt((n - 1) / n)
    expected = 1 - 2 * scipy.stats.t.sf(z, n - 1)
    assert covered == pytest.approx(expected, abs=3 * math.sqrt(0.05 * 0.95 / times))


def test_values_that_are_not_there_do_not_count():
    found = estimate([1.0, math.nan, 3.0, math.inf])
    assert (found.mean, found.count) == (2.0, 2) and 1.0 <= found.low < found.high <= 3.0
    one, none = estimate([5.0]), estimate([math.nan])
    assert (one.mean, one.count, math.isnan(one.low)) == (5.0, 1, True)
    assert math.isnan(none.mean) and none.count == 0


def test_the_same_values_give_the_same_interval_however_it_is_drawn(rng, monkeypatch):
    x = rng.normal(size=10)
    assert interval(x) == interval(x) != interval(x, seed=1)
    whole = interval(x)
    monkeypatch.setattr(statistics, "ELEMENTS", 1000)
    assert interval(x) == whole


def test_a_difference_on_the_same_clips_is_sharper_than_the_clips(rng):
    """Clips differ by 10, the systems by 1 ± 0.1 on each of them."""
    hard = rng.normal(0, 10, 25)
    ours = {str(i): h + 1 + e for i, (h, e) in enumerate(zip(hard, rng.normal(0, 0.1, 25), strict=True))}
    theirs = {str(i): h for i, h in enumerate(hard)} | {"another": 0.0}
    found = difference({**ours, "a third": 1.0}, theirs)
    assert found.count == 25 and found.low < 1.0 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1 / 5, rel=0.4)
    assert estimate(list(ours.values())).high - estimate(list(ours.values())).low > 4
