"""Structured noise on motion latents in training, so that the renderer tolerates the errors of generated motion.

    (1) m' = m + a (s_b b + s_d d_t + s_j e_t),   a ~ U(0, 1) per window
b is one offset for the window; d_t is slow drift, a random walk with a standard deviation of one at the window's end; e_t is
jitter, drawn independently for every frame. All are standard normal in each latent dimension. Motion latents have a standard
deviation of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from xactor_jax.settings import check_fields, real, setting


@dataclass(frozen=True, kw_only=True)
class MotionNoise:
    """Largest standard deviations of the parts of equation 1."""

    bias: float = setting(0.1, real(0.0), "largest standard deviation of one offset per window, over that of motion latents")
    drift: float = setting(
        0.1, real(0.0), "largest standard deviation of a random walk at the window's end, over that of motion latents"
    )
    jitter: float = setting(
        0.05, real(0.0), "largest standard deviation of independent noise in each frame, over that of motion latents"
    )

    def __post_init__(self) -> None:
        check_fields(self, "motion_noise")


def disturb(key: Key[Array, ""], motion: Float[Array, "b t d"], noise: MotionNoise) -> Float[Array, "b t d"]:
    """Adds structured noise to motion latents (equation 1)."""
    keys = jax.random.split(key, 4)
    b, t, d = motion.shape
    amplitude = jax.random.uniform(keys[0], (b, 1, 1))
    bias = jax.random.normal(keys[1], (b, 1, d))
    drift = jnp.cumsum(jax.random.normal(keys[2], (b, t, d)), axis=1) / jnp.sqrt(t)
    jitter = jax.random.normal(keys[3], (b, t, d))
    return motion + amplitude * (noise.bias * bias + noise.drift * drift + noise.jitter * jitter)
