"""Structured noise on motion latents in training, so that the renderer tolerates motion that was generated.

    (1) m' = m + a (s_b b + s_d d_t + s_j e_t),   a ~ U(0, 1) per window
b: one offset for the window; d_t: slow drift, a random walk of unit deviation at the window's end; e_t: jitter, apart in
every frame. All are standard normal per latent dimension; motion latents have unit deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from xactor_jax.settings import check_fields, real, setting


@dataclass(frozen=True, kw_only=True)
class MotionNoise:
    """Largest deviations of equation 1, in deviations of the motion latent; 0: off."""

    bias: float = setting(0.1, real(0.0), "one offset for the window, in deviations of the motion latent")
    drift: float = setting(0.1, real(0.0), "random walk, deviation at the window's end")
    jitter: float = setting(0.05, real(0.0), "drawn anew for every frame")

    def __post_init__(self) -> None:
        check_fields(self, "motion_noise")


def disturb(key: Key[Array, ""], motion: Float[Array, "b t d"], noise: MotionNoise) -> Float[Array, "b t d"]:
    """Equation 1."""
    keys = jax.random.split(key, 4)
    b, t, d = motion.shape
    amplitude = jax.random.uniform(keys[0], (b, 1, 1))
    bias = jax.random.normal(keys[1], (b, 1, d))
    drift = jnp.cumsum(jax.random.normal(keys[2], (b, t, d)), axis=1) / jnp.sqrt(t)
    jitter = jax.random.normal(keys[3], (b, t, d))
    return motion + amplitude * (noise.bias * bias + noise.drift * drift + noise.jitter * jitter)
