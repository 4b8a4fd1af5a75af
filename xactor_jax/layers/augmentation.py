"""Augmentation of the driving frame, so that identity cannot pass through the motion latent.

The encoder sees a driving frame with changed colours, size and proportions. The decoder must rebuild the unchanged frame.
What the latent carries about skin, size or facial proportions is then of no use, so the encoder learns to leave it out
(X-NeMo, arXiv 2507.23143: colour jitter, ±30 % scale, piecewise-affine warp). For a picture x in [-1, 1] with its centre at c:

    (1) x̃(p) = x(c + (p − c) / (1 + s) + side · W(p))         W: bilinear interpolation between displaced control points
    (2) x̄ = mean of x̃ over its channels, in a share of the pictures; else x̃
    (3) y = clip((1 + a) (1 + g) x̄ + 2 b, −1, 1)               a: contrast, g: gain of each channel, b: brightness

All of it is computed on the device, from the key of the training step. So a resumed run changes every frame as before, and so
does a run on other devices or with other processes.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.warp import warp
from xactor_jax.settings import SHARE, check_fields, real, setting, whole

Images = Float[Array, "n h w 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrivingAugmentation:
    """How strongly the driving frame is changed. Every change is drawn uniformly within its bounds."""

    probability: float = setting(0.9, SHARE, "probability of changing a frame")
    brightness: float = setting(0.15, SHARE, "largest change of brightness (±), as a fraction of the full range")
    contrast: float = setting(0.25, SHARE, "largest relative change of contrast (±)")
    channel_gain: float = setting(0.4, SHARE, "largest relative change of each colour channel (±)")
    grayscale: float = setting(0.2, SHARE, "probability of removing colour")
    scale: float = setting(0.3, real(0.0, 1.0, below=True), "largest relative change of size about the centre (±)")
    warp: float = setting(
        0.01,
        real(0.0, 0.5),
        "largest displacement of the warp's control points (±), fraction of the side; for comparison: brows move by 0.06",
    )
    warp_points: int = setting(4, whole(2, 100), "control points of the warp per side")

    def __post_init__(self) -> None:
        check_fields(self, "data.augmentation")


class Changes(NamedTuple):
    """Random changes of n pictures, under the names of the settings; below, the symbols of equations 1 to 3."""

    changed: Bool[Array, "n"]
    """Whether a picture is changed at all."""
    scale: Float[Array, "n"]
    """s"""
    warp: Float[Array, "n points points 2"]
    """W at the control points: (down, right), fractions of the side."""
    gray: Bool[Array, "n"]
    contrast: Float[Array, "n"]
    """a"""
    channel_gain: Float[Array, "n 3"]
    """g"""
    brightness: Float[Array, "n"]
    """b"""


def augment(key: jax.Array, images: Images, settings: DrivingAugmentation) -> Images:
    """Driving frames as the encoder sees them in training, each with changes of its own."""
    return change(images, draw_changes(key, len(images), settings)) if settings.probability else images


def draw_changes(key: jax.Array, count: int, settings: DrivingAugmentation) -> Changes:
    """Independent changes of `count` pictures, uniform within the bounds of the settings."""
    keys = iter(jax.random.split(key, len(Changes._fields)))
    share = lambda p: jax.random.bernoulli(next(keys), p, (count,))
    within = lambda bound, *shape: jax.random.uniform(next(keys), (count, *shape), minval=-bound, maxval=bound)
    s = settings
    return Changes(
        changed=share(s.probability),
        scale=within(s.scale),
        warp=within(s.warp, s.warp_points, s.warp_points, 2),
        gray=share(s.grayscale),
        contrast=within(s.contrast),
        channel_gain=within(s.channel_gain, 3),
        brightness=within(s.brightness),
    )


def change(images: Images, changes: Changes) -> Images:
    """Changes pictures in [-1, 1] (equations 1 to 3)."""
    of_picture = lambda x: x.reshape(len(images), 1, 1, -1)
    moved = warp(images, _flow(changes, *images.shape[1:3]), cubic=False)
    x = jnp.where(of_picture(changes.gray), moved.mean(axis=-1, keepdims=True), moved)
    gain = (1.0 + of_picture(changes.contrast)) * (1.0 + of_picture(changes.channel_gain))
    y = jnp.clip(gain * x + 2.0 * of_picture(changes.brightness), -1.0, 1.0)
    return jnp.where(of_picture(changes.changed), y, images)


def _flow(changes: Changes, height: int, width: int) -> Float[Array, "n h w 2"]:
    """Displacement (down, right) in pixels of the place where every pixel is read (equation 1)."""
    sides = jnp.array([height, width])
    from_centre = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), axis=-1) - (sides - 1) / 2
    resized = jax.image.resize(changes.warp, (len(changes.warp), height, width, 2), "linear", antialias=False)
    return (1.0 / (1.0 + changes.scale) - 1.0)[:, None, None, None] * from_centre + sides * resized
