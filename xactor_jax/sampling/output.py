"""Writes a video piece by piece, its motion latents, and a JSON file that describes their origin."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.sound_track import Sound
from xactor_jax.media.video_io import VideoWriter
from xactor_jax.sampling import provenance
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.request import Wanted
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import write_whole

Frames = UInt8[np.ndarray, "t h w 3"]
Latents = Float[np.ndarray, "t d"]
Progress = Callable[[int, int], None]
"""Called with (frames written, total number of frames)."""


class Stopwatch:
    """Measures the seconds of named parts of a run."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends the current part and stores its time under `name`."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def write_video(
    request: Wanted,
    frames: Iterable[Frames],
    total: int,
    sound: Sound | None,
    size: int | tuple[int, int],
    progress: Progress,
    clock: Stopwatch,
) -> None:
    """Writes frames as they arrive, with the marks of the request, and with sound if there is any.

    Args:
        size: side of the frames, or (height, width), in pixels.

    Raises:
        RuntimeError: their number is not `total`.
    """
    with VideoWriter(request.out, size, sound=sound, marks=request.marks) as writer:
        for chunk in frames:
            if not writer.frames_written:
                clock.lap("first_frames")
            writer.write(chunk)
            progress(writer.frames_written, total)
        if writer.frames_written != total:
            raise RuntimeError(f"{writer.frames_written} frames instead of {total}")
    clock.lap("other_frames")


def write_motion(path: str, motion: Latents, reference_motion: Float[np.ndarray, "d"], motion_hash: str) -> None:
    """Writes an npz file: `motion_latents` [T, D] at 25 frames per second and `reference_motion` [D], both standardised.

    The file also has `motion_hash` of the motion stage that they belong to (`xactor_jax.motion.model`), and `frame_rate`.
    """
    buffer = io.BytesIO()
    arrays = {"motion_latents": motion, "reference_motion": reference_motion, "motion_hash": motion_hash}
    np.savez(buffer, **arrays, frame_rate=FRAME_RATE)
    try:
        write_whole(epath.Path(path), buffer.getvalue())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): check that its folder exists and is writable.") from error


def origin_of(
    models: Models,
    request: Wanted,
    settings: Mapping[str, Any],
    frames: int,
    inputs: Mapping[str, str | np.ndarray],
    timings: Mapping[str, float],
) -> dict[str, Any]:
    """Content of the JSON file of a video. `inputs`: name → file or array; `timings` are in seconds."""
    return {
        "synthetic": True,
        "arguments": {**dataclasses.asdict(request), **settings},
        "seed": request.seed,
        "frames": frames,
        "frame_rate": FRAME_RATE,
        "checkpoints": models.origins,
        "inputs": provenance.inputs(**inputs),
        "versions": provenance.versions(),
        "devices": sorted({device.device_kind for device in jax.local_devices()}),
        "timings": dict(timings),
    }
