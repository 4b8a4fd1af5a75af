"""DDIM over the windows of one segment, with guidance and with frames that are already finished.

Song et al. 2021 (DDIM); predictions of overlapping windows averaged at every step (Bar-Tal et al. 2023, MultiDiffusion);
finished frames held as Lugmayr et al. 2022 (RePaint, without resampling) hold known pixels:
    (1) x_t[k] = α(t) x_0[k] + σ(t) ε[k]   for every known frame k, with that frame's own noise ε[k], at every step
    (2) x_T    = α(T) r + σ(T) ε           where denoising starts: the noised reference r (X-NeMo 2025)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
from ml_collections import ConfigDict

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.video.windows import SegmentPlan, join_windows, split_windows

Segment = Float[Array, "b s h w c"]
Predict = Callable[[Float[Array, "b n t h w c"], Float[Array, ""], Float[Array, "b n t d"]], Float[Array, "b n t h w c"]]


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How a clip is rendered; everything that changes the pictures besides weights and key."""

    steps: int = 10
    """Denoising steps."""
    guidance_scale: float = 1.0
    """1: the motion asked for; above: away from the reference's own motion (one more network call per step)."""
    guidance_keeps_reference: bool = True
    """Whether the reference stays in the negative branch, so that guidance sharpens motion alone."""
    window_overlap: int = 2
    """Frames that neighbouring windows share."""
    windows_per_segment: int = 3
    """Windows denoised together; memory grows with it."""
    known_frames: int = 2
    """Finished frames that each segment takes over from the one before."""
    first_time: float = 1.0
    """Noise level T at which denoising starts, in (0, 1]."""

    @classmethod
    def from_config(cls, render: ConfigDict) -> RenderSettings:
        """From `config.render` of configs/video.py."""
        return cls(**render.to_dict())

    def plan(self, window: int) -> SegmentPlan:
        """The segment plan for a denoiser of `window` frames."""
        return SegmentPlan(
            window=window, overlap=self.window_overlap, windows=self.windows_per_segment, known=self.known_frames
        )

    def times(self) -> Float[Array, "steps_and_one"]:
        """Noise levels from `first_time` to 0, evenly spaced."""
        return jnp.linspace(self.first_time, 0.0, self.steps + 1)


def frame_noise(
    key: Key[Array, ""], first: Int[Array, ""] | int, frames: int, shape: tuple[int, ...]
) -> Float[Array, "frames *shape"]:
    """Noise of frames first, first + 1, …: each depends on the key and its own index alone, not on how a clip is cut."""
    draw = lambda index: jax.random.normal(jax.random.fold_in(key, index), shape)
    return jax.vmap(draw)(first + jnp.arange(frames))


def denoise_segment(
    process: GaussianProcess,
    predict: Predict,
    plan: SegmentPlan,
    times: Float[Array, "levels"],
    noise: Segment,
    reference: Float[Array, "b 1 h w c"],
    motion: Float[Array, "b s d"],
    known: Float[Array, "b k h w c"],
    has_known: Bool[Array, ""] | bool,
) -> Segment:
    """Clean latents of one segment; where `has_known`, the first k come out as they were given.

    `predict` says what the process asks for, for all windows at one noise level; `times` falls to 0; `reference` is what the
    process would have to yield for the reference repeated.
    """
    motion_windows = split_windows(motion, plan)

    def hold(x: jax.Array, t: jax.Array) -> jax.Array:
        """Equation 1."""
        k = known.shape[1]
        noised = process.add_noise(known, noise[:, :k], t)
        return x.at[:, :k].set(jnp.where(has_known, noised, x[:, :k]))

    def step(x: jax.Array, levels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        t, s = levels
        prediction = predict(split_windows(x, plan), t, motion_windows)
        return hold(ddim_step(process, x, join_windows(prediction, plan), t, s), s), None

    start = process.add_noise(jnp.broadcast_to(reference, noise.shape), noise, times[0])
    x, _ = jax.lax.scan(step, hold(start, times[0]), (times[:-1], times[1:]))
    return x
