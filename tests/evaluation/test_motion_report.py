"""Drift that is put in comes out; true motion scores what it should."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from xactor_jax.evaluation import motion_report, report
from xactor_jax.evaluation.figures import segment_plot
from xactor_jax.evaluation.motion_report import Ruler, Truth
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.labels import CONTROLS

B, T, D, SEGMENT, CHUNK = 2, 4000, 5, 500, 10
JAW = CONTROLS.index("jaw")


@pytest.fixture
def truth(rng):
    steps = rng.normal(size=(B, T + 8, D))
    smooth = np.stack([steps[:, i : i + T] for i in range(9)]).mean(0) * 3
    return Truth(latents=smooth.astype(np.float32), jaw=smooth[..., 0])


@pytest.fixture
def ruler(truth):
    weights = np.zeros((D, len(CONTROLS)))
    weights[0, JAW] = 1.0
    return Ruler(truth=truth, probe=RidgeProbe(weights, np.zeros(len(CONTROLS))), segment=SEGMENT)


def drifting(truth: Truth, per_minute: float) -> np.ndarray:
    """The true motion of a moment later, its mean moving in all channels."""
    minutes = np.arange(T)[:, None] / 25 / 60
    return (np.roll(truth.latents, 1000, axis=1) + per_minute * minutes).astype(np.float32)


def test_true_motion_scores_one_and_its_distance_is_small(ruler):
    curves = ruler.true_curves(CHUNK)
    assert len(ruler.minutes) == 8 and all(len(values) == 8 for values in curves.values())
    assert np.mean(curves["std_ratio"]) == pytest.approx(1.0) and np.mean(curves["velocity_ratio"]) == pytest.approx(1.0)
    np.testing.assert_allclose(curves["jaw_correlation"], 1.0)
    np.testing.assert_allclose(curves["boundary_jerk"], 1.0, atol=0.1)
    assert max(curves["fmd"]) < 0.5


def test_a_segment_of_true_motion_is_compared_with_all_the_others(ruler, truth):
    a = truth.latents[:, :SEGMENT].reshape(-1, D).astype(np.float64)
    b = truth.latents[:, SEGMENT:].reshape(-1, D).astype(np.float64)
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)
    assert ruler.true_curves(CHUNK)["fmd"][0] == pytest.approx(expected, rel=1e-4)


def test_a_mean_that_drifts_is_seen_in_distance_and_norm(ruler, truth):
    curves = ruler.curves(drifting(truth, 1.0), CHUNK)
    minutes = np.array(ruler.minutes)
    # FMD grows as D x², the norm of the mean as √D x, for x minutes of drift.
    np.testing.assert_allclose(curves["fmd"][2:], D * minutes[2:] ** 2, rtol=0.35)
    assert motion_report.trends_of(ruler.minutes, curves)["mean_norm"]["slope"] == pytest.approx(np.sqrt(D), rel=0.15)
    assert np.mean(curves["std_ratio"]) == pytest.approx(1.0, abs=0.05)  # a slow drift is no liveliness


def test_motion_that_fades_and_loses_the_speech_is_detected(ruler, truth, rng):
    fading = truth.latents * np.linspace(1, 0.2, T, dtype=np.float32)[:, None]
    fading[:, T // 2 :, 0] = rng.normal(size=(B, T // 2))
    curves = ruler.curves(fading, CHUNK)
    assert curves["velocity_ratio"][0] > 0.9 and curves["std_ratio"][0] > 0.9
    still = ruler.curves(truth.latents * np.float32(0.2), CHUNK)
    np.testing.assert_allclose(still["std_ratio"], 0.2 * np.array(ruler.true_curves(CHUNK)["std_ratio"]), rtol=1e-5)
    assert min(curves["jaw_correlation"][:4]) > 0.9 and max(curves["jaw_correlation"][4:]) < 0.3


def test_joins_are_counted_from_the_start_of_the_rollout(ruler, truth, rng):
    level = np.repeat(2.0 * rng.normal(size=(B, T // 7 + 1, D)), 7, axis=1)[:, :T]
    jerky = ruler.curves(truth.latents + level.astype(np.float32), 7)["boundary_jerk"]
    assert min(jerky) > 3


def test_motion_that_is_not_finite_is_reported_not_raised(ruler, truth):
    broken = truth.latents.copy()
    broken[:, T // 2 :] = np.nan
    curves = ruler.curves(broken, CHUNK)
    assert np.isfinite(curves["fmd"][0]) and np.isnan(curves["fmd"][-1])


def test_the_report_has_rows_a_page_and_a_picture(ruler, truth):
    over = motion_report.over_time(ruler, drifting(truth, 1.0), CHUNK)
    assert over["segment_seconds"] == SEGMENT / 25
    rows = motion_report.trend_rows(over["trends"]["own"], over["trends"]["true"])
    assert [row[0] for row in rows][:3] == ["FMD", "FMD of frame differences", "Std-R"]
    page = report.table_over_time(over)
    assert page.count("<tr>") == 1 + len(rows) and f"<td>{rows[0][1]}</td>" in page
    assert segment_plot(over["curves"], over["minutes"], motion_report.NAMES)[:4] == b"\x89PNG"
