"""The face shows every control, where it should, on everybody."""

from __future__ import annotations

import numpy as np
import pytest

from data.performers.controls import LIMITS, NEUTRAL
from data.performers.sheet import EXPRESSIONS, contact_sheet
from data.puppets import body, face
from data.puppets.identity import HAIR_STYLES, luminance, make_identity
from data.puppets.pose import Pose
from xactor_jax.labels import CONTROLS

REGION = {"jaw": 1, "lip_width": 1, "lip_round": 1, "smile": 1} | dict.fromkeys(
    ("brow_raise", "brow_tilt", "lids", "gaze_x", "gaze_y"), 0
)


def swept(name: str, base: np.ndarray = NEUTRAL) -> np.ndarray:
    """Controls at rest with one at its lower, then at its upper limit."""
    rows = np.tile(base, (2, 1))
    rows[:, CONTROLS.index(name)] = LIMITS[name]
    return rows


def change(person: int, rows: np.ndarray, size: int = 64) -> np.ndarray:
    """Absolute difference of two pictures, mean over colours [size, size]."""
    low, high = face.render(make_identity(0, person), rows, size).astype(float)
    return np.abs(high - low).mean(-1)


@pytest.mark.parametrize("size", [32, 64, 100, 256])
def test_any_size(size):
    frames = face.render(make_identity(0, 0), np.tile(NEUTRAL, (2, 1)), size)
    assert frames.shape == (2, size, size, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[0], frames[1])


def test_sizes_show_the_same_picture():
    identity = make_identity(0, 3)
    small, large = (face.render(identity, NEUTRAL[None], size)[0].astype(float) for size in (64, 256))
    reduced = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.sqrt(np.mean((small - reduced) ** 2)) < 6


def test_frames_do_not_depend_on_each_other():
    identity, rows = make_identity(0, 5), np.tile(NEUTRAL, (2 * face.BLOCK + 3, 1))
    rows[:, 0] = np.linspace(0, 1, len(rows))
    whole = face.render(identity, rows, 32)
    for i in (0, face.BLOCK - 1, face.BLOCK, len(rows) - 1):
        np.testing.assert_array_equal(whole[i], face.render(identity, rows[i : i + 1], 32)[0])


@pytest.mark.parametrize("name", list(REGION))
@pytest.mark.parametrize("person", [0, 1, 2])
def test_face_control_shows_in_its_component(name, person):
    rows = swept(name)
    difference = change(person, rows)
    boxes = face.component_boxes(make_identity(0, person), rows)[:, REGION[name]]
    y0, x0, y1, x1 = np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)] * 64
    inside = difference[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].sum()
    assert (difference > 20).sum() >= 12, "too few pixels change"
    assert inside > 0.8 * difference.sum(), "it changes elsewhere"


@pytest.mark.parametrize("name", ["yaw", "pitch", "roll", "shift_x", "shift_y"])
def test_head_control_moves_the_whole_head(name):
    assert (change(1, swept(name)) > 20).sum() > 300


def test_pose_turns_as_documented():
    rows = np.zeros((6, 14))
    for i, name in enumerate(("yaw", "pitch", "roll", "shift_x", "shift_y")):
        rows[i + 1, CONTROLS.index(name)] = 0.1
    nose = Pose.from_controls(rows).rotate(np.zeros(1), np.zeros(1), np.ones(1))[:, 0]
    np.testing.assert_allclose(nose[1] - nose[0], [np.sin(0.1), 0], atol=1e-12)
    assert nose[2, 1] > nose[0, 1]
    assert nose[3, 0] > nose[0, 0], "the top of the head leans to the right"
    np.testing.assert_allclose(nose[4:] - nose[0], [[0.2, 0], [0, 0.2]], atol=1e-12)


def test_rotation_keeps_distances(rng):
    points = rng.normal(size=(3, 9))
    rows = np.zeros((1, 14))
    rows[0, 9:12] = 0.4, -0.2, 0.3
    pose = Pose.from_controls(rows)
    xy = pose.rotate(*points)[0]
    angles = pose.yaw.item(), pose.pitch.item(), pose.roll.item()
    cy, cp, cr = np.cos(angles)
    sy, sp, sr = np.sin(angles)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    pivot = np.array([[0.0], [0.25], [0.0]])
    expected = about_z @ about_x @ about_y @ (points - pivot) + pivot
    np.testing.assert_allclose(xy.T, expected[:2], atol=1e-12)


def test_closed_lids_hide_the_eyes():
    rows = swept("lids")
    closed, wide = face.render(make_identity(0, 1), rows, 128).astype(float)
    y0, x0, y1, x1 = (face.component_boxes(make_identity(0, 1), rows)[1, 0] * 128).astype(int)
    white = [(frame[y0:y1, x0:x1].min(-1) > 225).sum() for frame in (closed, wide)]
    assert white[0] == 0
    assert white[1] > 100


def test_jaw_shows_the_dark_inside_and_drops_the_chin():
    rows = swept("jaw")
    boxes = face.component_boxes(make_identity(0, 1), rows)[:, 1]
    assert boxes[1, 2] - boxes[0, 2] > 3 / 64
    closed, opened = face.render(make_identity(0, 1), rows, 64).astype(float)
    dark = [(frame[36:58, 22:42].max(-1) < 90).sum() for frame in (closed, opened)]
    assert dark[1] > dark[0] + 15


def test_boxes_follow_the_head_and_stay_inside():
    rows = np.tile(NEUTRAL, (2, 1))
    rows[1, CONTROLS.index("yaw")] = 0.3
    still, turned = face.component_boxes(make_identity(0, 2), rows)
    assert np.all(turned[:, 1] > still[:, 1])
    assert 0 <= min(still.min(), turned.min()) <= max(still.max(), turned.max()) <= 1
    assert np.all(still[:, 2:] > still[:, :2] + 0.1)


def test_everybody_is_somebody_else_and_can_be_read():
    people = [make_identity(0, person) for person in range(60)]
    assert len({identity.skin for identity in people}) == len({identity.pattern for identity in people}) == 60
    assert {identity.hair_style for identity in people} == set(HAIR_STYLES)
    for identity in people:
        assert abs(luminance(identity.brow) - luminance(identity.skin)) > 50
        assert abs(luminance(identity.lips) - luminance(identity.skin)) > 30
    assert make_identity(0, 7) == make_identity(0, 7) != make_identity(1, 7)


def test_contact_sheet():
    assert contact_sheet(body, 0, 2, 32).shape == (64, 32 * len(EXPRESSIONS), 3)


def test_expression_is_read_linearly_from_the_pixels_of_one_person():
    """At rest pose, ridge regression from 64×64 pixels finds every control of the face in frames not seen."""
    rng, identity = np.random.default_rng(0), make_identity(0, 1)
    names = ("jaw", "smile", "brow_raise", "brow_tilt", "lids")
    rows = np.tile(NEUTRAL, (500, 1))
    for name in names:
        rows[:, CONTROLS.index(name)] = rng.uniform(*LIMITS[name], 500)
    truth = rows[:, [CONTROLS.index(name) for name in names]]
    x = face.render(identity, rows, 64).reshape(500, -1) / 255.0
    x = x - x[:400].mean(0)
    kernel = x @ x[:400].T
    weights = np.linalg.solve(kernel[:400] + 2.0 * np.eye(400), truth[:400] - truth[:400].mean(0))
    error = kernel[400:] @ weights + truth[:400].mean(0) - truth[400:]
    r2 = 1 - (error**2).mean(0) / truth[400:].var(0)
    assert dict(zip(names, r2 > 0.7, strict=True)) == dict.fromkeys(names, True), r2
