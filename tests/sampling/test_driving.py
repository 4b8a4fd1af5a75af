"""Motion from files and from videos."""

from __future__ import annotations

import numpy as np
import pytest

from tests.media.builders import numbered_frames, read_number, write_media
from xactor_jax.errors import UserError
from xactor_jax.media.faces import FaceBox
from xactor_jax.sampling import driving
from xactor_jax.sampling.driving import driving_motion, driving_pictures, find_driving, read_motion, relative_motion
from xactor_jax.sampling.output import write_motion


class BrightSquare:
    """Finds the bright square of `video_of`, unless there is none."""

    def __init__(self, others: int = 0):
        self.others, self.calls = others, 0

    def detect(self, image):
        self.calls += 1
        rows, columns = np.nonzero(image[..., 1] > 180)
        if not len(rows):
            return []
        box = FaceBox(*map(float, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
        return [box, *(FaceBox(2.0 + 40 * i, 2.0, 26.0 + 40 * i, 26.0) for i in range(self.others))]


def video_of(path, x, fps: int = 25):
    """A square of 24 pixels at the given places, -1: none."""
    frames = np.full((len(x), 96, 160, 3), 20, np.uint8)
    for frame, left in zip(frames, x, strict=True):
        if left >= 0:
            frame[40:64, left : left + 24] = 255
    return str(write_media(path, frames, fps=fps))


def test_the_crop_of_a_video_of_any_rate_has_25_frames_a_second(tmp_path):
    path = str(write_media(tmp_path / "v.mp4", numbered_frames(50), fps=50))
    found = find_driving(path, "none", pytest.fail)
    assert found.start == 0.0 and found.frames == 25
    pictures = list(driving_pictures(found, 48))
    assert [read_number(picture) for picture in pictures] == pytest.approx(list(range(0, 50, 2)), abs=1)
    assert pictures[0].shape == (48, 48, 3)


def test_the_released_crop_looks_at_every_frame_and_goes_along(tmp_path):
    path = video_of(tmp_path / "v.mp4", range(10, 110, 2))
    detector = BrightSquare()
    found = find_driving(path, "released", pytest.fail, detector)
    assert detector.calls == found.frames == 50
    np.testing.assert_allclose([square.size for square in found.squares], 26.0)
    middles = np.array([square.centre[0] for square in found.squares])
    np.testing.assert_allclose(middles[15:35], np.arange(10, 110, 2)[15:35] + 12, atol=0.6)
    kept_still = find_driving(path, "auto", pytest.fail, detector)
    assert detector.calls == 50 + 10 and kept_still.squares[0].size == pytest.approx(1.6 * 24, abs=1)


def test_only_the_part_with_the_face_drives_and_a_warning_says_so(tmp_path):
    path = video_of(tmp_path / "v.mp4", [-1] * 50 + [60] * 50)
    warnings = []
    found = find_driving(path, "auto", warnings.append, BrightSquare())
    assert found.start == pytest.approx(2.0, abs=0.05) and found.frames == pytest.approx(50, abs=1)
    assert len(warnings) == 1 and "that part is used" in warnings[0]


@pytest.mark.parametrize(("x", "others", "message"), [(-1, 0, "no face was found"), (60, 1, "several faces were found")])
def test_one_face_is_needed(tmp_path, x, others, message):
    path = video_of(tmp_path / "v.mp4", [x] * 10)
    with pytest.raises(UserError, match=message):
        find_driving(path, "auto", pytest.fail, BrightSquare(others))


def test_pictures_are_encoded_in_order_a_batch_at_a_time(tmp_path, monkeypatch):
    path = str(write_media(tmp_path / "v.mp4", numbered_frames(30)))
    monkeypatch.setattr(driving, "BATCH", 8)
    sizes = []

    def encode(images):
        sizes.append(len(images))
        return np.array([[read_number(image)] for image in images], np.float32)

    latents = np.concatenate(list(driving_motion(find_driving(path, "none", pytest.fail), encode, 48)))
    assert sizes == [8, 8, 8, 6]
    np.testing.assert_allclose(latents[:, 0], np.arange(30), atol=1)


def test_relative_motion_begins_at_the_portrait_and_keeps_the_changes(rng):
    motion, reference = rng.normal(size=(30, 8)).astype(np.float32), rng.normal(size=8).astype(np.float32)
    changed = np.concatenate(list(relative_motion(iter([motion[:8], motion[8:]]), reference)))
    np.testing.assert_allclose(changed[0], reference, atol=1e-6)
    np.testing.assert_allclose(np.diff(changed, axis=0), np.diff(motion, axis=0), atol=1e-5)


def test_saved_motion_is_read_as_it_was_written(tmp_path, rng):
    motion = rng.normal(size=(7, 8)).astype(np.float32)
    write_motion(str(tmp_path / "m.npz"), motion, motion[0], "abc")
    saved = read_motion(str(tmp_path / "m.npz"), 8)
    np.testing.assert_array_equal(saved.latents, motion)
    assert saved.motion_hash == "abc"
    np.savez(tmp_path / "old.npz", motion_latents=motion, reference_motion=motion[0], frame_rate=25)
    assert read_motion(str(tmp_path / "old.npz"), 8).motion_hash == ""


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"motion_latents": np.zeros((7, 9))}, "have 9 numbers, not 8"),
        ({"motion_latents": np.zeros((0, 8))}, "finite numbers"),
        ({"motion_latents": np.full((2, 8), np.nan)}, "finite numbers"),
        ({"motion_latents": np.zeros((2, 8)), "frame_rate": 30}, "are 30 a second, not 25"),
        ({"motion": np.zeros((2, 8))}, "holds no motion latents"),
        ({"motion_latents": np.array([{}])}, "holds no motion latents"),
    ],
)
def test_what_is_no_saved_motion(tmp_path, arrays, message):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(UserError, match=message):
        read_motion(str(tmp_path / "m.npz"), 8)


def test_a_file_of_something_else_is_no_saved_motion(tmp_path):
    (tmp_path / "m.npz").write_bytes(b"PK no")
    with pytest.raises(UserError, match="holds no motion latents"):
        read_motion(str(tmp_path / "m.npz"), 8)
    with pytest.raises(UserError, match="no file of motion latents at"):
        read_motion(str(tmp_path / "none.npz"), 8)
