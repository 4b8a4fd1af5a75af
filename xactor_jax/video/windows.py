"""Rendering long clips with a denoiser of short windows: which frames each window covers, and how predictions are joined.

A clip is rendered in segments of S frames, one after another. A segment is covered by W windows of T frames, which are denoised
together. Neighbouring windows overlap by O frames:
    (1) S = T + (W − 1) (T − O)
    (2) prediction of a frame = mean over the windows that cover it
The first K frames of a segment are the last K frames of the segment before, already finished. Each segment adds S − K frames.
Before frame 0, the first segment repeats the first motion; these K frames are dropped. All segments have the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xactor_jax.padding import filled


@dataclass(frozen=True, kw_only=True)
class SegmentPlan:
    """Numbers of frames of equation 1."""

    window: int
    """T: frames that the denoiser processes at once."""
    overlap: int
    """O: frames that neighbouring windows share."""
    windows: int
    """W: windows per segment."""
    known: int
    """K: finished frames that a segment takes over from the one before."""

    def __post_init__(self) -> None:
        if not (0 <= self.overlap < self.window and self.windows >= 1 and 0 <= self.known < self.length):
            raise ValueError(f"impossible window plan: {self}")

    @property
    def length(self) -> int:
        """S: frames of a segment (equation 1)."""
        return self.window + (self.windows - 1) * (self.window - self.overlap)

    @property
    def new(self) -> int:
        """Frames that each segment adds."""
        return self.length - self.known

    def segments(self, frames: int) -> int:
        """Number of segments that a clip of `frames` needs."""
        return -(-frames // self.new)

    def indices(self) -> Int[np.ndarray, "windows window"]:
        """Frames of the segment that each window covers."""
        starts = np.arange(self.windows) * (self.window - self.overlap)
        return starts[:, None] + np.arange(self.window)


def split_windows(x: Float[Array, "b s *d"], plan: SegmentPlan) -> Float[Array, "b w t *d"]:
    """Cuts each segment into its windows."""
    return x[:, plan.indices()]


def join_windows(y: Float[Array, "b w t *d"], plan: SegmentPlan) -> Float[Array, "b s *d"]:
    """Averages the predictions of overlapping windows (equation 2)."""
    indices = plan.indices()
    total = jnp.zeros((y.shape[0], plan.length, *y.shape[3:]), y.dtype).at[:, indices].add(y)
    count = np.bincount(indices.ravel(), minlength=plan.length)
    return total / count.reshape(-1, *(1,) * (y.ndim - 3)).astype(y.dtype)


def appended(held: Float[np.ndarray, "n d"], chunk: Float[np.ndarray, "_ d"], plan: SegmentPlan) -> Float[np.ndarray, "m d"]:
    """Motion that is not rendered yet, with another chunk. Before the first chunk (n = 0), its first motion is repeated."""
    before = chunk[:1] if not len(held) and len(chunk) else chunk[:0]
    return np.concatenate([held, np.repeat(before, plan.known, axis=0), chunk])


def first_segment(held: Float[np.ndarray, "n d"], plan: SegmentPlan) -> tuple[Float[np.ndarray, "s d"], int]:
    """Motion of the next segment, and how many of its new frames exist. Missing frames repeat the last motion."""
    return filled(held[: plan.length], plan.length), min(len(held), plan.length) - plan.known


def iter_segments(
    chunks: Iterable[Float[np.ndarray, "_ d"]], plan: SegmentPlan
) -> Iterator[tuple[Float[np.ndarray, "s d"], int]]:
    """Motion of each segment, and how many of its new frames exist. The motion arrives in chunks of any length.

    Holds at most one segment. Missing frames repeat the nearest motion. Without any motion, there is no segment.
    """
    held: np.ndarray | None = None
    for chunk in chunks:
        chunk = np.asarray(chunk, np.float32)
        held = appended(chunk[:0] if held is None else held, chunk, plan)
        while len(held) >= plan.length:
            yield first_segment(held, plan)
            held = held[plan.new :]
    if held is not None and len(held) > plan.known:
        yield first_segment(held, plan)


def stack_segments(motion: Float[Array, "b t d"], plan: SegmentPlan) -> Float[Array, "b n s d"]:
    """The segments of `iter_segments` for whole clips, as one array."""
    count = plan.segments(motion.shape[1])
    frames = np.arange(count)[:, None] * plan.new + np.arange(plan.length) - plan.known
    return motion[:, np.clip(frames, 0, motion.shape[1] - 1)]
