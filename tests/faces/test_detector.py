"""BlazeFace finds heads upright, tilted and small, draws boxes as the cascade does, and finds nothing where nothing is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.prepare_video import VideoSettings
from tests.faces.conftest import turn
from xactor_jax.errors import UserError
from xactor_jax.faces.choice import DETECTOR, make_detector
from xactor_jax.faces.detection import Found, anchors, in_square, merged
from xactor_jax.faces.detector import BlazeFaceDetector
from xactor_jax.media.faces import FaceBox, FaceDetector, HaarDetector
from xactor_jax.media.image_io import read_image
from xactor_jax.sampling.request import RenderRequest


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return make_detector("blazeface")


def near(found: FaceBox, middle: tuple[float, float], size: float, within: float = 0.12) -> bool:
    """Whether middle and side are right, up to a fraction of the side."""
    return np.hypot(found.centre[0] - middle[0], found.centre[1] - middle[1]) < within * size and (
        abs(np.log(found.size / size)) < 0.25
    )


def test_it_is_what_finds_faces_unless_another_is_asked_for(tmp_path):
    assert DETECTOR == VideoSettings().detector == RenderRequest(image="", out="").detector == "blazeface"
    assert isinstance(make_detector("opencv"), HaarDetector)
    with pytest.raises(UserError, match="no face detector 'haar': use blazeface, opencv"):
        make_detector("haar")


def test_it_is_a_detector(detector):
    assert isinstance(detector, FaceDetector) and isinstance(detector, BlazeFaceDetector)


def test_anchors_of_a_small_picture():
    assert anchors(128, 128).shape == (896, 2)
    fine, coarse = anchors(16, 32)[:16:2], anchors(16, 32)[16:]
    np.testing.assert_array_equal(fine, [[4, 4], [12, 4], [20, 4], [28, 4], [4, 12], [12, 12], [20, 12], [28, 12]])
    np.testing.assert_array_equal(coarse, [[8, 8]] * 6 + [[24, 8]] * 6)


def test_upright_heads_have_the_cascades_box(detector, head):
    for t, frame in enumerate(head.frames):
        (found,) = detector.detect(frame)
        assert near(found, head.face.centre, head.face.size, 0.12 if t in (0, 4) else 0.3), t
    (cascade,), (found,) = HaarDetector().detect(head.frames[0]), detector.detect(head.frames[0])
    assert near(found, cascade.centre, cascade.size, 0.06)


@pytest.mark.parametrize("degrees", [-25, 25, 60])
def test_tilted_heads(detector, head, degrees):
    image, way = turn(head.wide, degrees)
    x, y = (c + head.frames.shape[1] / 2 for c in head.face.centre)
    (found,) = detector.detect(image)
    assert near(found, tuple(way @ (x, y, 1.0)), head.face.size, 0.15)


def test_a_small_head_in_a_large_picture(detector, head):
    height, width, size = 540, 960, 48
    large = np.linspace(60, 200, width, dtype=np.uint8)[None, :, None].repeat(height, 0).repeat(3, 2)
    side = round(len(head.wide) * size / head.face.size)
    large[200 : 200 + side, 500 : 500 + side] = cv2.resize(head.wide, (side, side), interpolation=cv2.INTER_AREA)
    (found,) = detector.detect(large)
    x, y = (c * size / head.face.size + side / 4 for c in head.face.centre)
    assert found.size < 0.06 * width and near(found, (500 + x, 200 + y), size, 0.15)


def test_nothing_in_noise_and_in_little_pictures(detector, rng):
    noise = rng.integers(0, 256, (300, 400, 3), np.uint8)
    soft = cv2.resize(rng.integers(0, 256, (12, 12, 3), np.uint8), (320, 320), interpolation=cv2.INTER_CUBIC)
    flat = np.full((3, 5, 3), 128, np.uint8)
    assert detector.detect(noise) == detector.detect(soft) == detector.detect(flat) == []


def test_faces_are_merged_by_weight():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60.0]])
    points = boxes[:, None, :2].repeat(6, 1)
    found = merged(Found(np.array([0.9, 0.3, 0.8]), boxes, points))
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    np.testing.assert_allclose(found.boxes, [[0.25, 0, 10.25, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(found.points[0, 0], [0.25, 0])


def test_a_wide_picture_in_a_square():
    square, factor = in_square(np.full((20, 40, 3), 9, np.uint8), 16)
    assert factor == 2.5 and square[:8].min() == 9 and square[8:].max() == 0


@pytest.mark.slow  # quick: test_upright_heads_have_the_cascades_box, test_tilted_heads
def test_real_portraits(detector, real_data):
    counts = {file.name: len(detector.detect(read_image(file))) for file in sorted((real_data / "images").iterdir())}
    assert counts.pop("multi_01_p071.jpg") == 5 and counts.pop("neg_01_p076.jpg") == 0
    assert set(counts.values()) == {1}
