"""Frames in, frames out: checked with OpenCV's and imageio-ffmpeg's own FFmpeg, not with what wrote them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import struct
import subprocess
from fractions import Fraction

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from tests.gcs import gcs_bucket  # noqa: F401
from tests.media import builders
from xactor_jax.errors import UserError, verdict
from xactor_jax.media.audio_io import read_audio
from xactor_jax.media.video_io import NoPictures, VideoWriter, at_frame_rate, read_frames, to_yuv420


def ffmpeg(*arguments: str) -> str:
    """Runs the independent ffmpeg; its messages."""
    run = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-y", *arguments], capture_output=True, text=True)
    return run.stderr


def first_frame(path) -> np.ndarray:
    with contextlib.closing(read_frames(path)) as frames:
        return next(frames)[1]


def noise_video(rng, count: int, size: int = 32) -> np.ndarray:
    coarse = rng.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC) for frame in coarse])


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mov", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"), ("avi", "libx264"), ("mpg", "mpeg1video")],
)
def test_every_container(tmp_path, suffix, codec):
    path = builders.write_media(tmp_path / f"x.{suffix}", builders.numbered_frames(20), video_codec=codec)
    timed = list(read_frames(path))
    assert [round(time * 25) for time, _ in timed] == list(range(20))
    assert all(abs(builders.read_number(pixels) - i) <= 1 for i, (_, pixels) in enumerate(timed))
    assert timed[0][1].shape == (48, 64, 3) and timed[0][1].dtype == np.uint8


def test_unwanted_frames_come_without_pixels(tmp_path):
    path = builders.write_media(tmp_path / "x.mp4", builders.numbered_frames(10))
    assert [pixels is not None for _, pixels in read_frames(path, lambda time: time >= 0.3)] == [False] * 8 + [True] * 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_that_of_ffmpeg(tmp_path, degrees, rng):
    frame = np.repeat(noise_video(rng, 1, 64)[:, :48], 3, 0)
    plain = builders.write_media(tmp_path / "plain.mp4", frame)
    ffmpeg("-display_rotation", str(degrees), "-i", str(plain), "-c", "copy", str(tmp_path / "turned.mp4"))
    ffmpeg("-i", str(tmp_path / "turned.mp4"), "-frames:v", "1", str(tmp_path / "upright.png"))
    expected = cv2.imread(str(tmp_path / "upright.png"))[..., ::-1]
    upright = first_frame(tmp_path / "turned.mp4")
    assert upright.shape == expected.shape == ((48, 64, 3) if degrees == 180 else (64, 48, 3))
    assert np.abs(upright.astype(int) - expected).mean() < 2
    assert np.abs(np.rot90(upright, 2).astype(int) - expected).mean() > 10


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", range(4))
def test_every_display_matrix(tmp_path, turned, mirrored):
    matrix = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turned) @ np.diag([-1 if mirrored else 1, 1])
    frames = np.full((3, 48, 64, 3), 20, np.uint8)
    frames[:, :24, :32], frames[:, :24, 32:] = 220, 120  # upper left and right
    path = builders.write_media(tmp_path / "x.mp4", frames)
    data, (a, c), (b, d) = bytearray(path.read_bytes()), *matrix
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", *(int(v) << 16 for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)
    path.write_bytes(data)
    shown = first_frame(path)
    assert shown.shape[:2] == ((48, 64) if turned % 2 == 0 else (64, 48))
    for corner, value in (((-1, -1), 220), ((1, -1), 120), ((1, 1), 20), ((-1, 1), 20)):
        x, y = (matrix @ corner + 1) / 2  # of x to the right and y down
        place = round(y * (len(shown) - 9)) + 4, round(x * (shown.shape[1] - 9)) + 4
        assert abs(int(shown[place][0]) - value) < 8


def test_time_stamps_that_jump_are_refused(tmp_path):
    path = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(4), times=[0.0, 0.04, 0.08, 36000.0])
    with pytest.raises(UserError, match=r"x\.mkv jump by 36000 s"):
        list(read_frames(path))
    slow = builders.write_media(tmp_path / "y.mkv", builders.numbered_frames(3), times=[0.0, 0.04, 120.0])
    assert [round(time) for time, _ in read_frames(slow)] == [0, 0, 120]


def test_tags_may_be_in_any_encoding(tmp_path):
    path = builders.write_media(tmp_path / "x.mp4", builders.numbered_frames(3), title="Caf e")
    path.write_bytes(path.read_bytes().replace(b"Caf e", b"Caf\xe9e"))
    assert len(list(read_frames(path))) == 3


def test_pixels_that_are_not_square(tmp_path):
    path = builders.write_media(tmp_path / "x.mp4", builders.numbered_frames(3), pixel_aspect=Fraction(3, 2))
    assert first_frame(path).shape == (48, 96, 3)


def test_nearest_frame_of_any_rate():
    assert list(at_frame_rate(((i / 50, i) for i in range(100)), 0.0, 5)) == [0, 2, 4, 6, 8]
    assert list(at_frame_rate(((i / 10, i) for i in range(10)), 0.0, 8)) == [0, 0, 1, 1, 2, 2, 2, 3]
    assert list(at_frame_rate(((i / 30, i) for i in range(60)), 1.0, 4)) == [30, 31, 32, 34]
    variable = [(0.0, "a"), (0.03, "b"), (0.5, "c"), (0.52, "d")]
    times = np.arange(20) / 25
    expected = [min(variable, key=lambda frame: abs(frame[0] - time))[1] for time in times]
    assert list(at_frame_rate(iter(variable), 0.0, 20)) == expected
    assert list(at_frame_rate(iter([]), 0.0, 3)) == []


def test_variable_frame_rate(tmp_path):
    times = [0.0, 0.04, 0.08, 0.4, 0.44, 1.0]
    path = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(6), times=times)
    np.testing.assert_allclose([time for time, _ in read_frames(path)], times, atol=1e-3)
    numbers = [builders.read_number(pixels) for pixels in at_frame_rate(read_frames(path), 0.0, 26)]
    assert numbers[:4] == [0, 1, 2, 2] and numbers[10] == 3 and numbers[-1] == 5


def test_reading_errors(tmp_path, rng):
    (tmp_path / "x.mp4").write_bytes(rng.bytes(5000))
    with pytest.raises(UserError, match="damaged"):
        list(read_frames(tmp_path / "x.mp4"))
    with pytest.raises(UserError, match="there is no video"):
        list(read_frames(tmp_path / "none.mp4"))
    sound = builders.write_media(tmp_path / "x.m4a", audio=builders.click_track(1, 48000, [0.5]))
    with pytest.raises(NoPictures, match="no pictures"):
        list(read_frames(sound))


def write(path, frames, pieces: int = 7, **settings) -> None:
    with VideoWriter(path, frames.shape[1:3], **settings) as writer:
        for start in range(0, len(frames), pieces):
            writer.write(frames[start : start + pieces])


def test_written_video_as_others_see_it(tmp_path, rng):
    frames, audio = noise_video(rng, 53), builders.click_track(53 / 25, 16000, [0.5, 1.7])
    write(tmp_path / "x.mp4", frames, sound=audio, metadata={"title": "t"})
    text = ffmpeg("-i", str(tmp_path / "x.mp4"))
    assert re.search(r"Video: h264.*yuv420p\(tv, smpte170m.*25 fps", text) and "Audio: aac" in text and "16000 Hz, mono" in text
    assert "synthetic: generated by xactor_jax" in text and re.search(r"title +: t", text)
    capture = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 53 and capture.get(cv2.CAP_PROP_FPS) == 25
    seen = [capture.read()[1][..., ::-1] for _ in range(53)]
    assert np.abs(np.stack(seen).astype(int) - frames).mean() < 8  # colour is stored at half resolution
    ffmpeg("-i", str(tmp_path / "x.mp4"), "-f", "f32le", "-ar", "16000", "-ac", "1", str(tmp_path / "x.raw"))
    decoded = np.fromfile(tmp_path / "x.raw", np.float32)
    assert len(audio) <= len(decoded) < len(audio) + 1024
    lag = np.argmax(np.correlate(decoded[: len(audio)], audio, "full")) - (len(audio) - 1)
    assert lag == 0


def test_yuv_is_bt601_in_float64(rng):
    pixels = rng.integers(0, 256, (16, 24, 3), np.uint8)
    r, g, b = np.moveaxis(pixels.astype(np.float64) / 255, -1, 0)
    y = 16 + 219 * (0.299 * r + 0.587 * g + 0.114 * b)
    cb, cr = 128 + 224 * (b - (y - 16) / 219) / 1.772, 128 + 224 * (r - (y - 16) / 219) / 1.402
    halves = [c.reshape(8, 2, 12, 2).mean(axis=(1, 3)).reshape(4, 24) for c in (cb, cr)]
    planes = to_yuv420(pixels)
    assert planes.shape == (24, 24) and planes.dtype == np.uint8
    np.testing.assert_allclose(planes[:16], y, atol=0.51)
    np.testing.assert_allclose(planes[16:], np.concatenate(halves), atol=1.1)


def test_colours_are_kept(tmp_path):
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    frames[:, :, :16], frames[:, :, 16:] = (200, 30, 60), (60, 180, 220)
    write(tmp_path / "x.mp4", frames)
    for pixels in (first_frame(tmp_path / "x.mp4"), cv2.VideoCapture(str(tmp_path / "x.mp4")).read()[1][..., ::-1]):
        assert np.abs(pixels[16, [4, 28]].astype(int) - frames[0, 16, [4, 28]]).max() <= 4


def test_same_input_same_bytes_however_it_is_cut(tmp_path, rng):
    frames, audio = noise_video(rng, 60), rng.uniform(-0.5, 0.5, 60 * 640).astype(np.float32)
    for name, pieces in (("a", 60), ("b", 1), ("c", 17)):
        write(tmp_path / f"{name}.mp4", frames, pieces, sound=audio)
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_no_audio_track_without_audio(tmp_path, rng):
    write(tmp_path / "x.mp4", noise_video(rng, 3))
    with pytest.raises(UserError, match="has no sound"):
        read_audio(tmp_path / "x.mp4")


def test_sound_of_odd_length_is_whole(tmp_path, rng):
    audio = builders.click_track(2.013, 16000, [1.98])
    write(tmp_path / "x.mp4", noise_video(rng, 50), sound=audio)
    decoded = read_audio(tmp_path / "x.mp4")
    assert len(decoded) >= len(audio) and builders.onset(decoded) == pytest.approx(1.98, abs=0.002)


def test_written_as_it_comes(tmp_path, rng):
    frames = rng.integers(0, 256, (160, 64, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "x.mp4", 64) as writer:
        writer.write(frames)
        early = next(tmp_path.iterdir()).stat().st_size
        writer.write(frames)
        assert writer.frames_written == 320 and not (tmp_path / "x.mp4").exists()
        assert 100_000 < early < next(tmp_path.iterdir()).stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["x.mp4"]


def test_nothing_left_after_an_error(tmp_path, rng):
    (tmp_path / "x.mp4").write_text("before")
    with (
        pytest.raises(RuntimeError, match="stop"),
        VideoWriter(tmp_path / "x.mp4", 32, sound=np.zeros(9, np.float32)) as writer,
    ):
        writer.write(noise_video(rng, 3))
        raise RuntimeError("stop")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_writing_errors(tmp_path, rng):
    with pytest.raises(UserError, match="cannot be written"), VideoWriter(tmp_path / "none" / "x.mp4", 32):
        pass
    with pytest.raises(ValueError, match="even"):
        VideoWriter(tmp_path / "x.mp4", 33)
    with pytest.raises(ValueError, match="frames of"), VideoWriter(tmp_path / "x.mp4", 32) as writer:
        writer.write(noise_video(rng, 1, 64))
    assert not list(tmp_path.iterdir())


def test_gs_path(tmp_path, rng, gcs_bucket):
    from etils import epath

    frames, audio = noise_video(rng, 20), np.zeros(20 * 640, np.float32)
    remote = epath.Path(f"{gcs_bucket}/video_io/x.mp4")
    write(remote, frames, sound=audio)
    write(tmp_path / "x.mp4", frames, sound=audio)
    assert remote.read_bytes() == (tmp_path / "x.mp4").read_bytes()
    assert [file.name for file in remote.parent.iterdir()] == ["x.mp4"]
    assert len(list(read_frames(remote))) == 20
    with pytest.raises(RuntimeError), VideoWriter(f"{gcs_bucket}/video_io/y.mp4", 32) as writer:
        writer.write(frames)
        raise RuntimeError("stop")
    assert not epath.Path(f"{gcs_bucket}/video_io/y.mp4").exists()


def test_formats_of_the_wild(real_data):
    expected = {"h264_vfr_24.7fps_480.mp4": (252, 480, 480), "mpeg1_mp2_25fps_360x288.mpg": (75, 288, 360)}
    for name, (count, height, width) in expected.items():
        timed = list(read_frames(real_data / "formats" / name))
        assert len(timed) == count and timed[0][0] == 0.0 and timed[0][1].shape == (height, width, 3)


@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_full_disk_leaves_nothing(tmp_path, rng, limit):
    """As soon as nothing more can be written, and when the end of the file cannot be."""
    frames = rng.integers(0, 255, (20, 64, 64, 3), np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        refused = pytest.raises(UserError, match=r"x\.mp4 cannot be written \(.*File too large")
        with refused as raised, VideoWriter(tmp_path / "x.mp4", 64) as writer:
            writer.write(frames)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verdict(raised.value)[0] == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["10:30.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_odd_names_are_names(tmp_path, monkeypatch, name):
    """Of files in the folder that one is in, where FFmpeg takes what is before a colon for a protocol."""
    monkeypatch.chdir(tmp_path)
    with VideoWriter(name, 64) as writer:
        writer.write(np.zeros((3, 64, 64, 3), np.uint8))
    assert sum(1 for _ in read_frames(name)) == 3 and os.listdir() == [name]
