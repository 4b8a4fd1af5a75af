"""Turns one video file into staged clips: finds and tracks the face, crops, resamples, encodes.

There are two passes over the file. The first detects faces a few times a second; the second reads the pictures nearest to 25 a
second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float

from data.frames import DEFAULT, encode_frames
from xactor_jax.errors import UserError, is_full
from xactor_jax.faces import choice, components
from xactor_jax.labels import CONTROLS
from xactor_jax.media import audio_io, faces, track, video_io
from xactor_jax.media.audio_io import cut_sound
from xactor_jax.media.crop import crop_square, within
from xactor_jax.media.scan import Scan, extent, finder, main_segment, scan
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME
from xactor_jax.unfinished import write_whole

NO_FACE, SEVERAL_FACES, TOO_SHORT = "no face", "several faces", "too short"
UNREADABLE, NO_SOUND, NOT_A_VIDEO = "unreadable", "no sound", "not a video"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """Settings on which a prepared clip depends, in addition to the file itself."""

    size: int = 256  # side of a frame, pixels
    detector: str = choice.DETECTOR  # see `choice.make_detector`
    detections: float = 5.0  # a second
    min_seconds: float = 2.0
    max_seconds: float = 20.0  # of one record
    need_sound: bool = False
    frames: str = DEFAULT  # their format, see `data.frames`
    sidecar_audio: bool = False  # a sound file beside the video replaces the video's own sound


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoJob:
    """One file: its path, its path inside the folder of videos, and where its clips are staged."""

    path: str
    relative: str
    staged: str  # prefix of the staged files
    settings: VideoSettings
    sound: str = ""  # path of a sound file that belongs to it


class Rejected(Exception):
    """The file gives no clip. Arguments: (reason, detail)."""


@functools.lru_cache(maxsize=1)
def _detector(text: str) -> faces.FaceDetector:
    return choice.make_detector(text)


def look(job: VideoJob) -> Scan:
    """First pass: detects faces `detections` times a second, and measures the video's length."""
    find = finder(_detector(job.settings.detector), job.relative)
    return scan(job.path, find, 1 / job.settings.detections)


def choose_segment(found: Scan, settings: VideoSettings) -> tuple[track.Segment, float, int]:
    """The longest segment with one face: (segment, start in seconds, frames at 25 fps).

    Raises:
        Rejected: there is none, or none that is long enough.
    """
    if found.seconds < settings.min_seconds - 0.5 / FRAME_RATE:  # half a frame of tolerance
        raise Rejected(TOO_SHORT, f"lasts {found.seconds:.2f} s")
    segment = main_segment(found)
    if segment is None:
        raise Rejected(NO_FACE, f"in {len(found.samples)} pictures looked at")
    if segment.several >= track.TrackSettings().second_share:
        raise Rejected(SEVERAL_FACES, f"in {segment.several:.0%} of the pictures looked at")
    start, end = extent(segment, found)
    frames = int((end - start) * FRAME_RATE + 0.5)
    if frames < round(settings.min_seconds * FRAME_RATE):
        reason = NO_FACE if len(segment.times) < 0.2 * len(found.samples) else TOO_SHORT
        raise Rejected(reason, f"one face is seen for {end - start:.2f} s at a time")
    return segment, start, frames


def read_sound(job: VideoJob) -> Float[np.ndarray, "samples"] | None:
    """Sound of the file, or of the sound file that belongs to it, from time 0 on; None where there is none."""
    paths = (job.sound, job.path) if job.settings.sidecar_audio else (job.path, job.sound)
    path = next((path for path in paths if path and audio_io.has_audio(path)), None)
    return None if path is None else audio_io.read_audio(path)


def _describe_sound(waveform: np.ndarray | None, cut: np.ndarray, settings: VideoSettings) -> str:
    sound = "none" if waveform is None else "silent" if audio_io.is_silent(cut) else "yes"
    if settings.need_sound and sound != "yes":
        raise Rejected(NO_SOUND, "it has no sound track" if sound == "none" else "its sound track is silent")
    return sound


def record_lengths(frames: int, settings: VideoSettings) -> list[int]:
    """Frames of consecutive records of nearly equal length, none longer than `max_seconds`."""
    count = -(-frames // max(1, int(settings.max_seconds * FRAME_RATE)))
    return [len(part) for part in np.array_split(np.arange(frames), count)]


def _crops(segment: track.Segment, start: float, lengths: Sequence[int], shape: tuple[int, ...]) -> list[track.SteadyCrop]:
    times = start + np.arange(sum(lengths)) / FRAME_RATE
    boxes = track.boxes_at(segment, times)
    pieces = np.split(boxes, np.cumsum(lengths)[:-1])
    return [track.steady_crop(piece, shape, 1 / FRAME_RATE) for piece in pieces]


def _write_record(file: str, pictures: Sequence[bytes], audio: np.ndarray, boxes: np.ndarray) -> None:
    fields = {
        "pictures": np.frombuffer(b"".join(pictures), np.uint8),
        "lengths": np.array([len(picture) for picture in pictures]),
        "audio": np.rint(audio * 32767).astype(np.int16),
        "components": boxes.astype(np.float32),
    }
    np.savez(content := io.BytesIO(), **fields)
    write_whole(file, content.getvalue())  # whole, because a worker that counts as lost may still write the same file


def read_record(file: epath.PathLike) -> dict[str, Any]:
    """The fields of a `data.records.Clip` that come from the video (all but names and emotion)."""
    with epath.Path(file).open("rb") as opened, np.load(opened) as staged:
        pictures, lengths = staged["pictures"].tobytes(), staged["lengths"]
        ends = np.cumsum(lengths)
        return {
            "frames": [pictures[end - length : end] for end, length in zip(ends, lengths, strict=True)],
            "audio": staged["audio"],
            "controls": np.zeros((0, len(CONTROLS)), np.float32),
            "component_boxes": staged["components"],
        }


Pictures = tuple[list[bytes], Float[np.ndarray, "t 2 4"]]
"""Encoded frames of a record, and the boxes of eyes and mouth in each frame."""


def _encode(job: VideoJob, start: float, crops: Sequence[track.SteadyCrop]) -> Iterator[Pictures]:
    """Second pass: reads the pictures and gives one record after another."""
    count = sum(len(crop.squares) for crop in crops)
    with contextlib.closing(video_io.read_at_frame_rate(job.path, start, count)) as pictures:
        for crop in crops:
            yield _encode_record(pictures, crop, job.settings)


def _encode_record(pictures: Iterator[np.ndarray], crop: track.SteadyCrop, settings: VideoSettings) -> Pictures:
    """Crops the next pictures and locates eyes and mouth by the face mesh, or by average proportions where no mesh is found."""
    size, looks = settings.size, []

    def cropped() -> Iterator[np.ndarray]:
        for i, (square, face) in enumerate(zip(crop.squares, crop.faces, strict=True)):
            picture = crop_square(next(pictures), square, size)
            if i % components.EVERY == 0:
                looks.append(components.look_at(picture, within(face, square, size)))
            yield picture

    encoded = encode_frames(cropped(), settings.frames)
    return encoded, components.steady(looks, crop.components, 1 / FRAME_RATE)


def _stage(job: VideoJob) -> dict[str, Any]:
    found = look(job)
    segment, start, frames = choose_segment(found, job.settings)
    waveform = read_sound(job)
    cut = cut_sound(waveform, start, frames)
    sound = _describe_sound(waveform, cut, job.settings)
    lengths = record_lengths(frames, job.settings)
    crops = _crops(segment, start, lengths, found.image_shape)
    audio = np.split(cut, np.cumsum(lengths)[:-1] * SAMPLES_PER_FRAME)
    for i, (pictures, boxes) in enumerate(_encode(job, start, crops)):
        _write_record(f"{job.staged}.{i:04d}.npz", pictures, audio[i], boxes)
    return {
        "records": len(lengths),
        "frames": frames,
        "fps_in": round(found.frames / found.seconds, 3),
        "seconds_in": round(found.seconds, 3),
        "width_in": found.image_shape[1],
        "height_in": found.image_shape[0],
        "start": round(start, 3),
        "face_pixels": round(track.median_face(segment.boxes).size),
        "crop": "follows" if any(crop.follows for crop in crops) else "still",
        "sound": sound,
    }


def prepare_video(job: VideoJob) -> dict[str, Any]:
    """Stages the clips of one file, and returns the file's row of the manifest."""
    try:
        return {"status": "kept", **_stage(job)}
    except Rejected as rejected:
        reason, detail = rejected.args
    except video_io.NoPictures as error:
        reason, detail = NOT_A_VIDEO, str(error)
    except (UserError, OSError) as error:
        if is_full(error):
            raise
        reason, detail = UNREADABLE, str(error)
    return {"status": "rejected", "reason": reason, "detail": detail}
