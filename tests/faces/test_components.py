"""Boxes of eyes and mouth: the renderer's on rendered heads, steady over time, and in prepared records."""

from __future__ import annotations

import numpy as np

from data.prepare_video import VideoJob, VideoSettings, prepare_video, read_record
from tests.faces.conftest import SIZE
from tests.media import builders
from xactor_jax.faces.components import EVERY, look_at, steady
from xactor_jax.media.crop import component_boxes as by_proportions
from xactor_jax.media.crop import within
from xactor_jax.media.faces import FaceBox

WHOLE = FaceBox(0, 0, SIZE, SIZE)


def common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area in common, of the union, of boxes (y0, x0, y1, x1)."""
    area = lambda low, high: np.prod(np.clip(high - low, 0, None), axis=-1)
    both = area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    return both / (area(a[..., :2], a[..., 2:]) + area(b[..., :2], b[..., 2:]) - both)


def test_boxes_are_the_renderers(head):
    looks = [look_at(frame, head.face) for frame in head.frames]
    assert all(seen for _, seen in looks)
    shared = common(np.stack([boxes for boxes, _ in looks]), head.boxes)
    assert shared.min() > 0.72 and shared.mean() > 0.85, shared
    fixed = common(np.stack([by_proportions(head.face, WHOLE)] * len(head.frames)), head.boxes)
    assert shared.mean() > fixed.mean() + 0.1


def test_boxes_over_time_without_a_face_are_the_others():
    otherwise = np.random.default_rng(0).random((40, 1, 1)).repeat(2, 1).repeat(4, 2)
    otherwise[:] = otherwise[0]
    low, high = np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)
    looks = [(high, i * EVERY < 20) for i in range(len(range(0, 40, EVERY)))]
    found = steady(looks, otherwise, 0.04)
    assert found.shape == otherwise.shape and found.dtype == np.float32
    np.testing.assert_allclose(found[:12], 1.0, atol=1e-6)
    np.testing.assert_allclose(found[28:], otherwise[28:], atol=1e-6)
    rising = steady([(low, True), (high, True)] + [(high, True)] * 18, otherwise, 10.0)
    np.testing.assert_allclose(rising[: EVERY + 1, 0, 0], np.linspace(0, 1, EVERY + 1))


def test_a_box_within_a_crop():
    assert within(FaceBox(30, 40, 50, 70, 0.5), FaceBox(20, 20, 120, 120), 50) == FaceBox(5, 10, 15, 25, 0.5)


def test_prepared_records_have_them(head, tmp_path):
    builders.write_media(tmp_path / "a.mp4", np.repeat(head.wide[None], 30, axis=0))
    settings = VideoSettings(size=SIZE, detector="blazeface", min_seconds=1.0, detections=2.0)
    row = prepare_video(VideoJob(path=str(tmp_path / "a.mp4"), relative="a.mp4", staged=str(tmp_path / "s"), settings=settings))
    assert row["status"] == "kept", row
    boxes = read_record(tmp_path / "s.0000.npz")["component_boxes"]
    assert boxes.shape == (30, 2, 4)
    assert common(boxes, head.boxes[:1]).min() > 0.72
