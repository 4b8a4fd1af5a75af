"""Emotion over time: a label and an intensity for every frame, given as arrays or as a written track.

(1)  e_i = (1 - s_i) E_neutral + s_i E_l(i)     embedding of frame i with known label l(i) and intensity s_i in [0, 1]
(2)  e_i = U                                    embedding of a frame with unknown label, l(i) = -1
(3)  frame i belongs to the segment with start <= i / 25 s < end; its label is unknown if there is no such segment

`xactor_jax.layers.embeddings.LabelEmbedding` implements (1) and (2). A track is a list of segments: TRACK = SEGMENT[,SEGMENT…]
with SEGMENT = LABEL[@INTENSITY][:START-[END]], times in seconds. Examples: `happy`, `happy@0.6`, `happy:0-20,sad:20-40`,
`happy@0.5:0-20,sad:20-`. A segment without times covers the whole recording; without END it lasts to the end of the recording;
without INTENSITY its intensity is 1.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS, UNKNOWN_EMOTION
from xactor_jax.timing import FRAME_RATE

Labels = Int[Array, "batch *frames"] | Int[np.ndarray, "batch *frames"]
Intensities = Float[Array, "batch *frames"] | Float[np.ndarray, "batch *frames"]

NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)


class Emotion(NamedTuple):
    """Labels (-1: unknown) and intensities of the same shape: one for each example [B] or for each frame [B, T]."""

    label: Labels
    intensity: Intensities


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """One emotion from `start` to `end` (seconds; infinity: no end). Raises `UserError` for values out of range."""

    label: int  # index into `EMOTIONS`
    intensity: float = 1.0
    start: float = 0.0
    end: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.label < len(EMOTIONS):
            raise UserError(f"there is no emotion {self.label}: choose a number from 0 to {len(EMOTIONS) - 1}.")
        if not 0.0 <= self.intensity <= 1.0:
            raise UserError(f"the intensity {_text(self.intensity)} of {self.name} is out of range: give a number from 0 to 1.")
        if not 0.0 <= self.start < math.inf:
            raise UserError(f"{self.name} cannot start at {self.start} s: count seconds from 0, the beginning.")
        if not self.start < self.end:
            raise UserError(
                f"{self.name} ends at {_text(self.end)} s and starts at {_text(self.start)} s: let it end after its start."
            )

    @property
    def name(self) -> str:
        """Name of the emotion."""
        return EMOTIONS[self.label]

    def __str__(self) -> str:
        intensity = "" if self.intensity == 1.0 else f"@{_text(self.intensity)}"
        end = "" if self.end == math.inf else _text(self.end)
        times = "" if (self.start, self.end) == (0.0, math.inf) else f":{_text(self.start)}-{end}"
        return self.name + intensity + times


@dataclasses.dataclass(frozen=True)
class EmotionTrack:
    """Emotion segments, given in any order and stored sorted by start. A track without segments is unknown everywhere.

    Raises:
        UserError: two segments overlap.
    """

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(sorted(self.segments, key=lambda segment: segment.start)))
        for a, b in itertools.pairwise(self.segments):
            if b.start < a.end:
                raise UserError(
                    f"{a} and {b} overlap in the emotion track: give each its own time, as in happy:0-20,sad:20-40 (seconds)."
                )

    def frames(self, start: int, count: int) -> tuple[Int[np.ndarray, "{count}"], Float[np.ndarray, "{count}"]]:
        """Labels and intensities of `count` frames from frame `start` on (equation 3); intensity 1 where unknown."""
        seconds = (start + np.arange(count)) / FRAME_RATE  # rounded like START and END, so comparisons at borders are exact
        labels, intensities = np.full(count, UNKNOWN_EMOTION, np.int32), np.ones(count, np.float32)
        for segment in self.segments:
            inside = (segment.start <= seconds) & (seconds < segment.end)
            labels[inside], intensities[inside] = segment.label, segment.intensity
        return labels, intensities

    def __str__(self) -> str:
        """The text that `parse_emotion` reads."""
        return ",".join(map(str, self.segments))


def parse_emotion(text: str) -> EmotionTrack:
    """Parses a track. An empty text gives a track that is unknown everywhere.

    Raises:
        UserError: the syntax is wrong, an emotion does not exist, or a number or the order of times is not possible.
    """
    return EmotionTrack(tuple(map(_parse_segment, text.split(","))) if text.strip() else ())


def _parse_segment(text: str) -> Segment:
    """Parses LABEL[@INTENSITY][:START-[END]]."""
    rest, timed, times = (part.strip() for part in text.partition(":"))
    name, graded, intensity = (part.strip() for part in rest.partition("@"))
    if name not in EMOTIONS:
        raise UserError(f"there is no emotion {name!r}: choose one of {', '.join(EMOTIONS)}.")
    start, end = _parse_times(name, times) if timed else (0.0, math.inf)
    strength = _number(intensity, f"intensity of {name}", "a number from 0 to 1") if graded else 1.0
    return Segment(label=EMOTIONS.index(name), intensity=strength, start=start, end=end)


def _parse_times(name: str, text: str) -> tuple[float, float]:
    """Parses START-[END] into seconds."""
    what, want = f"time of {name}", "seconds from 0 on, as in 0-20, or 20- for an open end"
    start, dash, end = (part.strip() for part in text.partition("-"))
    if not (start and dash):
        raise UserError(f"the {what}, {text!r}, is not possible: give {want}.")
    return _number(start, what, want), _number(end, what, want) if end else math.inf


def _number(text: str, what: str, want: str) -> float:
    if not NUMBER.fullmatch(text):
        raise UserError(f"the {what}, {text!r}, is not possible: give {want}.")
    return float(text)


def _text(value: float) -> str:
    """The shortest decimal text that `NUMBER` matches and that reads back as `value`."""
    return np.format_float_positional(value, trim="-")


def frames_of(
    emotion: Labels | Emotion | EmotionTrack | Sequence[EmotionTrack] | None, batch: int, start: int, count: int
) -> Emotion:
    """Labels int32 and intensities float32 [batch, count] of `count` frames from frame `start` on.

    Labels without intensities get intensity 1. None means unknown. Values [batch] hold for all frames; the last frame of
    [batch, frames] is repeated beyond its end. One track serves every example; a sequence has one track for each. Arrays may be
    traced; a track needs an int `start`.

    Raises:
        ValueError: the number of tracks is not the batch size.
    """
    if emotion is None or isinstance(emotion, EmotionTrack):
        emotion = [emotion or EmotionTrack()] * batch
    if not isinstance(emotion, Emotion) and isinstance(emotion, Sequence):
        emotion = _stacked(emotion, batch, start, count)
        start = 0
    label, intensity = emotion if isinstance(emotion, Emotion) else (emotion, np.ones(emotion.shape, np.float32))
    cut = lambda x, dtype: _cut(x.astype(dtype), batch, start, count)
    return Emotion(cut(label, jnp.int32), cut(intensity, jnp.float32))


def _stacked(tracks: Sequence[EmotionTrack], batch: int, start: int, count: int) -> Emotion:
    if len(tracks) != batch:
        raise ValueError(f"{len(tracks)} emotion tracks for {batch} examples")
    labels, intensities = zip(*(track.frames(start, count) for track in tracks), strict=True)
    return Emotion(np.stack(labels), np.stack(intensities))


def _cut(x: Num[Array, "..."] | Num[np.ndarray, "..."], batch: int, start: int, count: int) -> Num[Array, "{batch} {count}"]:
    """[batch] or [batch, frames] → [batch, count]. NumPy arrays are cut on the host, so that no length needs compiling."""
    x = x[:, None] if x.ndim == 1 else x
    index = np.clip(start + np.arange(count), 0, x.shape[1] - 1)
    return jnp.broadcast_to(x[:, index], (batch, count))
