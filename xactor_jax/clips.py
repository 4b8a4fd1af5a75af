"""Decoded clips for evaluation: frames, sound, ground truth and the motion latents of their frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

Encoder = Callable[[UInt8[np.ndarray, "n h w 3"]], Float[np.ndarray, "n d"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrueClip:
    """A clip of T frames: its sound, its true controls and, where known, the emotion and expression units of each frame."""

    person: str
    clip: str
    frames: UInt8[np.ndarray, "t h w 3"]
    waveform: Float[np.ndarray, "samples"]
    controls: Float[np.ndarray, "_ controls"]
    emotion: Int[np.ndarray, "t"] | None = None
    units: Float[np.ndarray, "_ units"] | None = None  # no rows if the units are not known
    component_boxes: Float[np.ndarray, "t 2 4"] | None = None
    """Boxes (y0, x0, y1, x1) in fractions of the image: first the eyes with the brows, then the mouth."""

    def cut(self, frames: int, samples_per_frame: int) -> TrueClip:
        """The first `frames` frames of the clip."""
        return dataclasses.replace(
            self,
            frames=self.frames[:frames],
            waveform=self.waveform[: frames * samples_per_frame],
            controls=self.controls[:frames],
            emotion=None if self.emotion is None else self.emotion[:frames],
            units=None if self.units is None else self.units[:frames],
            component_boxes=None if self.component_boxes is None else self.component_boxes[:frames],
        )

    def every(self, step: int) -> TrueClip:
        """Every `step`-th frame, without the sound. Probes use it because they read each frame independently."""
        emotion = None if self.emotion is None else self.emotion[::step]
        units = None if self.units is None else self.units[::step]
        boxes = None if self.component_boxes is None else self.component_boxes[::step]
        thinned = dict(frames=self.frames[::step], controls=self.controls[::step], emotion=emotion, units=units)
        thinned |= dict(component_boxes=boxes)
        return dataclasses.replace(self, waveform=self.waveform[:0], **thinned)


Draw = Callable[[TrueClip, TrueClip], UInt8[np.ndarray, "t h w 3"]]
"""Returns frames that show the person of the first clip with the motion of the second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadClip:
    """The parts of a clip that the probes need."""

    person: str
    clip: str
    latents: Float[np.ndarray, "t d"]
    controls: Float[np.ndarray, "_ controls"]
    emotion: Int[np.ndarray, "t"] | None = None
    units: Float[np.ndarray, "_ units"] | None = None  # no rows if the units are not known

    def cut(self, frames: int) -> ReadClip:
        """The first `frames` frames of the clip."""
        return dataclasses.replace(
            self,
            latents=self.latents[:frames],
            controls=self.controls[:frames],
            emotion=None if self.emotion is None else self.emotion[:frames],
            units=None if self.units is None else self.units[:frames],
        )


def read(encode: Encoder, clip: TrueClip) -> ReadClip:
    """Replaces the frames of the clip by their motion latents."""
    same = {name: getattr(clip, name) for name in ("person", "clip", "controls", "emotion", "units")}
    return ReadClip(latents=encode(clip.frames), **same)


def stacked(clips: Sequence[ReadClip]) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n controls"]]:
    """Concatenates the latents and the controls of all frames of all clips."""
    return np.concatenate([c.latents for c in clips]), np.concatenate([c.controls for c in clips])
