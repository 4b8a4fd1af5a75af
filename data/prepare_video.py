"""One video file to staged clips: find the face, follow it, crop, resample, encode.

Two passes over the file: the first finds faces a few times a second, the second takes the pictures nearest to 25 a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float

from data.records import encode_frames
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS, UNKNOWN_EMOTION
from xactor_jax.media import audio_io, faces, track, video_io
from xactor_jax.media.crop import crop_square
from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME

NO_FACE, SEVERAL_FACES, TOO_SHORT = "no face", "several faces", "too short"
UNREADABLE, NO_SOUND, NOT_A_VIDEO = "unreadable", "no sound", "not a video"
SIDECARS = (".flac", ".wav")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """What a prepared clip depends on, beside the file."""

    size: int = 256  # side of a frame, pixels
    detector: str = "haar"  # haar, yunet:FILE or csv:FILE
    detections: float = 5.0  # a second
    min_seconds: float = 2.0
    max_seconds: float = 20.0  # of one record
    need_sound: bool = False
    sidecar_audio: bool = False  # take X.flac or X.wav beside X.mp4 for its sound


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoJob:
    """One file: where it is, its path inside the folder of videos, where its clips are staged."""

    path: str
    relative: str
    staged: str  # prefix of the staged files
    settings: VideoSettings


class Rejected(Exception):
    """The file gives no clip: (reason, detail)."""


@dataclasses.dataclass(frozen=True)
class Scan:
    """What the first pass found."""

    samples: list[track.Sample]
    frames: int
    seconds: float
    image_shape: tuple[int, ...]
    period: float  # seconds between detections


@functools.lru_cache(maxsize=1)
def _detector(text: str) -> faces.FaceDetector:
    return faces.make_detector(text)


def scan(job: VideoJob) -> Scan:
    """Faces at `detections` a second, and how long the video is."""
    detector, period = _detector(job.settings.detector), 1 / job.settings.detections
    samples: list[track.Sample] = []
    times: list[float] = []
    shape: tuple[int, ...] = ()
    due = lambda time: not samples or time >= samples[-1].time + period - 1e-6
    with contextlib.closing(video_io.read_frames(job.path, due)) as frames:
        for time, pixels in frames:
            if pixels is not None:
                shape = pixels.shape
                samples.append(track.Sample(time, _detect(detector, job.relative, len(times), time, pixels)))
            times.append(time)
    last = float(np.median(np.diff(times))) if len(times) > 1 else 1 / FRAME_RATE
    return Scan(samples, len(times), times[-1] + last, shape, period)


def _detect(detector: faces.FaceDetector, relative: str, frame: int, time: float, pixels: np.ndarray) -> list[faces.FaceBox]:
    if isinstance(detector, faces.CsvDetector):
        return detector.boxes_at(relative, frame, time)
    return detector.detect(pixels)


def choose_stretch(found: Scan, settings: VideoSettings) -> tuple[track.Stretch, float, int]:
    """The longest stretch with one face: (stretch, start in seconds, frames at 25 fps).

    Raises:
        Rejected: there is none, or none that is long enough.
    """
    if found.seconds < settings.min_seconds - 0.5 / FRAME_RATE:
        raise Rejected(TOO_SHORT, f"lasts {found.seconds:.2f} s")
    stretches = track.find_stretches(found.samples)
    if not stretches:
        raise Rejected(NO_FACE, f"in {len(found.samples)} pictures looked at")
    limit = track.TrackSettings().second_share
    stretch = max(stretches, key=lambda s: (s.several < limit, s.seconds))
    if stretch.several >= limit:
        raise Rejected(SEVERAL_FACES, f"in {stretch.several:.0%} of the pictures looked at")
    start, end = _extent(stretch, found)
    frames = int((end - start) * FRAME_RATE + 0.5)
    if frames < round(settings.min_seconds * FRAME_RATE):
        reason = NO_FACE if len(stretch.times) < 0.2 * len(found.samples) else TOO_SHORT
        raise Rejected(reason, f"one face is seen for {end - start:.2f} s at a time")
    return stretch, start, frames


def _extent(stretch: track.Stretch, found: Scan) -> tuple[float, float]:
    """Start and end: those of the video if the face is seen in the first or last sample."""
    start, end = float(stretch.times[0]), float(stretch.times[-1])
    return (
        0.0 if start == found.samples[0].time else start,
        found.seconds if end == found.samples[-1].time else end,
    )


def read_sound(job: VideoJob) -> Float[np.ndarray, "samples"] | None:
    """The sound of the file (or of the sidecar beside it) from time 0 on; None where there is none."""
    path = epath.Path(job.path)
    if job.settings.sidecar_audio:
        beside = (path.with_suffix(suffix) for suffix in SIDECARS)
        path = next((file for file in beside if file.exists()), path)
    if not audio_io.has_audio(path):
        return None
    return audio_io.read_audio(path)


def cut_sound(waveform: np.ndarray | None, start: float, frames: int) -> Float[np.ndarray, "samples"]:
    """Exactly 640 samples a frame from `start` seconds on, zeros where there is no sound."""
    cut = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    first = round(start * SAMPLE_RATE)
    if waveform is not None:
        piece = waveform[first : first + len(cut)]
        cut[: len(piece)] = piece
    return cut


def _describe_sound(waveform: np.ndarray | None, cut: np.ndarray, settings: VideoSettings) -> str:
    sound = "none" if waveform is None else "silent" if audio_io.is_silent(cut) else "yes"
    if settings.need_sound and sound != "yes":
        raise Rejected(NO_SOUND, "it has no sound track" if sound == "none" else "its sound track is silent")
    return sound


def record_lengths(frames: int, settings: VideoSettings) -> list[int]:
    """Frames of consecutive records of nearly equal length, none longer than `max_seconds`."""
    count = -(-frames // max(1, int(settings.max_seconds * FRAME_RATE)))
    return [len(part) for part in np.array_split(np.arange(frames), count)]


def _crops(stretch: track.Stretch, start: float, lengths: Sequence[int], shape: tuple[int, ...]) -> list[track.SteadyCrop]:
    times = start + np.arange(sum(lengths)) / FRAME_RATE
    boxes = track.boxes_at(stretch, times)
    pieces = np.split(boxes, np.cumsum(lengths)[:-1])
    return [track.steady_crop(piece, shape, 1 / FRAME_RATE) for piece in pieces]


def _write_record(file: str, pictures: Sequence[bytes], audio: np.ndarray, components: np.ndarray) -> None:
    lengths = np.array([len(picture) for picture in pictures])
    with open(file, "wb") as target:
        np.savez(
            target,
            pictures=np.frombuffer(b"".join(pictures), np.uint8),
            lengths=lengths,
            audio=np.rint(audio * 32767).astype(np.int16),
            components=components.astype(np.float32),
        )


def read_record(file: epath.PathLike) -> dict[str, Any]:
    """The fields of a `data.records.Clip`, all but person and clip."""
    with np.load(file) as staged:
        pictures, lengths = staged["pictures"].tobytes(), staged["lengths"]
        ends = np.cumsum(lengths)
        return {
            "frames": [pictures[end - length : end] for end, length in zip(ends, lengths, strict=True)],
            "audio": staged["audio"],
            "emotion": np.full(len(lengths), UNKNOWN_EMOTION, np.int32),
            "emotion_intensity": np.ones(len(lengths), np.float32),
            "controls": np.zeros((0, len(CONTROLS)), np.float32),
            "component_boxes": staged["components"],
        }


def _encode(job: VideoJob, start: float, crops: Sequence[track.SteadyCrop]) -> Iterator[list[bytes]]:
    """Second pass: JPEGs of one record after another."""
    count = sum(len(crop.squares) for crop in crops)
    half = 1.0 / FRAME_RATE
    wanted = lambda time: time >= start - 1.0 and time <= start + count / FRAME_RATE + half
    with contextlib.closing(video_io.read_frames(job.path, wanted)) as frames:
        timed = ((time, pixels) for time, pixels in frames if pixels is not None)
        pictures = video_io.at_frame_rate(timed, start, count)
        for crop in crops:
            cut = (crop_square(next(pictures), box, job.settings.size) for box in crop.squares)
            yield [encode_frames(picture[None])[0] for picture in cut]


def _stage(job: VideoJob) -> dict[str, Any]:
    found = scan(job)
    stretch, start, frames = choose_stretch(found, job.settings)
    waveform = read_sound(job)
    cut = cut_sound(waveform, start, frames)
    sound = _describe_sound(waveform, cut, job.settings)
    lengths = record_lengths(frames, job.settings)
    crops = _crops(stretch, start, lengths, found.image_shape)
    audio = np.split(cut, np.cumsum(lengths)[:-1] * SAMPLES_PER_FRAME)
    for i, pictures in enumerate(_encode(job, start, crops)):
        _write_record(f"{job.staged}.{i:04d}.npz", pictures, audio[i], crops[i].components)
    return {
        "records": len(lengths),
        "frames": frames,
        "fps_in": round(found.frames / found.seconds, 3),
        "seconds_in": round(found.seconds, 3),
        "width_in": found.image_shape[1],
        "height_in": found.image_shape[0],
        "start": round(start, 3),
        "face_pixels": round(track.median_face(stretch.boxes).size),
        "crop": "follows" if any(crop.follows for crop in crops) else "still",
        "sound": sound,
    }


def prepare_video(job: VideoJob) -> dict[str, Any]:
    """Stages the clips of one file; the row of the manifest that says what became of it."""
    try:
        return {"status": "kept", **_stage(job)}
    except Rejected as rejected:
        reason, detail = rejected.args
    except video_io.NoPictures as error:
        reason, detail = NOT_A_VIDEO, str(error)
    except UserError as error:
        reason, detail = UNREADABLE, str(error)
    return {"status": "rejected", "reason": reason, "detail": detail}
