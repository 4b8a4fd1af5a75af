"""The performance that actors are measured on with --data: clips of a data set, one after the other, as long as is needed.

The sound and the true motion jump where a clip ends, for all actors at the same frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from launch._clips import true_clips
from launch.study._scene import PROBE_STEP, fitted_rulers
from xactor_jax.clips import Encoder, ReadClip, TrueClip, read
from xactor_jax.evaluation.drift_run import Counting, Scene
from xactor_jax.evaluation.motion import column
from xactor_jax.evaluation.motion_report import Truth
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.sampling.load import Stage
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME

Item = TypeVar("Item")


class Recorded(NamedTuple):
    """Clips of the split `validation` are performed; probes are fitted on people of the split `train`."""

    data: str
    people: int
    minutes: float
    probe_people: int
    segment_seconds: float
    motion: Stage

    @property
    def mark(self) -> dict[str, Any]:
        """What the numbers of true motion depend on."""
        return {**self._asdict(), "motion": self.motion.hash}

    @property
    def frames(self) -> int:
        """Length of the performance."""
        return round(60 * self.minutes * FRAME_RATE)

    def make_scene(self, folder: Path, note: Callable[[str], None], counting: Counting) -> Scene:
        """Everything that all actors share. Raises `UserError` for a data set without these splits or without true controls."""
        r, encode = self, frame_encoder(self.motion.model, self.motion.variables)
        note(f"reading {r.data}")
        clips = [whole_frames(clip) for clip in true_clips(r.data, "validation", 0, known=True)]
        others = [read(encode, clip.every(PROBE_STEP)) for clip in true_clips(r.data, "train", r.probe_people, known=True)]
        with counting("frames encoded", sum(len(clip.frames) for clip in clips)) as advance:
            known = [counted(encode, clip, advance) for clip in clips]
        join = lambda parts, rate=1: np.stack([joined(turned(parts, i, r.people), rate * r.frames) for i in range(r.people)])
        latents, emotion = join([clip.latents for clip in known]), join([clip.emotion for clip in known])
        truth = Truth(latents=latents, jaw=join([column(clip.controls, "jaw") for clip in known]), emotion=emotion)
        speech = join([np.round(clip.waveform * 32767).astype(np.int16) for clip in clips], SAMPLES_PER_FRAME)
        note("fitting probes")
        return Scene(list(speech), latents, emotion, fitted_rulers(others, truth, r.segment_seconds))


def whole_frames(clip: TrueClip) -> TrueClip:
    """The clip with exactly the sound of its frames, padded with silence: sound and motion of joined clips stay together."""
    samples = len(clip.frames) * SAMPLES_PER_FRAME
    short = max(0, samples - len(clip.waveform))
    return dataclasses.replace(clip, waveform=np.pad(clip.waveform, (0, short))[:samples])


def counted(encode: Encoder, clip: TrueClip, advance: Callable[[int], None]) -> ReadClip:
    known = read(encode, clip)
    advance(len(clip.frames))
    return known


def turned(items: Sequence[Item], person: int, people: int) -> list[Item]:
    """The same clips for every performance, each begun with another clip."""
    start = person * len(items) // people
    return [*items[start:], *items[:start]]


def joined(parts: Sequence[np.ndarray], length: int) -> np.ndarray:
    """The parts one after the other, from the first again after the last, cut to `length`."""
    whole = np.concatenate(parts)
    return np.concatenate([whole] * -(-length // len(whole)))[:length]
