"""Long clips from a denoiser that knows short windows: which frames each window covers, and how their predictions join.

A clip is rendered in segments of S frames, one after the other; a segment is covered by windows of T frames, each O frames
over its neighbour, denoised together:
    (1) S = T + (W − 1) (T − O)
    (2) prediction of a frame = mean over the windows that cover it
The first K frames of a segment are the last K of the one before, already finished; each segment adds S − K frames, the first
one too: what stands before frame 0 is the first motion held still, and is thrown away. All segments have one shape.
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
    """T: frames the denoiser sees at once."""
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
        """S, equation 1."""
        return self.window + (self.windows - 1) * (self.window - self.overlap)

    @property
    def new(self) -> int:
        """Frames that each segment adds."""
        return self.length - self.known

    def segments(self, frames: int) -> int:
        """Segments that render a clip of `frames`."""
        return -(-frames // self.new)

    def indices(self) -> Int[np.ndarray, "windows window"]:
        """Frames of the segment that each window covers."""
        starts = np.arange(self.windows) * (self.window - self.overlap)
        return starts[:, None] + np.arange(self.window)


def split_windows(x: Float[Array, "b s *d"], plan: SegmentPlan) -> Float[Array, "b w t *d"]:
    """The windows of each segment."""
    return x[:, plan.indices()]


def join_windows(y: Float[Array, "b w t *d"], plan: SegmentPlan) -> Float[Array, "b s *d"]:
    """Equation 2."""
    indices = plan.indices()
    total = jnp.zeros((y.shape[0], plan.length, *y.shape[3:]), y.dtype).at[:, indices].add(y)
    count = np.bincount(indices.ravel(), minlength=plan.length)
    return total / count.reshape(-1, *(1,) * (y.ndim - 3)).astype(y.dtype)


def iter_segments(
    chunks: Iterable[Float[np.ndarray, "_ d"]], plan: SegmentPlan
) -> Iterator[tuple[Float[np.ndarray, "s d"], int]]:
    """Motion of each segment and how many of its new frames exist, from motion arriving in chunks of any length.

    Holds one segment at most. Missing frames repeat the nearest motion there is. Nothing comes of no motion.
    """
    held: np.ndarray | None = None
    for chunk in chunks:
        chunk = np.asarray(chunk, np.float32)
        if len(chunk) == 0:
            continue
        if held is None:
            held = np.repeat(chunk[:1], plan.known, axis=0)
        held = np.concatenate([held, chunk])
        while len(held) >= plan.length:
            yield held[: plan.length], plan.new
            held = held[plan.new :]
    if held is not None and len(held) > plan.known:
        yield filled(held, plan.length), len(held) - plan.known


def stack_segments(motion: Float[Array, "b t d"], plan: SegmentPlan) -> Float[Array, "b n s d"]:
    """`iter_segments` of clips that are whole: same motion, as one array."""
    count = plan.segments(motion.shape[1])
    frames = np.arange(count)[:, None] * plan.new + np.arange(plan.length) - plan.known
    return motion[:, np.clip(frames, 0, motion.shape[1] - 1)]
