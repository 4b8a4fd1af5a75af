"""DDIM over the windows of one segment, with guidance and with frames that are already finished.

DDIM: Song et al. 2021. Predictions of overlapping windows are averaged at every step (MultiDiffusion, Bar-Tal et al. 2023).
Finished frames are held fixed as known pixels in RePaint (Lugmayr et al. 2022), without its resampling:
    (1) x_t[k] = α(t) x_0[k] + σ(t) ε[k]   for every known frame k, with that frame's own noise ε[k], at every step
    (2) x_T    = α(T) r + σ(T) ε           start of denoising: the noised reference or draft r, blurred or not (X-NeMo 2025)
    (3) t_i    = (1 + i ⌊N / S⌋ + 1) / N   "leading" noise levels of S steps, i = S − 1 … 0, then 0: step 1 + i ⌊N / S⌋ of a
                                           table of N levels counted from 0 (`diffusers`, with an offset of 1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key, PyTree
from ml_collections import ConfigDict

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import GUIDANCE
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.errors import UserError
from xactor_jax.settings import Flag, check_fields, check_value, choice, real, setting, whole
from xactor_jax.video.windows import SegmentPlan, join_windows, split_windows

SPACINGS = ("even", "leading")
"""Spacings of noise levels: equal steps from the first level, or the levels of Stable Diffusion's published schedulers."""

NUMBERS = ("guidance_scale", "first_time", "blur_sigma")
"""Settings that compiled programs take as arguments, so that a change needs no compilation. Other settings are static."""

Segment = Float[Array, "b s h w c"]
Predict = Callable[[Float[Array, "b n t h w c"], Float[Array, ""], PyTree], Float[Array, "b n t h w c"]]


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How clips are rendered: all that changes the pictures except the weights and the key. A pytree of its `NUMBERS`."""

    steps: int = setting(
        1, whole(0, 10_000), "number of denoising steps; 1 is enough to correct a draft; 0: the drafts as they are"
    )
    guidance_scale: float = setting(
        1.0, GUIDANCE, "guidance scale; above 1: away from the reference's own motion, at twice the computation; 1: off"
    )
    guidance_keeps_reference: bool = setting(
        True, Flag(), "whether the negative branch is given the reference, so that guidance strengthens only the motion"
    )
    window_overlap: int = setting(2, whole(0), "frames that neighbouring windows share")
    windows_per_segment: int = setting(3, whole(1, 1_000), "windows that are denoised together; memory grows with them")
    known_frames: int = setting(2, whole(0), "finished frames that each segment takes over from the segment before")
    first_time: float = setting(
        1.0,
        real(0.0, 1.0, above=True),
        "noise level T at which denoising starts, for even spacing; below 1: from the partly noised reference",
    )
    spacing: str = setting(
        "even", choice(SPACINGS), "spacing of noise levels; leading is that of Stable Diffusion's published schedulers"
    )
    blur_size: int = setting(
        0,
        whole(0, 1_000),
        "side of the kernel of the Gaussian blur of the reference before it is noised, latent cells, odd; 0: no blur",
    )
    blur_sigma: float = setting(18.0, real(0.0, above=True), "standard deviation of this Gaussian, latent cells")
    offline: bool = setting(
        False, Flag(), "whether to denoise the whole clip at once, by windows around a closed loop; else segment by segment"
    )

    def __post_init__(self) -> None:
        check_fields(self, "render")
        if self.spacing == "leading" and self.first_time != 1.0:
            raise UserError(f"a first_time of {self.first_time:g} has no effect with leading noise levels: leave it at 1.")
        if self.blur_size and self.blur_size % 2 == 0:
            raise UserError(f"a blur of {self.blur_size} cells is not possible: give an odd blur_size, or 0 for none.")

    @cached_property
    def guided(self) -> bool:
        """Whether guidance needs a negative branch."""
        return self.guidance_scale != 1.0

    @property
    def whole_clip(self) -> bool:
        """Whether the whole clip is denoised at once. Drafts never are, because no frame depends on another one."""
        return self.offline and self.steps > 0

    def tree_flatten(self) -> tuple[list[Any], tuple[tuple[str, Any], ...]]:
        """The numbers, and everything else."""
        values = {**vars(self), "guided": self.guided}
        return [values.pop(name) for name in NUMBERS], tuple(sorted(values.items()))

    @classmethod
    def tree_unflatten(cls, others: tuple[tuple[str, Any], ...], numbers: Iterable[Any]) -> RenderSettings:
        """Does not check the numbers, because traced numbers have no values."""
        settings = object.__new__(cls)
        vars(settings).update(others, **dict(zip(NUMBERS, numbers, strict=True)))
        return settings

    @classmethod
    def from_config(cls, render: ConfigDict) -> RenderSettings:
        """From `config.render` of configs/video.py."""
        return cls(**render.to_dict())

    def plan(self, window: int) -> SegmentPlan:
        """The segment plan for a denoiser of `window` frames.

        Raises:
            UserError: the windows would not move on, or a segment would add no frame.
        """
        check_value("render.window_overlap", self.window_overlap, whole(0, window - 1))
        length = window + (self.windows_per_segment - 1) * (window - self.window_overlap)
        check_value("render.known_frames", self.known_frames, whole(0, length - 1))
        return SegmentPlan(
            window=window, overlap=self.window_overlap, windows=self.windows_per_segment, known=self.known_frames
        )

    def check(self, window: int, levels: int, drafts: bool) -> None:
        """Raises `UserError` if the settings do not fit a renderer.

        Args:
            window: frames that its denoiser processes at once.
            levels: noise levels of its process.
            drafts: whether it makes drafts.
        """
        self.plan(window)
        if not (self.steps or drafts):
            raise UserError("0 denoising steps show the drafts, which this renderer does not have: give 1 step at least.")
        if self.steps and self.spacing == "leading":
            leading_steps(self.steps, levels)

    def times(self, levels: int = 1000) -> Float[Array, "steps_and_one"]:
        """Noise levels falling to 0: evenly spaced from `first_time`, or by equation 3 with N = `levels`."""
        if self.spacing == "leading":
            return jnp.asarray(np.append((leading_steps(self.steps, levels) + 1) / levels, 0.0), jnp.float32)
        return jnp.linspace(self.first_time, 0.0, self.steps + 1)


def leading_steps(steps: int, levels: int = 1000) -> Int[np.ndarray, "steps"]:
    """Steps of a table counted from 0 (equation 3).

    Raises:
        UserError: the table has too few levels for that many steps.
    """
    if not 1 <= steps < levels:
        raise UserError(f"{steps} leading noise levels of {levels} are not possible: take 1 to {levels - 1}.")
    return 1 + (levels // steps) * np.arange(steps)[::-1]


def blur(z: Float[Array, "*b h w c"], size: int, sigma: Float[ArrayLike, ""]) -> Float[Array, "*b h w c"]:
    """Gaussian blur over rows and columns with a kernel of `size` cells. Edges are mirrored. With size 0, z is unchanged."""
    if not size:
        return z
    weights = jnp.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (-3, -2):
        margins = [(0, 0)] * z.ndim
        margins[axis] = (size // 2, size // 2)
        padded, length = jnp.pad(z, margins, mode="reflect"), z.shape[axis]
        moved = [jax.lax.slice_in_dim(padded, i, i + length, axis=axis % z.ndim) for i in range(size)]
        z = reduce(add, (weights[i].astype(z.dtype) * part for i, part in enumerate(moved)))
    return z


def frame_noise(
    key: Key[Array, ""], first: Int[Array, ""] | int, frames: int, shape: tuple[int, ...]
) -> Float[Array, "frames *shape"]:
    """Noise of frames first, first + 1, …. It depends only on the key and the frame's number, not on how a clip is cut."""
    draw = lambda index: jax.random.normal(jax.random.fold_in(key, index), shape)
    return jax.vmap(draw)(first + jnp.arange(frames))


def denoise_segment(
    process: GaussianProcess,
    predict: Predict,
    plan: SegmentPlan,
    times: Float[Array, "levels"],
    noise: Segment,
    start: Float[Array, "b #s h w c"],
    conditions: PyTree[Float[Array, "b s ..."]],
    known: Float[Array, "b k h w c"],
    has_known: Bool[Array, ""] | bool,
) -> Segment:
    """Clean latents of one segment. If `has_known`, the first k frames are returned as given.

    `predict` predicts what the process needs, for all windows at one noise level under the conditions of their frames. `times`
    falls to 0. Denoising starts from `start`, noised to the first level (equation 2).
    """
    window_conditions = jax.tree.map(lambda a: split_windows(a, plan), conditions)

    def hold(x: jax.Array, t: jax.Array) -> jax.Array:
        """Sets the known frames to their noised values (equation 1)."""
        k = known.shape[1]
        noised = process.add_noise(known, noise[:, :k], t)
        return x.at[:, :k].set(jnp.where(has_known, noised, x[:, :k]))

    def step(x: jax.Array, levels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        t, s = levels
        prediction = predict(split_windows(x, plan), t, window_conditions)
        return hold(ddim_step(process, x, join_windows(prediction, plan), t, s), s), None

    noised = process.add_noise(jnp.broadcast_to(start, noise.shape), noise, times[0])
    x, _ = jax.lax.scan(step, hold(noised, times[0]), (times[:-1], times[1:]))
    return x
