"""Reads frames of any video with their times, and writes H.264 + AAC mp4 files piece by piece.

Time 0 is the first picture (`containers.video_origin`), for sound as well (`audio_io`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.containers import check_gap, open_container, video_origin, video_stream
from xactor_jax.media.marks import SYNTHETIC, Marks, draw_mark, sign_video
from xactor_jax.media.pixels import display_matrix, rgb, upright
from xactor_jax.media.sound_track import Sound, open_track
from xactor_jax.paths import absolute, is_remote
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import removed_on_error


class NoPictures(UserError):
    """The file can be read, but has no video stream."""


X264_OPTIONS = {"crf": "17", "preset": "medium", "threads": "4", "x264-params": "mbtree=0"}
"""x264's output depends on its number of threads, so the number is fixed: the same input then gives the same bytes. The
macroblock tree is off because it uses approximate reciprocals, which differ between processors."""

LARGEST_PICTURE = 36_864 * 16 * 16
"""Pixels of a picture, at most: those of H.264's level 5.2 (Table A-1), as in 4096 x 2304. Few players show more."""

BT601 = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], np.float32) / 255
"""Converts R'G'B' in 0…255 to Y' - 16, Cb - 128, Cr - 128 of limited range (ITU-R BT.601)."""


def check_picture_size(height: int, width: int, name: str) -> None:
    """Raises `UserError` for a picture that is too large for a video; `name` is for the message."""
    if height * width > LARGEST_PICTURE:
        scale = (LARGEST_PICTURE / (height * width)) ** 0.5
        fits = f"{int(width * scale)} x {int(height * scale)}"
        raise UserError(f"{name} is too large for H.264 ({width} x {height} pixels): make it {fits} pixels or smaller.")


def frame_pixels(frame: av.VideoFrame, aspect: Fraction = Fraction(1)) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels, square and upright. `aspect` is the width over the height of a stored pixel."""
    pixels = rgb(frame)
    if aspect != 1:
        width = max(1, round(pixels.shape[1] * float(aspect)))
        pixels = cv2.resize(pixels, (width, pixels.shape[0]), interpolation=cv2.INTER_LINEAR)
    return upright(pixels, display_matrix(frame))


def to_yuv420(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "planes w"]:
    """Planes Y, Cb, Cr, one below the other, colour averaged over 2 × 2 pixels. Plain arithmetic: always the same bytes."""
    height, width = pixels.shape[:2]
    luma = cv2.transform(pixels, BT601[:1]).reshape(height, width) + np.uint8(16)
    halved = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = np.rint(cv2.transform(halved.astype(np.float32), BT601[1:]) + 128).astype(np.uint8)
    return np.concatenate([luma, chroma.transpose(2, 0, 1).reshape(-1, width)])


def _decoded(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames of a stream. Packets that cannot be decoded are skipped."""
    stream.thread_type = "AUTO"
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _pixel_aspect(stream: av.VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and Fraction(1, 4) < aspect < 4 else Fraction(1)


Pick = Callable[[float], bool]


def read_frames(path: epath.PathLike, pick: Pick | None = None) -> Iterator[tuple[float, UInt8[np.ndarray, "h w 3"] | None]]:
    """(time in seconds, RGB pixels) of every frame in display order, upright. Memory does not grow with the video's length.

    Args:
        pick: decides by a frame's time whether its pixels are needed; otherwise they are None, which is faster.

    Raises:
        UserError: the file is missing or cannot be read.
        NoPictures: it has only sound.
    """
    last = -np.inf
    with open_container(path, "video") as container:
        stream = video_stream(container)
        if stream is None:
            raise NoPictures(f"{path} has no pictures: give a file with a video stream.")
        origin, aspect, step = video_origin(container), _pixel_aspect(stream), 1 / float(stream.average_rate or FRAME_RATE)
        numbered = container.format.name == "avi"
        for frame in _decoded(container, stream):
            stamp = _numbered_time(frame) if numbered else frame.time
            origin = stamp if numbered and last == -np.inf and stamp is not None else origin
            time = stamp - origin if stamp is not None else max(0.0, last + step)
            if time > last:
                check_gap(path, time - max(last, 0.0))
                yield time, frame_pixels(frame, aspect) if pick is None or pick(time) else None
                last = time
    if last == -np.inf:
        raise UserError(f"{path} holds no picture that can be decoded: it is damaged.")


def _numbered_time(frame: av.VideoFrame) -> float | None:
    """Seconds of a frame of AVI, which has numbers of frames instead of time stamps, from a constant start.

    Frame 0 belongs to the first sound. FFmpeg guesses time stamps from the numbers, late by the delay of the decoder, and not
    in order where there are B-frames.
    """
    return None if frame.dts is None else float(frame.dts * frame.time_base)


def at_frame_rate(frames: Iterable[tuple[float, Any]], start: float, count: int, rate: int = FRAME_RATE) -> Iterator[Any]:
    """The frames nearest to the times start + k / rate, k < count. After the end, the last frame is repeated."""
    k, held = 0, None
    for time, frame in frames:
        while held is not None and k < count and start + k / rate <= (held[0] + time) / 2:
            yield held[1]
            k += 1
        if k == count:
            return
        held = (time, frame)
    for _ in range(count - k if held is not None else 0):
        yield held[1]


def read_at_frame_rate(path: epath.PathLike, start: float, count: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """`count` frames at 25 a second from `start` seconds on, from a video of any rate. Raises errors as `read_frames` does."""
    wanted = lambda time: start - 1.0 <= time <= start + (count + 1) / FRAME_RATE
    with contextlib.closing(read_frames(path, wanted)) as frames:
        yield from at_frame_rate(((time, pixels) for time, pixels in frames if pixels is not None), start, count)


class VideoWriter:
    """Writes an mp4 (H.264 yuv420p and AAC) piece by piece. The same input gives the same bytes.

    It is a context manager: `with VideoWriter(path, 256, sound=waveform) as writer: writer.write(frames)`. A local file gets
    its name when it is complete, and no file is left after an error. A file for gs:// is copied there when it is complete.

    Args:
        path: of the mp4, local or gs://.
        size: side of square frames, or (height, width), even, in pixels.
        fps: frames per second.
        sound: sound of the whole video, from a file or as a waveform; None: no sound track.
        metadata: tags of the file; `comment` says that the video is synthetic, unless it is given here.
        marks: text in the pictures, and the certificate of a C2PA manifest. A signature has a time, so its bytes differ.

    Raises:
        UserError: the file cannot be written.
        ValueError: odd sizes, frames of another size.
    """

    def __init__(
        self,
        path: epath.PathLike,
        size: int | tuple[int, int],
        fps: int = FRAME_RATE,
        sound: Sound | None = None,
        metadata: dict[str, str] | None = None,
        marks: Marks | None = None,
    ):
        self.path = absolute(path)  # FFmpeg takes text before a colon for a protocol, unless there is a / before it
        self.height, self.width = (size, size) if isinstance(size, int) else size
        if self.height % 2 or self.width % 2:
            raise ValueError(f"H.264 in yuv420p needs even sizes, not {self.height} x {self.width}")
        self._fps, self._sound, self._track, self._marks = fps, sound, None, marks or Marks()
        self._metadata = {"comment": SYNTHETIC, **(metadata or {})}
        self.frames_written = 0

    def __enter__(self) -> VideoWriter:
        self._temporary = self._temporary_path()
        self._noted = contextlib.ExitStack()
        self._noted.enter_context(removed_on_error(self._temporary))
        try:
            self._container = av.open(
                self._temporary, "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
            )
        except (av.FFmpegError, OSError) as error:
            self._noted.close()
            raise self._unwritable(error) from error
        try:
            self._container.metadata.update(self._metadata)
            self._video = self._add_video()
            self._track = open_track(self._container, self._sound) if self._sound is not None else None
        except BaseException:
            self._discard()
            raise
        return self

    def _temporary_path(self) -> str:
        """A path beside the target, so that a rename finishes the file; for remote targets, in the temporary folder."""
        if not is_remote(self.path):
            return str(self.path.with_name(f".{self.path.name}.{os.getpid()}.partial"))
        return os.path.join(tempfile.gettempdir(), f"xactor_jax.{secrets.token_hex(8)}.mp4")

    def _add_video(self) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._fps, options=dict(X264_OPTIONS))
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        context = stream.codec_context  # specifies the colours of `to_yuv420`, so that all players show the same
        context.colorspace = context.color_primaries = context.color_trc = 6
        context.color_range = 1
        return stream

    def write(self, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
        """Appends RGB frames and the sound that belongs to them."""
        if frames.shape[1:] != (self.height, self.width, 3):
            raise ValueError(f"frames of {frames.shape[1:]} for a video of {self.height} x {self.width}")
        for pixels in draw_mark(frames, self._marks.text):
            frame = av.VideoFrame.from_ndarray(to_yuv420(pixels), format="yuv420p")
            frame.pts, frame.time_base = self.frames_written, Fraction(1, self._fps)
            with self._writing():
                self._container.mux(self._video.encode(frame))
                if self._track is not None:
                    self._track.write(Fraction(self.frames_written + 1, self._fps))
            self.frames_written += 1

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns an error of FFmpeg or of the disk into a `UserError`."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> UserError:
        return UserError(f"{self.path} cannot be written ({error}): check that its folder is writable and has room.")

    def _finish(self) -> None:
        if self._track is not None:
            self._track.finish()
        self._container.mux(self._video.encode(None))
        self._container.close()
        if self._marks.certificate:
            sign_video(self._temporary, self.path.name, self._marks)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
                _deliver(self._temporary, self.path)
        except (av.FFmpegError, OSError) as failure:
            raise self._unwritable(failure) from failure
        finally:
            self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError):  # closing writes the end of the file, which fails on a full disk
            self._container.close()
        if self._track is not None:
            self._track.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)
        self._noted.close()


def _deliver(temporary: str, path: epath.Path) -> None:
    """Renames a file on a local disk; copies it to a remote store."""
    if not is_remote(path):
        os.replace(temporary, path)
        return
    with open(temporary, "rb") as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
