"""A portrait and speech become a video: streamed, so that memory does not grow with its length.

(The sound itself is held as a whole: 64 kB a second; where clips are rendered offline, so are latents of motion and frames.)

    waveform ─ audio features, piece by piece ─ actor.stream ─ video.render ─ VideoWriter

Everything random comes from the request's seed: the actor draws from fold_in(key(seed), 0), the renderer from
fold_in(key(seed), 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.emotion import Emotion, EmotionTrack
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS
from xactor_jax.media.audio_io import is_silent, read_audio
from xactor_jax.media.faces import make_detector
from xactor_jax.media.sound_track import SoundFile
from xactor_jax.motion.pictures import frame_encoder, to_float
from xactor_jax.sampling import provenance
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import (
    Frames,
    Latents,
    Progress,
    Stopwatch,
    origin_of,
    write_motion,
    write_video,
)
from xactor_jax.sampling.portrait import Portrait, read_portrait
from xactor_jax.sampling.request import Request, Wanted
from xactor_jax.timing import SAMPLE_RATE, num_frames
from xactor_jax.unfinished import removed_on_error
from xactor_jax.video.sampler import RenderSettings


class Settings(NamedTuple):
    """How motion is generated and how it is rendered; None for a stage that is not there."""

    rollout: RolloutSettings | None = None
    render: RenderSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the record of what a result came from."""
        return {name: dataclasses.asdict(value) for name, value in self._asdict().items() if value is not None}


def make_settings(models: Models, rollout: Mapping[str, Any], render: Mapping[str, Any]) -> Settings:
    """The checkpoints' own settings with the given fields changed. Raises `UserError` where they are not possible."""
    actor, video = models.actor, models.video
    drawn = dataclasses.replace(video.model.render_settings, **render) if video else None
    if drawn:
        drawn.check(video.model.window, video.model.process.steps)
    return Settings(RolloutSettings(**{**actor.config.rollout.to_dict(), **rollout}) if actor else None, drawn)


class Performance(NamedTuple):
    """One sample on its way: motion pieces, each followed by the frames that it completes."""

    reference_motion: Float[np.ndarray, "d"]
    frames: Iterator[Frames]
    motion: list[Latents]  # filled while `frames` is read, if it is kept


def sampling_keys(seed: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Keys of the actor and of the renderer."""
    key = jax.random.key(seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def pieces(waveform: Shaped[np.ndarray, "samples"], size: int = SAMPLE_RATE) -> Iterator[Shaped[np.ndarray, "_"]]:
    """The waveform in pieces of `size` samples."""
    return (waveform[start : start + size] for start in range(0, len(waveform), size))


def audio_warning(path: str, waveform: Float[np.ndarray, "samples"]) -> str:
    """What is odd about a recording that can be used nevertheless; empty where nothing is."""
    return f"{path} is silent: the mouth will stay closed" if is_silent(waveform) else ""


def read_speech(path: str) -> Float[np.ndarray, "samples"]:
    """16 kHz mono sound, also what lies before the first picture of a video.

    Raises:
        UserError: it cannot be read or holds no sample.
    """
    waveform = read_audio(path, whole=True)
    if not len(waveform):
        raise UserError(f"{path} holds no sound: give a recording.")
    return waveform


def sound_of(request: Request) -> SoundFile:
    """The recording as it is heard in the video: what `read_speech` reads, with its own rate and channels."""
    return SoundFile(request.audio, whole=True)


def portrait_of(request: Wanted, models: Models) -> Portrait:
    """The request's portrait, found by its detector; errors as `read_portrait`."""
    return read_portrait(request.image, models.sides, request.crop, request.face_index, make_detector(request.detector))


def check_emotion(models: Models, track: EmotionTrack) -> None:
    """Raises `UserError` where the actor was not taught an emotion of the track."""
    known = models.actor.model.network.emotions
    for segment in track.segments:
        if segment.label >= known:
            names = ", ".join(EMOTIONS[:known])
            raise UserError(f"this actor does not know the emotion {segment.name}: choose one of {names}, or train anew.")


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
    check_emotion(models, request.emotion_track)
    actor_key, _ = sampling_keys(request.seed)
    reference_motion = motion_of_reference(models, portrait)
    kept: list[Latents] = []
    motion = generate_motion(models, actor_key, waveform, reference_motion, request.emotion_track, settings.rollout)
    motion = keeping(motion, kept) if request.save_motion else motion
    frames = animate(models, portrait, reference_motion, motion, request.seed, settings)
    return Performance(reference_motion, frames, kept)


def motion_of_reference(models: Models, portrait: Portrait) -> Float[np.ndarray, "d"]:
    """The motion latent of the portrait itself."""
    return frame_encoder(models.motion.model, models.motion.variables, batch_size=1)(portrait.for_motion[None])[0]


def animate(
    models: Models,
    portrait: Portrait,
    reference_motion: Float[np.ndarray, "d"],
    motion: Iterable[Latents],
    seed: int,
    settings: Settings,
) -> Iterator[Frames]:
    """Frames of the portrait moved by motion latents, as they become ready."""
    video, (_, key) = models.video, sampling_keys(seed)
    image = to_float(portrait.for_video)
    return video.model.render(video.variables, key, image, reference_motion, motion, settings.render)


def keeping(chunks: Iterable[Latents], kept: list[Latents]) -> Iterator[Latents]:
    """The chunks, each of them added to `kept` as it passes."""
    for chunk in chunks:
        kept.append(chunk)
        yield chunk


def sample(models: Models, request: Request, settings: Settings, progress: Progress, warn: Callable[[str], None]) -> None:
    """Writes the video, the JSON beside it, and the motion latents if they are wanted; all of them or none.

    Raises:
        UserError: what is wrong with the image, the audio or the place to write to.
    """
    clock = Stopwatch()
    portrait = portrait_of(request, models)
    waveform = read_speech(request.audio)
    if warning := audio_warning(request.audio, waveform):
        warn(warning)
    clock.lap("inputs")
    performance = perform(models, portrait, waveform, request, settings)
    with removed_on_error(request.out, request.save_motion):
        total = num_frames(len(waveform))
        write_video(request.out, performance.frames, total, sound_of(request), models.sides[1], progress, clock)
        if request.save_motion:
            motion = np.concatenate(performance.motion)
            write_motion(request.save_motion, motion, performance.reference_motion, models.motion.latents)
        write_sidecar(models, request, settings, len(waveform), clock.laps)


def write_sidecar(models: Models, request: Request, settings: Settings, samples: int, timings: dict[str, float]) -> None:
    """Written last: where it is, the video is whole."""
    inputs = {"image": request.image, "audio": request.audio}
    origin = origin_of(models, request, settings.to_dict(), num_frames(samples), inputs, timings)
    provenance.write_json(request.sidecar, {**origin, "audio_features": models.actor.audio.to_dict()})
