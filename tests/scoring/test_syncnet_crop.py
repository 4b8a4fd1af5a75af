"""The crop of SyncNet's pipeline: which frames, and which pixels of them."""

from __future__ import annotations

import cv2
import numpy as np

from xactor_jax.scoring import syncnet_crop
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.syncnet_crop import crop, longest_track
from xactor_jax.scoring.video import of_frames

RIGHT_DOWN = np.array([1, 1, 0])


def points_of(boxes: np.ndarray) -> np.ndarray:
    """Landmarks at the corners of boxes (x0, y0, x1, y1), with a depth."""
    x0, y0, x1, y1 = np.asarray(boxes, float).T
    return np.stack([np.stack([x0, y0, 0 * x0], 1), np.stack([x1, y1, 500 + 0 * x0], 1)], axis=1)


def cut_by_the_program(image: np.ndarray, mx: float, my: float, bs: float) -> np.ndarray:
    """As `crop_video` of run_pipeline.py cuts it, with NumPy's padding."""
    bsi = int(bs * 1.8)
    frame = np.pad(image, ((bsi, bsi), (bsi, bsi), (0, 0)), constant_values=110)
    my, mx = my + bsi, mx + bsi
    return cv2.resize(frame[int(my - bs) : int(my + bs * 1.8), int(mx - bs * 1.4) : int(mx + bs * 1.4)], (224, 224))


def test_pixels_are_those_of_the_published_program(rng):
    image = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    for x, y, s in ((60.3, 40.9, 20.7), (3.0, 88.5, 33.3), (118.2, 1.0, 15.1)):
        np.testing.assert_array_equal(crop(image, x, y, s), cut_by_the_program(image, x, y, s))


def test_boxes_are_interpolated_and_their_median_is_taken():
    boxes = np.tile([10.0, 20.0, 50.0, 80.0], (40, 1)) + np.arange(40)[:, None]
    points = points_of(boxes)
    points[5:9] = np.nan
    points[20, 1, 1] += 40  # an outlier
    track = longest_track(points, (200, 200))
    assert track.first == 0 and len(track.squares) == 40
    middle, inner = np.array([30.0, 50.0, 30.0]), slice(6, 34)
    steps = np.arange(40)[:, None] * RIGHT_DOWN
    np.testing.assert_allclose(track.squares[inner], (middle + steps)[inner], atol=1.0)
    np.testing.assert_allclose(track.squares[7], middle + 7 * RIGHT_DOWN)
    np.testing.assert_allclose(track.squares[0], middle)  # the least of the first seven, because of the zeros before
    np.testing.assert_allclose(track.squares[39], middle + 33 * RIGHT_DOWN, atol=1e-9)


def test_a_track_ends_with_a_cut_or_a_long_absence():
    still, other = np.array([10.0, 20.0, 50.0, 80.0]), np.array([100.0, 20.0, 140.0, 80.0])
    points = points_of(np.concatenate([np.tile(still, (20, 1)), np.tile(other, (60, 1))]))
    assert (track := longest_track(points, (200, 200))).first == 20 and len(track.squares) == 60
    points[30:54] = np.nan  # 24 frames
    assert len(longest_track(points, (200, 200)).squares) == 60
    points[54] = np.nan
    assert (track := longest_track(points, (200, 200))).first == 55 and len(track.squares) == 25
    assert longest_track(points[:12], (200, 200)) is None
    assert longest_track(np.full((30, 2, 3), np.nan), (200, 200)) is None


def test_a_face_is_cut_from_its_hairline_on(portrait, monkeypatch):
    """Of a video in whose first frames no face is found."""
    points = landmarks_of(of_frames("head", np.repeat(portrait[None], 13, axis=0)))
    before = np.full((2, 468, 3), np.nan, np.float32)
    monkeypatch.setattr(syncnet_crop, "landmarks_of", lambda video: np.concatenate([before, points]))
    video = of_frames("head", np.concatenate([np.zeros((2, *portrait.shape), np.uint8), np.repeat(portrait[None], 13, axis=0)]))
    piece = syncnet_crop.face_piece(video)
    (x0, y0), (x1, y1) = points[6, :, :2].min(axis=0), points[6, :, :2].max(axis=0)
    expected = cut_by_the_program(portrait, (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2)
    crops = list(piece.crops)
    assert (piece.first, piece.count, len(crops)) == (2, 13, 13)
    assert np.abs(crops[6].astype(int) - expected).mean() < 3  # the mesh moves by parts of a pixel while it settles
