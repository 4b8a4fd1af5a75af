"""Measures of lips and sound, on mouths and sounds whose relation is known."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.scoring import lips, lips_truth, theval
from xactor_jax.scoring.curves import lagged, without_gaps
from xactor_jax.scoring.loudness import loudness, speaks
from xactor_jax.scoring.video import Case

FRAMES = 100


@pytest.fixture
def effort(rng) -> np.ndarray:
    """A smooth curve in 0..1, one value a frame and ten frames more on each side."""
    return np.clip(0.5 + 0.5 * np.convolve(rng.normal(size=FRAMES + 28), np.ones(9) / 3, "valid")[: FRAMES + 20], 0, 1)


def sound_of(effort: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise as loud as the effort; frame t is shown at t / 25 s."""
    level = np.interp(np.arange(640 * len(effort)) / 640, np.arange(len(effort)), effort)
    return (0.3 * rng.normal(size=len(level)) * level).astype(np.float32)


def mouths(face: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Faces whose mouth opens by fractions of 30 pixels."""
    points = np.repeat(face[None], len(opening), axis=0)
    points[:, 14, 1] += 30 * opening
    return points


@pytest.mark.parametrize("late", [0, 2, -3])
def test_a_mouth_that_follows_the_sound_and_its_lag(face, show, rng, effort, late):
    mouth, sound = effort[10 - late : 10 - late + FRAMES], sound_of(effort[10 : 10 + FRAMES], rng)
    found = lips.measure(Case(show(lips, mouths(face, mouth), sound=sound)), None).values
    assert found["mouth_loudness"] > 0.9 and found["mouth_loudness_lag"] == late


def test_a_mouth_against_the_true_one(face, show, effort):
    true = mouths(face, effort[10 : 10 + FRAMES])
    true[20:25] = np.nan
    small_and_late = mouths(face, 0.3 * effort[9 : 9 + FRAMES])
    case = Case(show(lips_truth, small_and_late), show(lips_truth, true))
    found = lips_truth.measure(case, None).values
    assert found["mouth_truth"] > 0.9 and found["mouth_truth_lag"] == 1


def test_curves_with_gaps():
    np.testing.assert_allclose(without_gaps(np.array([np.nan, 1.0, np.nan, 3.0, 4.0])), [1, 1, 2, 3, 4])
    mostly_missing = np.array([np.nan] * 9 + [1.0])
    assert np.isnan(without_gaps(mostly_missing)).all()
    assert (
        np.isnan(lagged(mostly_missing, np.arange(10.0), 2)).all() and np.isnan(lagged(np.arange(3.0), np.arange(3.0), 5)).all()
    )


def test_loudness_is_the_root_mean_square_around_a_frame():
    sound = np.repeat([0.0, 0.0, 0.5, 0.5, 0.0, 0.0], 1600).astype(np.float32)
    found = loudness(sound, 15)
    assert found[7] == pytest.approx(0.5) and found[0] == found[14] == 0
    assert found[5] == pytest.approx(0.5 / np.sqrt(2), rel=0.02)  # the window's second half is loud


def test_speech_is_what_is_loud_without_short_gaps(rng):
    loud = np.zeros(100)
    loud[10:40], loud[44:60], loud[80:90] = 1, 1, 1
    found = speaks(sound_of(loud + 0.001, rng), 100)
    assert found[11:59].all() and not found[62:78].any() and found[81:89].all() and not found[:8].any()
    assert not speaks(np.zeros(6400, np.float32), 10).any()


def test_theval_lip_sync_by_hand():
    opening, loud, speech = (
        np.array([2.0, 4.0, np.nan, 3.0, 9.0]),
        np.array([0.5, 0.1, 9.0, 0.3, 9.0]),
        np.array([1, 1, 1, 1, 0]),
    )
    assert theval.lip_sync(opening, loud, speech.astype(bool)) == pytest.approx((1 + 1 + 0) / 3)
    assert theval.lip_sync(opening, 3 * opening + 1, speech.astype(bool)) == pytest.approx(0, abs=1e-6)
    assert np.isnan(theval.lip_sync(np.ones(40), np.ones(40), np.arange(40) < 3))


def test_theval_silent_lips_by_hand():
    speech = np.zeros(30, bool)
    speech[8:12], speech[18:30] = True, True  # silences of 8 and 6 frames
    silent = theval.silences(speech)
    assert silent[:8].all() and not silent[8:].any()
    opening = np.array([0.0, 0, 0, 0, 0, 0, 4, 12, *np.full(22, 99.0)])
    # mean 2; deviations from it: 2 six times, 2 and 10
    assert theval.silent_lip_stability(opening, silent) == pytest.approx(2.0)
    assert np.isnan(theval.silent_lip_stability(opening, np.zeros(30, bool)))


def test_theval_openness_is_of_the_inner_lips_over_the_eyes(face, show, rng):
    points = np.zeros((1, 468, 3))
    points[0, [33, 133, 362, 263], 0] = 10, 20, 40, 50
    points[0, list(theval.LOWER), 1] = 6.0
    assert theval.openness(points) == pytest.approx(6 / 30) and theval.silent_openness(points) == pytest.approx(6 / 40)
    case = Case(show(theval, mouths(face, rng.random(50)), sound=sound_of(np.repeat([0.0, 1.0], 25), rng)))
    found = theval.measure(case, None).values
    assert 0 < found["lip_sync"] < 1 and 0 < found["silent_lip_stability"] < 1
