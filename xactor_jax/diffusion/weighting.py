"""Weights of the loss by noise level, of the squared error in the network's own prediction.

(1)  w_x0(t) = min(SNR, gamma),   SNR = alpha² / sigma²                       Hang et al. 2023 (min-SNR-gamma), eq. 7
(2)  w_eps(t) = w_x0 / SNR,       since |eps - eps_hat|² = SNR |x0 - x0_hat|²
(3)  w_v(t)   = w_x0 / (SNR + 1), since |v - v_hat|² = (SNR + 1) |x0 - x0_hat|²

With alpha² + sigma² = 1 they are min(alpha² / sigma², gamma), min(1, gamma sigma² / alpha²) and min(alpha², gamma sigma²),
which stay finite at both ends.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import GaussianProcess


def min_snr_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"], gamma: float = 5.0) -> Float[Array, "*lead"]:
    """Min-SNR weight (1) to (3) for what the process's network predicts."""
    alpha, sigma = process.alpha_sigma(t)
    signal, noise = alpha**2, sigma**2
    tiny = jnp.finfo(jnp.float32).tiny
    if process.prediction == "v":
        return jnp.minimum(signal, gamma * noise)
    if process.prediction == "eps":
        return jnp.minimum(1.0, gamma * noise / jnp.maximum(signal, tiny))
    return jnp.minimum(signal / jnp.maximum(noise, tiny), gamma)


def uniform_weight(process: GaussianProcess, t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
    """One at every noise level: the squared error of the prediction as it is."""
    return jnp.ones_like(jnp.asarray(t, jnp.float32))


def loss_weight(name: str, process: GaussianProcess, t: Float[ArrayLike, "*lead"], gamma: float = 5.0) -> Float[Array, "*lead"]:
    """The weight called `name` in a config: `min_snr` or `none`; `ValueError` for another."""
    if name == "min_snr":
        return min_snr_weight(process, t, gamma)
    if name == "none":
        return uniform_weight(process, t)
    raise ValueError(f"no weighting is called {name!r}; there are min_snr and none")
