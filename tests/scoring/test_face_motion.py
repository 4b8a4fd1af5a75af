"""Measures of a face do not depend on how it is turned, and angles are those that it was turned by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.faces.conftest import POSES, head  # noqa: F401 (a fixture)
from xactor_jax.scoring import face_motion
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.video import of_frames

MEASURES = (face_motion.mouth_opening, face_motion.mouth_width, face_motion.lid_opening, face_motion.brow_height)


def turned(points: np.ndarray, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turned by degrees; positive angles are to the right of the picture, down, and clockwise."""
    return points @ Rotation.from_euler("ZXY", [roll, pitch, -yaw], degrees=True).as_matrix().T


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, -15), (25, -10, 12)])
def test_angles_are_those_that_a_straight_face_was_turned_by(face, angles):
    straight = face @ face_motion.head_axes(face[None])[0]
    np.testing.assert_allclose(face_motion.head_pose(turned(straight, *angles)[None])[0], angles, atol=1e-3)


def test_a_face_to_the_right_has_its_nose_on_the_right(face):
    straight = (face - face.mean(axis=0)) @ face_motion.head_axes(face[None])[0]
    nose = lambda *angles: turned(straight, *angles)[4]
    assert nose(20, 0, 0)[0] > nose(0, 0, 0)[0] + 5 and nose(0, 20, 0)[1] > nose(0, 0, 0)[1] + 5
    assert turned(straight, 0, 0, 20)[263, 1] > straight[263, 1] + 5


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_do_not_depend_on_position_size_and_turn(face, measure):
    other = 2.5 * turned(face, 30, -10, 20) + (100, 50, 3)
    np.testing.assert_allclose(measure(other[None]), measure(face[None]), rtol=1e-3)


def test_mouth_lids_and_brows_are_measured_each_by_its_own_number(face):
    eyes = np.linalg.norm(face[33] - face[263])
    down = face_motion.head_axes(face[None])[0, :, 1]
    apart = np.linalg.norm(face[13] - face[14])
    opened, raised, closed = face.copy(), face.copy(), face.copy()
    opened[14] += (face[14] - face[13]) / apart * 0.3 * eyes
    raised[list(face_motion.BROWS)] -= 0.1 * eyes * down
    closed[[160, 158]] = closed[[144, 153]]
    change = lambda points: [measure(points[None])[0] - measure(face[None])[0] for measure in MEASURES]
    np.testing.assert_allclose(np.hstack(change(opened)), [0.3, 0, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(np.hstack(change(raised)), [0, 0, 0, 0, 0.1], atol=1e-4)
    assert face_motion.lid_opening(closed[None])[0, 0] == 0 and np.hstack(change(closed))[3] == 0


def test_no_face_no_value(face):
    points = np.stack([face, np.full_like(face, np.nan)])
    for measure in (*MEASURES, face_motion.head_pose):
        found = measure(points).reshape(2, -1)
        assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()


@pytest.mark.slow
def test_a_rendered_head_is_seen_as_it_moves(head):  # noqa: F811
    points = landmarks_of(of_frames("head", head.frames))
    found = np.radians(face_motion.head_pose(points) - face_motion.head_pose(points[:1]))
    truth = np.array([[pose.get(name, 0.0) for name in ("yaw", "pitch", "roll")] for pose in POSES])
    np.testing.assert_allclose(found, truth, atol=0.13)
    opening = face_motion.mouth_opening(points)
    assert opening[4] > opening[:4].max() + 0.15
