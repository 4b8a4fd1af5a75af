"""Landmarks of a video: the mesh follows a face, finds it again, and says where there is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xactor_jax.faces.detector import BlazeFaceDetector
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.video import of_frames


@pytest.fixture
def detections(monkeypatch) -> list:
    """One entry for each call of the detector."""
    calls, detect = [], BlazeFaceDetector.detect
    monkeypatch.setattr(BlazeFaceDetector, "detect", lambda self, image: calls.append(1) or detect(self, image))
    return calls


def placed(portrait: np.ndarray, x: int, y: int) -> np.ndarray:
    """A picture of 256 pixels a side with the portrait at (x, y)."""
    picture = np.full((256, 256, 3), 90, np.uint8)
    picture[y : y + 192, x : x + 192] = portrait
    return picture


def test_landmarks_move_with_the_face_and_are_found_again(portrait, detections):
    blank = np.full((256, 256, 3), 90, np.uint8)
    frames = [placed(portrait, 20, 20), placed(portrait, 26, 18), blank, placed(portrait, 60, 50)]
    points = landmarks_of(of_frames("moving", np.stack(frames)))
    assert points.shape == (4, 468, 3) and points.dtype == np.float32
    assert np.isnan(points[2]).all() and np.isfinite(points[[0, 1, 3]]).all()
    for t, move in ((1, (6, -2)), (3, (40, 30))):
        np.testing.assert_allclose((points[t] - points[0])[:, :2].mean(axis=0), move, atol=1.0)
    assert len(detections) == 3  # the first frame, the blank one, and the one after it


def test_a_video_is_read_once(portrait):
    video, reads = of_frames("one", portrait[None]), []
    counted = dataclasses.replace(video, read=lambda: reads.append(1) or video.read())
    assert landmarks_of(counted) is landmarks_of(counted) and reads == [1]
    other = landmarks_of(video)
    assert other is not landmarks_of(counted)
    np.testing.assert_array_equal(other, landmarks_of(counted))
