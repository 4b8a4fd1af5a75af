"""Heads turn as the controls say, and the picture is the square that `prepare` would cut."""

from __future__ import annotations

import numpy as np
import pytest

from data.heads import camera, framing
from data.heads.camera import Framing, Lens, Pose
from xactor_jax.labels import CONTROLS
from xactor_jax.media.crop import portrait_box
from xactor_jax.media.track import median_face

EYES = np.array([0.0, 7.3, 1.25])
FRAMING = Framing(middle=(0.0, 7.0), side=2.4, plane=1.25)
NOSE, CROWN, CHEST = np.array([[0.0, 7.0, 1.7]]), np.array([[0.0, 8.4, 0.5]]), np.array([[0.0, 5.0, 1.0]])


def in_picture(point: np.ndarray, **controls: float) -> np.ndarray:
    row = np.zeros(len(CONTROLS))
    for name, value in controls.items():
        row[CONTROLS.index(name)] = value
    pose = Pose.from_controls(row, EYES, FRAMING.side)
    return camera.project(pose.apply(point.astype(np.float32), camera.head_share(point, EYES)), Lens(distance=10.0), FRAMING)[
        0, :2
    ]


def test_signs_are_the_puppets():
    assert in_picture(NOSE, yaw=0.2)[0] > in_picture(NOSE)[0] + 0.03, "to the right"
    assert in_picture(NOSE, pitch=0.2)[1] > in_picture(NOSE)[1] + 0.03, "down"
    assert in_picture(CROWN, roll=0.2)[0] > in_picture(CROWN)[0] + 0.03, "clockwise"


def test_shifts_are_fractions_of_the_picture():
    moved = in_picture(EYES[None], shift_x=0.05, shift_y=-0.03) - in_picture(EYES[None])
    np.testing.assert_allclose(moved, [0.05, -0.03], rtol=0.03)  # eyes at rest lie a little behind the plane of the picture


def test_shoulders_follow_a_little():
    for name in ("yaw", "shift_x"):
        head, chest = (abs(in_picture(point, **{name: 0.1}) - in_picture(point)).max() for point in (NOSE, CHEST))
        assert 0.01 * head < chest < 0.6 * head


def test_rotation_is_the_product_of_three_turns():
    yaw, pitch, roll = 0.3, -0.2, 0.15
    expected = _about(2, -roll) @ _about(0, pitch) @ _about(1, yaw)
    np.testing.assert_allclose(camera.rotation(yaw, pitch, roll), expected, atol=1e-6)


def _about(axis: int, angle: float) -> np.ndarray:
    """Right-handed rotation about an axis, by Rodrigues' formula."""
    cross = np.cross(np.eye(3)[axis], np.eye(3)).T
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize("distance", [4.5, 25.0])
def test_eyes_plane_is_seen_true_to_scale_and_near_things_larger(distance):
    points = np.array([[0.0, 7.0, 1.25], [1.2, 7.0, 1.25], [1.2, 7.0, 0.25]], np.float32)
    middle, edge, behind = camera.project(points, Lens(distance=distance), FRAMING)
    np.testing.assert_allclose(middle[:2], 0.5, atol=1e-6)
    np.testing.assert_allclose(edge[:2], [1.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(behind[0] - 0.5, 0.5 * distance / (distance + 1.0), atol=1e-6)
    assert edge[2] > behind[2] > 0


def test_frame_is_the_crop_about_the_median_box(rng):
    middles, sides = rng.normal(0.5, 0.05, (9, 2)), rng.uniform(0.5, 0.6, 9)
    got = framing.frame_boxes(middles, sides, FRAMING)
    boxes = np.c_[middles - sides[:, None] / 2, middles + sides[:, None] / 2]
    square = portrait_box(median_face(boxes), None)
    expected = np.array(square[:4]) * FRAMING.side
    x, y = got.middle[0] - FRAMING.middle[0] + FRAMING.side / 2, FRAMING.middle[1] - got.middle[1] + FRAMING.side / 2
    half = got.side / 2
    np.testing.assert_allclose([x - half, y - half, x + half, y + half], expected, atol=1e-9)
