"""Motion of the head, blinks, beats and landmark distances, on faces whose motion is known."""

from __future__ import annotations

import types

import numpy as np
import pytest

from tests.scoring.test_face_motion import turned
from xactor_jax.scoring import beat_align, dynamics, dynamics_truth, landmark_distance
from xactor_jax.scoring.face_motion import head_axes
from xactor_jax.scoring.video import Case

FRAMES = 150


def turning(face: np.ndarray, yaws: np.ndarray) -> np.ndarray:
    return np.stack([turned(face, yaw, 0, 0) for yaw in yaws])


def test_amplitude_and_speed_of_a_head_that_turns_evenly(face, show):
    straight = face @ head_axes(face[None])[0]
    points = turning(straight, np.linspace(-15, 15, FRAMES))
    points[40:44] = np.nan
    found = dynamics.measure(Case(show(dynamics, points)), None)
    assert found.values["yaw_std"] == pytest.approx(30 / np.sqrt(12), rel=0.03)
    assert found.values["head_speed"] == pytest.approx(30 / (FRAMES - 1) * 25, rel=0.05)
    assert found.curves["head_speed"].shape == (FRAMES,) and found.values["blink_rate"] == 0


def test_blinks_are_short_and_closed_eyes_are_not(face, show):
    points = np.repeat(face[None], FRAMES, axis=0)
    for start, length in ((20, 4), (60, 3), (90, 25)):
        for upper, lower in ((160, 144), (158, 153), (387, 373), (385, 380)):
            points[start : start + length, upper] = points[0, lower]
    found = dynamics.measure(Case(show(dynamics, points)), None)
    assert found.values["blink_rate"] == pytest.approx(2 * 60 * 25 / FRAMES)


def test_no_face_has_no_dynamics(face, show):
    points = np.full((20, 468, 3), np.nan)
    found = dynamics.measure(Case(show(dynamics, points)), None).values
    assert np.isnan(list(found.values())).all()


def test_ratios_to_a_truth_that_moves_twice_as_much(face, show):
    wave = np.sin(np.arange(FRAMES) / 8)
    true, half = turning(face, 10 * wave), turning(face, 5 * wave)
    true[:, 14] += true[:, 14] - true[:, 13]
    for points, amount in ((true, 0.2), (half, 0.1)):
        away = (face[14] - face[13]) / np.linalg.norm(face[14] - face[13])
        points[:, 14] = points[:, 13] + turning(away[None], np.zeros(FRAMES))[:, 0] * 40 * amount * (1.5 + wave)[:, None]
    found = dynamics_truth.measure(Case(show(dynamics_truth, half), show(dynamics_truth, true)), None).values
    assert found["head_ratio"] == pytest.approx(0.5, rel=0.02) and found["head_speed_ratio"] == pytest.approx(0.5, rel=0.02)
    assert found["mouth_ratio"] == pytest.approx(0.5, rel=0.02)


def test_beat_align_by_hand():
    sounds, beats = np.array([10.0, 21.0, 40.0]), np.array([10, 24, 90])
    expected = np.mean([np.exp(-(d**2) / 18) for d in (0, 3, 16)])
    assert beat_align.beat_align(sounds, beats) == pytest.approx(expected)
    assert np.isnan(beat_align.beat_align(sounds, beats[:0])) and np.isnan(beat_align.beat_align(sounds[:0], beats))


def ends_of_silence(y: np.ndarray, sr: int, units: str) -> np.ndarray:
    """Onsets of clicks. Even to import librosa's takes a third of a minute at first, in which Numba compiles."""
    assert units == "time"
    return np.flatnonzero((y[1:] != 0) & (y[:-1] == 0)) / sr


@pytest.mark.parametrize("onsets", ["known", pytest.param("librosa's", marks=pytest.mark.slow)])
def test_a_head_that_rests_at_clicks_is_aligned_with_them(face, show, onsets, monkeypatch):
    """It turns to and fro and rests every 40 frames, at first at the clicks, then between them."""
    if onsets == "known":
        stand_in = types.SimpleNamespace(onset=types.SimpleNamespace(onset_detect=ends_of_silence))
        monkeypatch.setattr(beat_align, "librosa", stand_in)
    clicks, sound = np.arange(40, 200, 40), np.zeros(640 * 200, np.float32)
    for click in clicks:
        sound[640 * click : 640 * click + 400] = 0.8 * (-1.0) ** np.arange(400)
    found = []
    for late in (0, 20):
        points = turning(face, 10 * np.cos(np.pi * (np.arange(200) - late - 0.3) / 40))
        case = Case(show(beat_align, points, sound=sound))
        found.append(beat_align.measure(case, None).values["beat_align"])
    assert found[0] > 0.7 and found[1] < 0.1


def test_landmark_distance_ignores_shifts_and_is_in_pixels_of_256(face, show):
    true = np.repeat(face[None], 3, axis=0)
    other = true + np.array([7.0, -4.0, 0.0])
    for height, scale in ((64, 1.0), (128, 2.0)):
        frames = np.zeros((3, height, height, 3), np.uint8)
        videos = [show(landmark_distance, scale * points, frames) for points in (other, true)]
        found = landmark_distance.measure(Case(*videos), None)
        np.testing.assert_allclose(list(found.values.values()), 0, atol=1e-3)
    mouth = list(landmark_distance.MOUTH)
    other = true.copy()
    other[:, mouth[0], 0] += 20  # in pixels of 64: of 20 points one moves by 19 / 20, the mean takes the rest
    found = landmark_distance.measure(Case(show(landmark_distance, other), show(landmark_distance, true)), None)
    assert found.values["lmd_mouth"] == pytest.approx(4 * (19 + 19 * 1) / 20, rel=1e-3)
    assert found.values["lmd_face"] == pytest.approx(4 * 20 * 2 * 67 / 68**2, rel=1e-3)
    assert found.curves["lmd_face"].shape == (3,) and len(set(landmark_distance.FACE)) == 68 and len(mouth) == 20
