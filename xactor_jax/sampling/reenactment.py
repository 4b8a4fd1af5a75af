"""A portrait moves as saved motion or as the person in a video does: reenactment, streamed at constant memory.

    driving video ─ face, crops ─ motion encoder ─┐
    saved motion ─────────────────────────────────┴─ video.render ─ VideoWriter

(The sound, and a square a frame for the crop, are held as a whole.) The renderer draws what it draws for the same seed in
`pipeline`: saved motion gives the video again that it was saved from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import cut_sound, has_audio, read_audio
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
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.output import Latents, Progress, Stopwatch, origin_of, write_motion, write_video
from xactor_jax.sampling.pictures import frame_encoder
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.sampling.portrait import read_portrait
from xactor_jax.sampling.request import RenderRequest
from xactor_jax.timing import num_frames
from xactor_jax.unfinished import removed_on_error

Warn = Callable[[str], None]
Waveform = Float[np.ndarray, "samples"]


class Drive(NamedTuple):
    """Motion to follow: how many frames it has, the frames, and the part of the video that it comes from, if it does."""

    frames: int
    motion: Iterator[Latents]
    video: Driving | None = None


def read_drive(models: Models, request: RenderRequest, warn: Warn) -> Drive:
    """What drives; of a video only the face's places are known yet.

    Raises:
        UserError: as `read_motion` and `find_driving`.
    """
    stage = models.motion
    if request.motion:
        saved = read_motion(request.motion, stage.model.latent_dim)
        if saved.motion_hash not in ("", stage.latents):
            warn(f"{request.motion} comes from another motion stage than {stage.path}; expect wrong motion")
        return Drive(len(saved.latents), motion_pieces(saved.latents))
    driving = find_driving(request.driving, request.driving_crop or request.crop, warn)
    encode, side = frame_encoder(stage.model, stage.variables, batch_size=BATCH), models.sides[0]
    return Drive(driving.frames, driving_motion(driving, encode, side), driving)


def read_sound(request: RenderRequest, drive: Drive, warn: Warn) -> Waveform | None:
    """The sound of the video to be made, exactly as long as its frames or as sound of that many frames is; None: none.

    Raises:
        UserError: `request.audio` cannot be read.
    """
    if request.audio:
        waveform = pipeline.read_speech(request.audio)
        if (lasts := num_frames(len(waveform))) != drive.frames:
            warn(f"{request.audio} lasts {lasts} frames, the motion {drive.frames}: the sound is cut or filled with silence")
            return cut_sound(waveform, 0.0, drive.frames)
        return waveform
    if drive.video is None or not has_audio(drive.video.path):
        return None
    try:
        return cut_sound(read_audio(drive.video.path), drive.video.start, drive.frames)
    except UserError as error:
        warn(str(error))
        return None


def reenact(models: Models, request: RenderRequest, settings: Settings, progress: Progress, warn: Warn) -> None:
    """Writes the video, the JSON beside it, and the motion latents if they are wanted; all of them or none.

    Raises:
        UserError: what is wrong with a file that is read or the place to write to.
    """
    clock = Stopwatch()
    portrait = read_portrait(request.image, models.sides, request.crop, request.face_index)
    drive = read_drive(models, request, warn)
    waveform = read_sound(request, drive, warn)
    clock.lap("inputs")
    reference_motion = pipeline.motion_of_reference(models, portrait)
    kept: list[Latents] = []
    motion = relative_motion(drive.motion, reference_motion) if request.relative else drive.motion
    motion = pipeline.keeping(motion, kept) if request.save_motion else motion
    frames = pipeline.animate(models, portrait, reference_motion, motion, request.seed, settings)
    with removed_on_error(request.out, request.save_motion):
        write_video(request.out, frames, drive.frames, waveform, models.sides[1], progress, clock)
        if request.save_motion:
            write_motion(request.save_motion, np.concatenate(kept), reference_motion, models.motion.latents)
        provenance.write_json(request.sidecar, origin(models, request, settings, drive, clock.laps))


def origin(
    models: Models, request: RenderRequest, settings: Settings, drive: Drive, timings: dict[str, float]
) -> dict[str, Any]:
    """What the JSON says: `output.origin_of`, and from which second on the driving video is used."""
    files = {name: getattr(request, name) for name in ("image", "motion", "driving", "audio")}
    inputs = {name: path for name, path in files.items() if path}
    more = {} if drive.video is None else {"driving_start": drive.video.start}
    return {**origin_of(models, request, settings.to_dict(), drive.frames, inputs, timings), **more}
