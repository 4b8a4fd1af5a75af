"""Steps from a noise level to a lower one.

(1)  x_s = alpha_s x0_hat + sqrt(sigma_s² - tau²) eps_hat + tau z,    z ~ N(0, I)       Song et al. 2021 (DDIM), eq. 12
(2)  tau = eta (sigma_s / sigma_t) sqrt(1 - alpha_t² / alpha_s²)                        the same, eq. 16

x0_hat and eps_hat are what the network's prediction at (x_t, t) stands for. eta = 0 is deterministic DDIM; eta = 1 is the
ancestral step of DDPM. Every token may have its own t and s; a token with s = t stays where it is up to rounding.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import MIN_DIVISOR, GaussianProcess, expand_like


def ddim_step(
    process: GaussianProcess,
    x_t: Float[Array, "*x"],
    prediction: Float[Array, "*x"],
    t: Float[ArrayLike, "..."],
    s: Float[ArrayLike, "..."],
    *,
    eta: float = 0.0,
    noise: Float[Array, "*x"] | None = None,
) -> Float[Array, "*x"]:
    """(1): `x_t` moved from time t to time s <= t, given the network's `prediction` there; `noise` is z, needed if eta > 0."""
    x0_hat, eps_hat = process.to_x0(prediction, x_t, t), process.to_eps(prediction, x_t, t)
    alpha_s, sigma_s = process.alpha_sigma(expand_like(s, x_t))
    if eta == 0.0:
        return alpha_s * x0_hat + sigma_s * eps_hat
    if noise is None:
        raise ValueError("a stochastic step (eta > 0) needs noise")
    tau = eta * ancestral_deviation(process, expand_like(t, x_t), expand_like(s, x_t))
    return alpha_s * x0_hat + jnp.sqrt(jnp.maximum(sigma_s**2 - tau**2, 0.0)) * eps_hat + tau * noise


def ancestral_deviation(
    process: GaussianProcess, t: Float[ArrayLike, "*lead"], s: Float[ArrayLike, "*lead"]
) -> Float[Array, "*lead"]:
    """tau of (2) at eta = 1: the standard deviation of x_s given x_t and x_0."""
    alpha_t, sigma_t = process.alpha_sigma(t)
    alpha_s, sigma_s = process.alpha_sigma(s)
    ratio = alpha_t / jnp.maximum(alpha_s, MIN_DIVISOR)
    return sigma_s / jnp.maximum(sigma_t, MIN_DIVISOR) * jnp.sqrt(jnp.clip(1.0 - ratio**2, 0.0, 1.0))
