"""One face out of many detections, and the crop that keeps still or follows."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.media.crop import portrait_box
from xactor_jax.media.faces import FaceBox
from xactor_jax.media.track import (
    Sample,
    Segment,
    TrackSettings,
    boxes_at,
    find_segments,
    gaussian_smooth,
    median_face,
    released_crop,
    steady_crop,
)


def face(x: float, y: float = 100.0, size: float = 100.0) -> FaceBox:
    return FaceBox(x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def samples(*faces: list[FaceBox], period: float = 0.2) -> list[Sample]:
    return [Sample(i * period, found) for i, found in enumerate(faces)]


def test_short_gaps_are_bridged_long_ones_are_not():
    bridged = find_segments(samples([face(200)], [], [], [], [], [face(205)]))
    assert len(bridged) == 1 and bridged[0].seconds == pytest.approx(1.0)
    assert len(find_segments(samples([face(200)], *[[]] * 5, [face(205)]))) == 2
    assert find_segments(samples([], [])) == []


def test_cuts_end_a_segment():
    jump = find_segments(samples([face(200)], [face(210)], [face(400)], [face(410)]))
    assert [len(segment.times) for segment in jump] == [2, 2]
    zoom = find_segments(samples([face(200)], [face(200)], [face(200, size=230)]))
    assert [len(segment.times) for segment in zoom] == [2, 1]


def test_one_box_out_of_place_is_passed_over():
    segments = find_segments(samples([face(200)], [face(205)], [face(230, 160, 30)], [face(210)], [face(212)]))
    assert [len(segment.times) for segment in segments] == [4]
    twice = find_segments(samples([face(200)], [face(400)], [face(400)], [face(200)]))
    assert [len(segment.times) for segment in twice] == [1, 2, 1]


def test_the_same_face_is_kept_when_another_becomes_more_prominent():
    segment = find_segments(samples([face(200)], [face(500, size=120), face(205)], [face(500, size=130), face(210)]))
    assert len(segment) == 1 and segment[0].boxes[-1, 0] == 160
    assert segment[0].several == pytest.approx(2 / 3)


def test_small_faces_behind_do_not_count():
    assert find_segments(samples([face(200), face(500, size=40)]))[0].several == 0


def test_gaussian_smooth_is_a_normalised_gaussian(rng):
    x = np.zeros((101, 1))
    x[50] = 1
    y = gaussian_smooth(x, 4.0)[:, 0]
    expected = np.exp(-0.5 * (np.arange(-50, 51) / 4) ** 2)
    np.testing.assert_allclose(y[40:61], (expected / expected.sum())[40:61], atol=2e-3)
    np.testing.assert_allclose(gaussian_smooth(np.full((9, 2), 3.0), 2.0), 3.0)


def test_boxes_are_interpolated_without_outliers():
    times = np.arange(11) * 0.2
    boxes = np.stack([np.array(face(200 + 50 * t)[:4]) for t in times])
    wrong = boxes.copy()
    wrong[4] += 500
    at = np.arange(50) / 25
    got = boxes_at(Segment(times, wrong, 0.0), at)
    np.testing.assert_allclose(got[10:40, 0], 150 + 50 * at[10:40], atol=10)


def test_a_head_that_moves_a_little_moves_in_a_crop_that_stands_still():
    x = 300 + 20 * np.sin(np.arange(100) / 10)
    boxes = np.stack([np.array(face(value, 300)[:4]) for value in x])
    crop = steady_crop(boxes, (600, 600, 3), 1 / 25)
    assert not crop.follows and len(crop.squares) == 100 and len(set(crop.squares)) == 1
    assert crop.squares[0][:4] == pytest.approx(portrait_box(median_face(boxes), (600, 600, 3))[:4])
    centres = crop.components[:, 1, 1::2].mean(axis=1)  # of the mouth, along x
    np.testing.assert_allclose(centres, (x - crop.squares[0].x0) / crop.squares[0].size, atol=1e-5)


def test_a_head_that_crosses_the_picture_is_followed_steadily():
    x = np.linspace(150, 850, 250)
    boxes = np.stack([np.array(face(value, 300)[:4]) for value in x])
    crop = steady_crop(boxes, (600, 1000, 3), 1 / 25)
    sides = np.array([square.size for square in crop.squares])
    centres = np.array([square.centre[0] for square in crop.squares])
    assert crop.follows and np.ptp(sides) < 1e-6
    np.testing.assert_allclose(centres[75:175], x[75:175], atol=1.0)
    assert np.abs(np.diff(centres, 2)).max() < 0.5
    assert all(square.x0 >= -1e-6 and square.x1 <= 1000 + 1e-6 for square in crop.squares)


def test_settings_decide(rng):
    x = 300 + 20 * np.sin(np.arange(100) / 10)
    boxes = np.stack([np.array(face(value, 300)[:4]) for value in x])
    assert steady_crop(boxes, (600, 600, 3), 1 / 25, TrackSettings(still=0.05)).follows


def test_the_released_crop_follows_closely_at_the_side_of_the_first_frame(rng):
    from scipy.ndimage import gaussian_filter1d

    x, y, size = 300 + np.cumsum(rng.normal(size=60)), 250 + np.cumsum(rng.normal(size=60)), rng.uniform(80, 120, 60)
    size[0] = 101.0
    boxes = np.stack([x - size / 2, y - 0.4 * size, x + size / 2, y + 0.4 * size], axis=1)
    squares = np.array([square[:4] for square in released_crop(boxes, (600, 600, 3))])
    np.testing.assert_allclose(squares[:, 2:] - squares[:, :2], 110.0)  # 1.1 · 101 made even
    expected = gaussian_filter1d(np.stack([x, y], 1), 5.0, axis=0, mode="nearest", truncate=3.0)
    np.testing.assert_allclose((squares[:, :2] + squares[:, 2:]) / 2, expected, atol=1e-9)
    corner = np.array([square[:4] for square in released_crop(boxes - 250, (600, 600, 3))])
    assert corner.min() >= 0
