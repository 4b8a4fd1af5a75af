"""Points of the mesh lie on a rendered head's eyes, nose and mouth, however the picture is turned."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faces.conftest import SIZE, turn
from xactor_jax.faces import mesh
from xactor_jax.faces.landmarks import landmarks
from xactor_jax.faces.region import Region, around_box, around_points, cut, put_back, tilt
from xactor_jax.media.faces import FaceBox

PARTS = ((33, 133, 159, 145), (263, 362, 386, 374), (13, 14, 78, 308), (1, 4))
"""Points about the right eye, the left eye, the mouth, and at the tip of the nose."""


def parts(points: np.ndarray) -> np.ndarray:
    """Their middles."""
    return np.stack([points[list(part), :2].mean(0) for part in PARTS])


def test_points_lie_on_eyes_and_mouth(head):
    for frame, truth in zip(head.frames, head.points, strict=True):
        points, presence = landmarks(frame, head.face)
        assert points.shape == (468, 3) and points.dtype == np.float32 and presence > 0.99
        off = np.linalg.norm(parts(points) - truth * SIZE, axis=1) / head.face.size
        assert off[:3].max() < 0.05 and off[3] < 0.08, off


@pytest.mark.parametrize("degrees", [-40, 25])
def test_points_turn_with_the_picture(head, degrees):
    image, way = turn(head.wide, degrees)
    face = FaceBox(*(c + SIZE / 2 for c in head.face[:4]))
    upright, _ = landmarks(head.wide, face)
    turned, presence = landmarks(image, face)
    off = np.linalg.norm(upright[:, :2] @ way[:, :2].T + way[:, 2] - turned[:, :2], axis=1)
    assert presence > 0.99 and off.mean() < 0.02 * face.size
    assert np.abs(upright[:, 2] - turned[:, 2]).mean() < 0.03 * face.size


def test_no_presence_without_a_face(rng):
    noise = rng.integers(0, 256, (200, 200, 3), np.uint8)
    assert landmarks(noise, FaceBox(40, 40, 160, 160))[1] < 0.1


def test_a_region_and_back():
    region = Region(120.0, 80.0, 96.0, 0.3)
    image = np.zeros((200, 240, 3), np.uint8)
    image[60:63, 130:133] = 255
    y, x = np.argwhere(cut(image, region)[..., 0] > 250).mean(0) + 0.5
    back = put_back(np.array([[x, y, 1.0]]), region)[0]
    np.testing.assert_allclose(back, [131.5, 61.5, 96 / mesh.SIDE], atol=0.3)


def test_regions_around_a_box_and_around_points(rng):
    np.testing.assert_allclose(around_box(np.array([10.0, 20, 30, 44])), [20, 32, 36, 0])
    assert tilt(np.array([0.0, 0.0]), np.array([2.0, 2.0])) == pytest.approx(np.pi / 4)
    points = rng.uniform(0, 100, (468, 3))
    points[[33, 263]] = [[20, 50, 0], [80, 50, 0]]
    region = around_points(points)
    angle = 0.5
    axes = Region(0, 0, 0, angle).axes()
    turned = around_points(np.concatenate([points[:, :2] @ axes, points[:, 2:]], axis=1))
    assert turned.angle == pytest.approx(angle) and turned.side == pytest.approx(region.side)
    np.testing.assert_allclose(turned[:2], np.array(region[:2]) @ axes)
