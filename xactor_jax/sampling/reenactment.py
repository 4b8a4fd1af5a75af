"""Reenactment: a portrait moves with saved motion or with that of a person in a video, streamed at constant memory.

    driving video ─ face, crops ─ motion encoder ─┐
    saved motion ─────────────────────────────────┴─ video.render ─ VideoWriter

(Only the crop's square of every frame stays in memory.) The renderer uses the same random numbers as `pipeline` for a seed, so
saved motion reproduces the video that it was saved from.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from xactor_jax.errors import UserError
from xactor_jax.faces.choice import make_detector
from xactor_jax.media.audio_io import has_audio, read_blocks
from xactor_jax.media.sound_track import SoundFile
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.sampling import pipeline, provenance
from xactor_jax.sampling.driving import (
    BATCH,
    Driving,
    driving_motion,
    find_driving,
    motion_pieces,
    read_motion,
    relative_motion,
)
from xactor_jax.sampling.inputs import read_speech, view_of
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import Latents, Progress, Stopwatch, origin_of, write_motion, write_video
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.sampling.request import RenderRequest
from xactor_jax.timing import FRAME_RATE, num_frames
from xactor_jax.unfinished import removed_on_error

Warn = Callable[[str], None]


class Drive(NamedTuple):
    """Driving motion: the number of frames, the motion latents and, if it comes from a video, the part that is used."""

    frames: int
    motion: Iterator[Latents]
    video: Driving | None = None


def read_drive(models: Models, request: RenderRequest, warn: Warn) -> Drive:
    """Opens the driving motion. In a video, this finds the face; motion latents are computed later, when they are read.

    Raises:
        UserError: see `read_motion` and `find_driving`.
    """
    stage = models.motion
    if request.motion_latents:
        saved = read_motion(request.motion_latents, stage.model.latent_dim)
        if saved.motion_hash not in ("", stage.latents):
            warn(f"{request.motion_latents} comes from another motion stage than {stage.path}; expect wrong motion")
        return Drive(len(saved.latents), motion_pieces(saved.latents))
    driving = find_driving(request.driving, request.driving_crop or request.crop, warn, make_detector(request.detector))
    encode, side = frame_encoder(stage.model, stage.variables, batch_size=BATCH), models.sides[0]
    return Drive(driving.frames, driving_motion(driving, encode, side), driving)


def find_sound(request: RenderRequest, drive: Drive, warn: Warn) -> SoundFile | None:
    """The sound for the new video, with the same length as its frames; None if there is no sound.

    Raises:
        UserError: `request.audio` cannot be read.
    """
    if request.audio:
        sound = SoundFile(request.audio, whole=True)
        if (lasts := num_frames(len(read_speech(request.audio)))) != drive.frames:
            warn(f"{request.audio} lasts {lasts} frames, the motion {drive.frames}: the sound is cut or filled with silence")
            return sound._replace(seconds=drive.frames / FRAME_RATE)
        return sound
    if drive.video is None or not has_audio(drive.video.path):
        return None
    try:
        collections.deque(read_blocks(drive.video.path), maxlen=0)  # checks that all of it can be read
    except UserError as error:
        warn(str(error))
        return None
    return SoundFile(drive.video.path, drive.video.start, drive.frames / FRAME_RATE)


def reenact(models: Models, request: RenderRequest, settings: Settings, progress: Progress, warn: Warn) -> None:
    """Writes the video, its JSON file and, if requested, the motion latents. After an error none of them is left.

    Raises:
        UserError: an input file cannot be used, or the files cannot be written.
    """
    clock = Stopwatch()
    view = view_of(request, models)
    portrait, scene = view.portraits[0], view.scene
    drive = read_drive(models, request, warn)
    sound = find_sound(request, drive, warn)
    clock.lap("inputs")
    reference_motion = pipeline.motion_of_reference(models, portrait)
    kept: list[Latents] = []
    motion = relative_motion(drive.motion, reference_motion) if request.relative else drive.motion
    motion = pipeline.keeping(motion, kept) if request.save_motion else motion
    frames = pipeline.animate(models, portrait, reference_motion, motion, request.seed, settings)
    with removed_on_error(request.out, request.save_motion):
        shown, size = (scene.frames([frames]), scene.size) if scene else (frames, models.sides[1])
        write_video(request, shown, drive.frames, sound, size, progress, clock)
        if request.save_motion:
            write_motion(request.save_motion, np.concatenate(kept), reference_motion, models.motion.latents)
        provenance.write_json(request.sidecar, origin(models, request, settings, drive, clock.laps))


def origin(
    models: Models, request: RenderRequest, settings: Settings, drive: Drive, timings: dict[str, float]
) -> dict[str, Any]:
    """What the JSON says: `output.origin_of`, and from which second on the driving video is used."""
    files = {name: getattr(request, name) for name in ("image", "motion_latents", "driving", "audio")}
    inputs = {name: path for name, path in files.items() if path}
    more = {} if drive.video is None else {"driving_start": drive.video.start}
    return {**origin_of(models, request, settings.to_dict(), drive.frames, inputs, timings), **more}
