"""Pictures of people: the same for the same arguments, at any size, and boxes where eyes and mouth are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.heads import background, light, sensor, shadow
from data.heads.framing import frame_clip
from data.heads.model import make_model
from data.heads.render import component_boxes, find_frame, render
from data.heads.scene import make_scene
from data.heads.shape import make_shape
from data.heads.stage import make_stage
from xactor_jax.labels import CONTROLS, UNITS
from xactor_jax.media.crop import portrait_box
from xactor_jax.media.faces import HaarDetector


@pytest.fixture(scope="module")
def person():
    """(model, shape, scene without noise)"""
    shape = make_shape(np.random.default_rng(1))
    return make_model(np.random.default_rng(1), shape), shape, make_scene(np.random.default_rng(1))


@pytest.fixture(scope="module")
def stage(person):
    """What does not change with the frames, made once for all tests."""
    return make_stage(*person[:2])


def acting(count: int, **values: float) -> tuple[np.ndarray, np.ndarray]:
    """Controls and units at rest, but for values of either's columns that grow from 0 over the frames."""
    controls, units = np.zeros((count, len(CONTROLS))), np.zeros((count, len(UNITS)), np.float32)
    controls[:, CONTROLS.index("lids")] = 0.8
    for name, value in values.items():
        columns, names = (controls, CONTROLS) if name in CONTROLS else (units, UNITS)
        columns[:, names.index(name)] = np.linspace(0.0, value, count)
    return controls, units


@pytest.mark.parametrize("size", [32, 96])
def test_any_size(person, stage, size):
    frames = render(*person, *acting(2), size, stage=stage, framing=frame_clip(person[1], person[2].lens, *acting(2)))
    assert frames.shape == (2, size, size, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 20


def test_same_bytes_however_frames_are_grouped(person, stage):
    controls, units = acting(4, yaw=0.3, jawOpen=0.5)
    framing = frame_clip(person[1], person[2].lens, controls, units)
    whole = render(*person, controls, units, 48, stage=stage, framing=framing)
    parts = [render(*person, controls[i : i + 2], units[i : i + 2], 48, stage=stage, framing=framing, first=i) for i in (0, 2)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_margin_shows_more_of_the_same(person, stage):
    controls, units = acting(1)
    framing = frame_clip(person[1], person[2].lens, controls, units)
    inner = render(*person, controls, units, 64, stage=stage, framing=framing)[0]
    outer = render(*person, controls, units, 96, stage=stage, framing=framing, margin=0.25)[0]
    assert np.sqrt(np.mean((outer[16:80, 16:80].astype(float) - inner) ** 2)) < 16


def test_boxes_hold_what_moves(person, stage):
    for part, name in enumerate(("eyeBlinkLeft", "jawOpen")):
        controls, units = acting(2, **{name: 1.0})
        framing = frame_clip(person[1], person[2].lens, controls, units)
        change = np.abs(
            np.diff(render(*person, controls, units, 96, stage=stage, framing=framing).astype(float), axis=0)[0]
        ).mean(-1)
        boxes = component_boxes(*person, controls, units, framing=framing)[:, part]
        y0, x0, y1, x1 = np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)] * 96
        change = cv2.GaussianBlur(change, (0, 0), 1.0)
        y, x = np.unravel_index(change.argmax(), change.shape)
        assert y0 < y < y1 and x0 < x < x1


def test_gaze_moves_the_irises(person, stage):
    controls, units = acting(2, gaze_x=1.0)
    framing = frame_clip(person[1], person[2].lens, controls, units)
    frames = render(*person, controls, units, 96, stage=stage, framing=framing).astype(float)
    y0, x0, y1, x1 = (component_boxes(*person, controls, units, framing=framing)[0, 0] * 96).astype(int)
    assert np.abs(frames[1] - frames[0])[y0:y1, x0:x1].max() > 25
    change = (frames[1] - frames[0])[y0:y1, x0:x1].mean(-1)
    darker, lighter = (
        np.average(np.arange(change.shape[1]), weights=np.clip(sign * change, 0, None).sum(0)) for sign in (-1, 1)
    )
    assert darker > lighter + 1, "irises go to the right of the picture"


def test_the_detector_cuts_the_same_picture(person, stage):
    controls, units = acting(1)
    margin, size = 0.35, 288
    wide = render(
        *person, controls, units, size, margin=margin, stage=stage, framing=find_frame(*person, controls, units, stage=stage)
    )[0]
    square = portrait_box(HaarDetector().detect(wide)[0])
    got = np.array(square[:4]) / size * (1 + 2 * margin) - margin
    np.testing.assert_allclose(got, [0, 0, 1, 1], atol=0.04)


def test_surroundings_light_by_direction():
    lit = light.make_light(np.random.default_rng(0))
    axes = np.r_[np.eye(3), -np.eye(3)].astype(np.float32)
    np.testing.assert_allclose(light.surround(lit, axes), np.array(lit.surroundings)[[0, 2, 4, 1, 3, 5]], rtol=1e-6)


def test_a_roof_keeps_light_from_above():
    roof = np.array([[-1, 1, -1], [1, 1, -1], [-1, 1, 1], [1, 1, 1]], np.float32)
    floor = np.array([[0, 0, 0], [2, 0, 0]], np.float32)
    points, casters = np.r_[roof, floor], np.array([[0, 2, 1], [1, 2, 3]], np.int32)
    box = shadow.Box(np.zeros(3, np.float32), 2.5)
    got = shadow.reached(points, points, casters, np.array([0.0, 1.0, 0.0]), 0.1, box)
    np.testing.assert_allclose(got, [1, 1, 1, 1, 0, 1], atol=0.01)


@pytest.mark.parametrize("kind", background.KINDS)
def test_backgrounds_look_the_same_at_any_size(kind):
    ground = background.Background(kind=kind, seed=3, blur=0.01, gain=1.0, sway=0.0)
    small, large = background.draw(ground, 32), background.draw(ground, 64)
    reduced = cv2.resize(large, small.shape[:2], interpolation=cv2.INTER_AREA)
    assert np.isfinite(large).all()
    assert np.abs(reduced - small).mean() < 0.06


def test_tone_curve_rises_from_black_to_white():
    curve = sensor.tone_curve(0.8).astype(int)
    assert curve[0] == 0
    assert curve[-1] >= 250
    assert (np.diff(curve) >= 0).all()
