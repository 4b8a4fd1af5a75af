"""Slopes against known lines and SciPy's regression."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from xactor_jax.evaluation import trends


def test_segments_are_whole_and_a_short_performance_is_one():
    assert trends.segments(25, 10) == [slice(0, 10), slice(10, 20)]
    assert trends.segments(20, 10) == [slice(0, 10), slice(10, 20)]
    assert trends.segments(7, 10) == [slice(0, 7)]


def test_the_middle_of_the_first_minute_is_half_a_minute():
    assert trends.middles(trends.segments(3000, 1500)) == [0.5, 1.5]


def test_a_line_has_its_slope_and_no_error():
    minutes = [0.5, 1.5, 2.5, 3.5]
    slope, error = trends.slope(minutes, [3.0 + 2.0 * x for x in minutes])
    assert slope == pytest.approx(2.0) and error == pytest.approx(0.0, abs=1e-12)


def test_slope_and_error_are_scipys(rng):
    x = np.sort(rng.uniform(0, 60, 40))
    y = 0.3 * x + rng.normal(size=40)
    expected = scipy.stats.linregress(x, y)
    slope, error = trends.slope(list(x), list(y))
    assert (slope, error) == pytest.approx((expected.slope, expected.stderr))
    with_hole = trends.slope([*x, 99.0], [*y, float("nan")])
    assert with_hole == pytest.approx((slope, error))


def test_two_segments_have_no_slope():
    assert np.isnan(trends.slope([1.0, 2.0], [1.0, 2.0])).all()


@pytest.mark.parametrize(("span", "ratio"), [(1, 6.0), (2, 11 / 3), (9, 13 / 4)])
def test_last_over_first(span, ratio):
    assert trends.last_over_first([1.0, 2.0, 1.0, 2.0, 5.0, 6.0], span) == pytest.approx(ratio)


def test_one_segment_has_no_last_and_first():
    assert np.isnan(trends.last_over_first([1.0]))
