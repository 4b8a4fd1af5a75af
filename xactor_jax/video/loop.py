"""A whole clip at once: windows around a closed loop, moved at every denoising step, as in X-NeMo's released sampler (2025).

Of N frames, windows of T frames, each O over its neighbour and the last one over the first:
    (1) K = ⌈N / (T − O)⌉ windows; window k covers frames (o + k (T − O) + i) mod N, i < T      (one of all N frames if N ≤ T)
    (2) o is drawn anew from 0 … T − 1 at every step
    (3) prediction of a frame = mean over the windows that cover it                             (Bar-Tal et al. 2023)
Windows join at other frames at every step, so that joins do not show. No frame is finished before all are: memory grows with
the clip. Segments (`windows`) are finished one after the other, at memory that does not grow.

Measured on 2026-11-24, the renderer of puppets, 48 frames of one moved by another: the two ways have a PSNR of 40.9 dB to each
other and of 17.1 dB to the truth (the reference repeated: 15.1 dB). `launch/study/compare_video.py` measures other renderers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import ddim_step

Clips = Float[Array, "b n h w c"]
Predict = Callable[[Float[Array, "b k t h w c"], Float[Array, ""], PyTree], Float[Array, "b k t h w c"]]

OFFSETS = 2**31 - 1
"""What the key is folded with for (2); frames fold it with their own number."""


@dataclass(frozen=True, kw_only=True)
class LoopPlan:
    """Numbers of frames of equation 1."""

    frames: int
    """N: of the clip."""
    window: int
    """T: frames the denoiser sees at once."""
    overlap: int
    """O: frames that neighbouring windows share."""

    def __post_init__(self) -> None:
        if not (0 <= self.overlap < self.window and self.frames >= 1):
            raise ValueError(f"impossible loop of windows: {self}")

    @property
    def size(self) -> int:
        """Frames of a window."""
        return min(self.window, self.frames)

    @property
    def windows(self) -> int:
        """K, equation 1."""
        return -(-self.frames // (self.window - self.overlap)) if self.frames > self.window else 1

    def indices(self, offset: Int[Array, "*b"]) -> Int[Array, "*b k t"]:
        """Frames that each window covers, equation 1; of a clip that is one window, its frames in order."""
        if self.frames <= self.window:
            return jnp.broadcast_to(jnp.arange(self.frames), (*jnp.shape(offset), 1, self.frames))
        starts = np.arange(self.windows) * (self.window - self.overlap)
        return (jnp.asarray(offset)[..., None, None] + starts[:, None] + np.arange(self.window)) % self.frames


def loop_offsets(keys: Key[Array, "b"], step: Int[Array, ""] | int, plan: LoopPlan) -> Int[Array, "b"]:
    """Equation 2, for each clip from its own key."""
    draw = lambda key: jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, OFFSETS), step), (), 0, plan.window)
    return jax.vmap(draw)(keys)


def take_windows(x: Float[Array, "b n *d"], frames: Int[Array, "b k t"]) -> Float[Array, "b k t *d"]:
    """The windows of each clip."""
    return jax.vmap(lambda clip, index: clip[index])(x, frames)


def average_windows(y: Float[Array, "b k t *d"], frames: Int[Array, "b k t"], total: int) -> Float[Array, "b n *d"]:
    """Equation 3, for clips of `total` frames."""

    def average(windows: jax.Array, index: jax.Array) -> jax.Array:
        summed = jnp.zeros((total, *windows.shape[2:]), windows.dtype).at[index].add(windows)
        count = jnp.zeros(total, windows.dtype).at[index].add(1)
        return summed / count.reshape(-1, *(1,) * (summed.ndim - 1))

    return jax.vmap(average)(y, frames)


def in_groups(predict: Predict, size: int) -> Predict:
    """The same predictions, of `size` windows at a time; the last group is filled up with its last window."""

    def grouped(x: jax.Array, t: jax.Array, told: PyTree) -> jax.Array:
        b, k = x.shape[:2]
        fill = -k % size

        def split(a: jax.Array) -> jax.Array:
            filled = jnp.concatenate([a, jnp.repeat(a[:, -1:], fill, axis=1)], axis=1)
            return jnp.moveaxis(filled.reshape(b, -1, size, *a.shape[2:]), 1, 0)

        y = jax.lax.map(lambda group: predict(group[0], t, group[1]), jax.tree.map(split, (x, told)))
        return jnp.moveaxis(y, 0, 1).reshape(b, k + fill, *x.shape[2:])[:, :k]

    return grouped


def group_size(plan: LoopPlan, together: int, devices: int = 1) -> int:
    """Windows predicted at once: `together` on each device, but not more than there are; a multiple of the devices."""
    return devices * min(together, -(-plan.windows // devices))


def spread_over(devices: Sequence[jax.Device]) -> Callable[[jax.Array], jax.Array]:
    """A function that, inside `jit`, splits the leading axis of an array over devices; none or one: the array as it is."""
    if len(devices) < 2:
        return lambda a: a
    sharding = NamedSharding(Mesh(np.array(devices), ("windows",)), PartitionSpec("windows"))
    return lambda a: jax.lax.with_sharding_constraint(a, sharding)


def denoise_loop(
    process: GaussianProcess,
    predict: Predict,
    plan: LoopPlan,
    times: Float[Array, "levels"],
    noise: Clips,
    start: Float[Array, "b #n h w c"],
    told: PyTree[Float[Array, "b n ..."]],
    keys: Key[Array, "b"],
) -> Clips:
    """Clean latents of whole clips, by DDIM; `start`, noised to the first level, is where denoising starts.

    `predict` says what the process asks for, for all windows at one noise level and what is `told` of their frames; `times`
    falls to 0.
    """

    def step(x: jax.Array, at: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        index, t, s = at
        frames = plan.indices(loop_offsets(keys, index, plan))
        prediction = predict(take_windows(x, frames), t, jax.tree.map(lambda a: take_windows(a, frames), told))
        return ddim_step(process, x, average_windows(prediction, frames, plan.frames), t, s), None

    x = process.add_noise(jnp.broadcast_to(start, noise.shape), noise, times[0])
    x, _ = jax.lax.scan(step, x, (jnp.arange(len(times) - 1), times[:-1], times[1:]))
    return x
