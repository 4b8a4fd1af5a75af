"""A portrait and speech become a video: streamed, so that memory does not grow with its length.

(The sound itself is held as a whole: 64 kB a second.)

    waveform ─ audio features, piece by piece ─ actor.stream ─ video.render ─ VideoWriter

Everything random comes from the request's seed: the actor draws from fold_in(key(seed), 0), the renderer from
fold_in(key(seed), 1).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath
from jaxtyping import Array, Float, Key, UInt8

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.emotion import Emotion, EmotionTrack
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import is_silent, read_audio
from xactor_jax.media.image_io import write_whole
from xactor_jax.media.video_io import VideoWriter
from xactor_jax.sampling import provenance
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pictures import frame_encoder, to_float
from xactor_jax.sampling.portrait import Portrait, read_portrait
from xactor_jax.sampling.request import Request
from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE, num_frames
from xactor_jax.video.sampler import RenderSettings

Frames = UInt8[np.ndarray, "t h w 3"]
Latents = Float[np.ndarray, "t d"]
Progress = Callable[[int, int], None]
"""Called with (frames written, frames in all)."""


class Settings(NamedTuple):
    """How motion is generated and how it is rendered; None for a stage that is not there."""

    rollout: RolloutSettings | None = None
    render: RenderSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the record of what a result came from."""
        return {name: dataclasses.asdict(value) for name, value in self._asdict().items() if value is not None}


def make_settings(models: Models, rollout: Mapping[str, Any], render: Mapping[str, Any]) -> Settings:
    """The checkpoints' own settings with the given fields changed."""
    actor, video = models.actor, models.video
    return Settings(
        RolloutSettings(**{**actor.config.rollout.to_dict(), **rollout}) if actor else None,
        dataclasses.replace(video.model.render_settings, **render) if video else None,
    )


class Performance(NamedTuple):
    """One sample on its way: motion pieces, each followed by the frames that it completes."""

    reference_motion: Float[np.ndarray, "d"]
    frames: Iterator[Frames]
    motion: list[Latents]  # filled while `frames` is read, if it is kept


def sampling_keys(seed: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Keys of the actor and of the renderer."""
    key = jax.random.key(seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def pieces(waveform: Float[np.ndarray, "samples"], size: int = SAMPLE_RATE) -> Iterator[Float[np.ndarray, "_"]]:
    """The waveform in pieces of `size` samples."""
    return (waveform[start : start + size] for start in range(0, len(waveform), size))


def audio_warning(path: str, waveform: Float[np.ndarray, "samples"]) -> str:
    """What is odd about a recording that can be used nevertheless; empty where nothing is."""
    return f"{path} is silent: the mouth will stay closed" if is_silent(waveform) else ""


def read_speech(path: str) -> Float[np.ndarray, "samples"]:
    """16 kHz mono sound.

    Raises:
        UserError: it cannot be read or holds no sample.
    """
    waveform = read_audio(path)
    if not len(waveform):
        raise UserError(f"{path} holds no sound: give a recording.")
    return waveform


def generate_motion(
    models: Models,
    key: Key[Array, ""],
    waveform: Float[np.ndarray, "samples"],
    reference_motion: Float[np.ndarray, "d"],
    emotion: EmotionTrack,
    settings: RolloutSettings,
) -> Iterator[Latents]:
    """Motion latents of `num_frames(samples)` frames, in pieces, as the actor makes them."""
    features = (chunk[None] for chunk in models.actor.audio.stream(pieces(waveform)))
    felt = Emotion(*(x[None] for x in emotion.frames(0, num_frames(len(waveform)))))  # the last lasts, as in a batch
    for chunk in models.actor.model.stream(models.actor.variables, key, features, reference_motion[None], felt, settings):
        yield np.asarray(chunk[0])


def perform(
    models: Models, portrait: Portrait, waveform: Float[np.ndarray, "samples"], request: Request, settings: Settings
) -> Performance:
    """Starts the streams of one sample; nothing but the reference motion is computed before `frames` is read."""
    actor_key, video_key = sampling_keys(request.seed)
    encode = frame_encoder(models.motion.model, models.motion.variables, batch_size=1)
    reference_motion = encode(portrait.for_motion[None])[0]
    kept: list[Latents] = []
    motion = generate_motion(models, actor_key, waveform, reference_motion, request.emotion_track, settings.rollout)
    motion = _keeping(motion, kept) if request.save_motion else motion
    video = models.video
    image = to_float(portrait.for_video)
    frames = video.model.render(video.variables, video_key, image, reference_motion, motion, settings.render)
    return Performance(reference_motion, frames, kept)


def _keeping(chunks: Iterable[Latents], kept: list[Latents]) -> Iterator[Latents]:
    for chunk in chunks:
        kept.append(chunk)
        yield chunk


def sample(models: Models, request: Request, settings: Settings, progress: Progress, warn: Callable[[str], None]) -> None:
    """Writes the video, the JSON beside it, and the motion latents if they are wanted; all of them or none.

    Raises:
        UserError: what is wrong with the image, the audio or the place to write to.
    """
    clock = Stopwatch()
    portrait = read_portrait(request.image, models.sides, request.crop, request.face_index)
    waveform = read_speech(request.audio)
    if warning := audio_warning(request.audio, waveform):
        warn(warning)
    clock.lap("inputs")
    performance = perform(models, portrait, waveform, request, settings)
    with removed_on_error(request.out, request.save_motion):
        write_video(request.out, performance.frames, waveform, models.sides[1], progress, clock)
        if request.save_motion:
            write_motion(request.save_motion, np.concatenate(performance.motion), performance.reference_motion)
        write_sidecar(models, request, settings, len(waveform), clock.laps)


@contextlib.contextmanager
def removed_on_error(*paths: str) -> Iterator[None]:
    """Removes the files, where they have been written, if what is inside fails; files that were there before stay."""
    new = [epath.Path(path) for path in paths if path and not epath.Path(path).exists()]
    try:
        yield
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise


class Stopwatch:
    """Seconds of the parts of a run, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends the part `name`."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def write_video(
    path: str,
    frames: Iterable[Frames],
    waveform: Float[np.ndarray, "samples"],
    size: int,
    progress: Progress,
    clock: Stopwatch,
) -> None:
    """Writes frames as they come, with their sound. Raises `RuntimeError` if they are not as many as the sound lasts."""
    total = num_frames(len(waveform))
    with VideoWriter(path, size, audio=waveform) as writer:
        for chunk in frames:
            if not writer.frames_written:
                clock.lap("first_frames")
            writer.write(chunk)
            progress(writer.frames_written, total)
        if writer.frames_written != total:
            raise RuntimeError(f"{writer.frames_written} frames for a sound of {total}")
    clock.lap("other_frames")


def write_motion(path: str, motion: Latents, reference_motion: Float[np.ndarray, "d"]) -> None:
    """Motion latents as npz: `motion_latents` [T, D] at 25 frames a second, `reference_motion` [D]; standardised."""
    buffer = io.BytesIO()
    np.savez(buffer, motion_latents=motion, reference_motion=reference_motion, frame_rate=FRAME_RATE)
    try:
        write_whole(epath.Path(path), buffer.getvalue())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): check that its folder exists and is writable.") from error


def sidecar(models: Models, request: Request, settings: Settings, samples: int, timings: dict[str, float]) -> dict[str, Any]:
    """What the JSON beside a video says of it. Timings are in seconds."""
    return {
        "synthetic": True,
        "arguments": {**dataclasses.asdict(request), **settings.to_dict()},
        "seed": request.seed,
        "frames": num_frames(samples),
        "frame_rate": FRAME_RATE,
        "checkpoints": models.origins,
        "audio_features": models.actor.audio.to_dict(),
        "inputs": provenance.inputs(image=request.image, audio=request.audio),
        "versions": provenance.versions(),
        "devices": sorted({device.device_kind for device in jax.local_devices()}),
        "timings": timings,
    }


def write_sidecar(models: Models, request: Request, settings: Settings, samples: int, timings: dict[str, float]) -> None:
    """Written last: where it is, the video is whole."""
    provenance.write_json(request.sidecar, sidecar(models, request, settings, samples, timings))
