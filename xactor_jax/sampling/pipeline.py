"""Sampling pipeline from a portrait and speech to a video. It streams, so memory does not grow with the length.

(Only the sound is in memory as a whole, 64 kB per second; in offline rendering also the latents of motion and of frames.)

    waveform ─ audio features, piece by piece ─ actor.stream ─ video.render ─ VideoWriter

Everything random comes from the request's seed: the actor draws from fold_in(key(seed), 0), the renderer from
fold_in(key(seed), 1). Several faces of one picture are as many pipelines, which run in turn, each with a seed of its own
(`inputs.read_inputs`). `Scene.frames` joins their frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.emotion import Emotion, EmotionTrack
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.pictures import to_float
from xactor_jax.sampling import provenance
from xactor_jax.sampling.inputs import Inputs, Sources, read_inputs, sources_of
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
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.sampling.request import Request
from xactor_jax.sampling.scene import Scene
from xactor_jax.settings import fields
from xactor_jax.timing import SAMPLE_RATE, num_frames
from xactor_jax.unfinished import removed_on_error
from xactor_jax.video.rendering import render
from xactor_jax.video.sampler import RenderSettings


class Settings(NamedTuple):
    """Sampling settings of the actor and of the renderer; None for a stage that is not used."""

    rollout: RolloutSettings | None = None
    render: RenderSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict, for the JSON file of a result."""
        return {name: dataclasses.asdict(value) for name, value in self._asdict().items() if value is not None}


def make_settings(models: Models, rollout: Mapping[str, Any], render: Mapping[str, Any]) -> Settings:
    """The settings of the checkpoints with the given fields changed. Raises `UserError` if they are not possible."""
    actor, video = models.actor, models.video
    drawn = dataclasses.replace(video.model.render_settings, **render) if video else None
    if drawn:
        drawn.check(video.model.window, video.model.process.steps, video.model.draft is not None)
    return Settings(RolloutSettings(**{**actor.config.rollout.to_dict(), **rollout}) if actor else None, drawn)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a program → changed settings of the actor and of the renderer. `actor_steps` are the steps of the actor.

    Raises:
        UserError: neither has a setting of that name.
    """
    actor, renderer = set(fields(RolloutSettings)) - {"steps"} | {"actor_steps"}, set(fields(RenderSettings))
    if unknown := sorted(set(options) - actor - renderer):
        raise UserError(f"there is no setting {unknown[0]!r} of sampling: use {', '.join(sorted(actor | renderer))}.")
    rollout = {name.removeprefix("actor_"): value for name, value in options.items() if name in actor}
    return rollout, {name: value for name, value in options.items() if name in renderer}


class Performance(NamedTuple):
    """One sample that is being generated. Reading `frames` runs all stages piece by piece."""

    reference_motion: Float[np.ndarray, "d"]
    frames: Iterator[Frames]
    motion: list[Latents]  # filled while `frames` is read, if motion is saved


def sampling_keys(seed: int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Random keys of the actor and of the renderer."""
    key = jax.random.key(seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def pieces(waveform: Shaped[np.ndarray, "samples"], size: int = SAMPLE_RATE) -> Iterator[Shaped[np.ndarray, "_"]]:
    """The waveform in pieces of `size` samples."""
    return (waveform[start : start + size] for start in range(0, len(waveform), size))


def check_emotion(models: Models, track: EmotionTrack) -> None:
    """Raises `UserError` if the actor was not trained on an emotion of the track."""
    known = models.actor.model.network.emotions
    for segment in track.segments:
        if segment.label >= known:
            names = ", ".join(EMOTIONS[:known])
            raise UserError(f"this actor does not know the emotion {segment.name}: choose one of {names}, or train again.")


def generate_motion(
    models: Models,
    key: Key[Array, ""],
    waveform: Float[np.ndarray, "samples"],
    reference_motion: Float[np.ndarray, "d"],
    emotion: EmotionTrack,
    settings: RolloutSettings,
) -> Iterator[Latents]:
    """Yields motion latents of `num_frames(samples)` frames in pieces, as the actor generates them."""
    features = (chunk[None] for chunk in models.actor.audio.stream(pieces(waveform)))
    # An array instead of the track: its last frame is repeated beyond the end, as in a batch.
    labels = Emotion(*(x[None] for x in emotion.frames(0, num_frames(len(waveform)))))
    for chunk in models.actor.model.stream(models.actor.variables, key, features, reference_motion[None], labels, settings):
        yield np.asarray(chunk[0])


def perform(
    models: Models, portrait: Portrait, waveform: Float[np.ndarray, "samples"], request: Request, settings: Settings
) -> Performance:
    """Prepares one sample. Only the reference motion is computed here; the rest is computed when `frames` is read."""
    check_emotion(models, request.emotion_track)
    actor_key, _ = sampling_keys(request.seed)
    reference_motion = motion_of_reference(models, portrait)
    kept: list[Latents] = []
    motion = generate_motion(models, actor_key, waveform, reference_motion, request.emotion_track, settings.rollout)
    motion = keeping(motion, kept) if request.save_motion else motion
    frames = animate(models, portrait, reference_motion, motion, request.seed, settings)
    return Performance(reference_motion, frames, kept)


def perform_roles(models: Models, inputs: Inputs, request: Request, settings: Settings) -> list[Performance]:
    """One performance for each face, in the way of `perform`."""
    seeded = lambda role: dataclasses.replace(request, seed=role.seed)
    return [perform(models, role.portrait, role.waveform, seeded(role), settings) for role in inputs.roles]


def pictures(scene: Scene | None, performances: Sequence[Performance]) -> Iterator[Frames]:
    """Frames of the video: those of the only face, or the scene with all faces, which are drawn in turn, piece by piece."""
    drawn = [performance.frames for performance in performances]
    return scene.frames(drawn) if scene else drawn[0]


def motion_of_reference(models: Models, portrait: Portrait) -> Float[np.ndarray, "d"]:
    """Motion latent of the portrait."""
    return frame_encoder(models.motion.model, models.motion.variables, batch_size=1)(portrait.for_motion[None])[0]


def animate(
    models: Models,
    portrait: Portrait,
    reference_motion: Float[np.ndarray, "d"],
    motion: Iterable[Latents],
    seed: int,
    settings: Settings,
) -> Iterator[Frames]:
    """Yields frames of the portrait with the given motion as soon as they are rendered."""
    video, (_, key) = models.video, sampling_keys(seed)
    image = to_float(portrait.for_video)
    return render(video.model, video.variables, key, image, reference_motion, motion, settings.render)


def keeping(chunks: Iterable[Latents], kept: list[Latents]) -> Iterator[Latents]:
    """Yields the chunks unchanged and appends each of them to `kept`."""
    for chunk in chunks:
        kept.append(chunk)
        yield chunk


def sample(models: Models, request: Request, settings: Settings, progress: Progress, warn: Callable[[str], None]) -> None:
    """Writes the video, its JSON file and, if requested, the motion latents. After an error none of them is left.

    Raises:
        UserError: the image or the audio cannot be used, or the files cannot be written.
    """
    clock = Stopwatch()
    inputs = read_inputs(request, sources_of(request), models, warn)
    clock.lap("inputs")
    write_sample(models, request, settings, inputs, progress, clock)


def write_sample(
    models: Models, request: Request, settings: Settings, inputs: Inputs, progress: Progress, clock: Stopwatch
) -> None:
    """The second half of `sample`: generates, and writes the files. Raises `UserError` if they cannot be written."""
    performances = perform_roles(models, inputs, request, settings)
    with removed_on_error(request.out, request.save_motion):
        frames = pictures(inputs.scene, performances)
        size = inputs.scene.size if inputs.scene else models.sides[1]
        write_video(request, frames, num_frames(inputs.samples), inputs.sound, size, progress, clock)
        if request.save_motion:
            only = performances[0]
            write_motion(request.save_motion, np.concatenate(only.motion), only.reference_motion, models.motion.latents)
        write_sidecar(models, request, settings, inputs.sources, inputs.samples, clock.laps)


def write_sidecar(
    models: Models, request: Request, settings: Settings, sources: Sources, samples: int, timings: dict[str, float]
) -> None:
    """Writes the JSON file of a video. It is written last, so if it exists, the video is complete."""
    origin = origin_of(models, request, settings.to_dict(), num_frames(samples), sources.hashed, timings)
    provenance.write_json(request.sidecar, {**origin, "audio_features": models.actor.audio.to_dict()})
