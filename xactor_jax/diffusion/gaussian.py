"""The variance-preserving Gaussian process over continuous time t in [0, 1]: 0 is clean, 1 is noise.

(1)  x_t = alpha(t) x_0 + sigma(t) eps,   eps ~ N(0, I),   alpha² + sigma² = 1        Kingma et al. 2021, eq. 1
(2)  v   = alpha(t) eps - sigma(t) x_0                                              Salimans & Ho 2022, appendix D
(3)  x_0 = alpha x_t - sigma v,           eps = sigma x_t + alpha v                 from (1) and (2), no division
(4)  x_0 = (x_t - sigma eps) / alpha,     eps = (x_t - alpha x_0) / sigma           from (1); the divisor is clipped
(5)  cosine:         alpha = cos(pi t / 2), sigma = sin(pi t / 2)                   Nichol & Dhariwal 2021, without offset
(6)  scaled linear:  log alpha²(n / N) = sum_{i <= n} log(1 - beta_i),              Rombach et al. 2022 (Stable Diffusion)
                     beta_i = (sqrt(beta_1) + (i - 1) / (N - 1) (sqrt(beta_N) - sqrt(beta_1)))²,
                     and log alpha² linear in t between n / N and (n + 1) / N
(7)  log SNR(t) = log(alpha² / sigma²)
(8)  shifted by s:   sigma / alpha of (5) or (6) times s                            Hoogeboom et al. 2023

(8) is for data that say the same thing in many numbers: m copies of a signal drown only in sqrt(m) times the noise.

Time (n / N) of (6) is the discrete step n - 1 of a table counted from 0; t = 0 is exactly clean, t = 1 is the last step. The
cosine process reaches pure noise at t = 1 (alpha = 0), where `eps` says nothing of x_0: predict `v` with it.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

MIN_DIVISOR = 1e-3
"""Smallest alpha or sigma divided by in (4)."""

MAX_LOG_SNR = 20.0
"""Bound of (7) on both sides; it is infinite at t = 0, and for the cosine process at t = 1."""

Prediction = Literal["v", "eps", "x0"]


def expand_like(t: Float[ArrayLike, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """`t`, whose shape is a leading part of that of `x`, with trailing axes of length one so that it broadcasts."""
    t = jnp.asarray(t)
    if t.shape != x.shape[: t.ndim] and any(a not in (1, b) for a, b in zip(t.shape, x.shape, strict=False)):
        raise ValueError(f"times of shape {t.shape} do not lead an array of shape {x.shape}")
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """The process (1) with its schedule, and what a network predicts of it. Times lead the arrays they belong to."""

    schedule: Literal["cosine", "scaled_linear"] = "cosine"
    prediction: Prediction = "v"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    steps: int = 1000
    """N of (6); the three of them are unused by the cosine schedule."""
    shift: float = 1.0
    """s of (8)."""

    def log_alpha_squared_table(self) -> Float[np.ndarray, "knots"]:
        """log alpha² of (6) at t = n / N for n = 0 … N, in float64."""
        beta = np.linspace(np.sqrt(self.beta_start), np.sqrt(self.beta_end), self.steps) ** 2
        return np.concatenate([[0.0], np.cumsum(np.log1p(-beta))])

    def alpha_sigma(self, t: Float[ArrayLike, "*lead"]) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
        """alpha(t) and sigma(t) in float32, both within [0, 1] for t within [0, 1]."""
        alpha, sigma = self._unshifted(jnp.clip(jnp.asarray(t, jnp.float32), 0.0, 1.0))
        if self.shift == 1.0:
            return alpha, sigma
        length = jnp.sqrt(alpha**2 + (self.shift * sigma) ** 2)
        return alpha / length, self.shift * sigma / length

    def _unshifted(self, t: Float[Array, "*lead"]) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
        """(5) or (6)."""
        if self.schedule == "cosine":
            # sin(pi (1 - t) / 2) is cos(pi t / 2), but exactly zero at t = 1.
            return jnp.sin(0.5 * jnp.pi * (1.0 - t)), jnp.sin(0.5 * jnp.pi * t)
        table = jnp.asarray(self.log_alpha_squared_table(), jnp.float32)
        log_alpha_squared = jnp.interp(t * self.steps, jnp.arange(self.steps + 1, dtype=jnp.float32), table)
        return jnp.exp(0.5 * log_alpha_squared), jnp.sqrt(-jnp.expm1(log_alpha_squared))

    def log_snr(self, t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
        """(7), clipped to ±`MAX_LOG_SNR`."""
        alpha, sigma = self.alpha_sigma(t)
        tiny = jnp.finfo(jnp.float32).tiny
        return jnp.clip(2.0 * (jnp.log(alpha + tiny) - jnp.log(sigma + tiny)), -MAX_LOG_SNR, MAX_LOG_SNR)

    def add_noise(self, x0: Float[Array, "*x"], eps: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """(1)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x0))
        return alpha * x0 + sigma * eps

    def target(self, x0: Float[Array, "*x"], eps: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """What the network should say at time t: (2), `eps` or `x0` as `prediction` names it."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x0))
        return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0}[self.prediction]

    def to_x0(self, prediction: Float[Array, "*x"], x_t: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """x_0 that a prediction at (x_t, t) stands for, by (3) or (4)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x_t))
        if self.prediction == "v":
            return alpha * x_t - sigma * prediction
        return prediction if self.prediction == "x0" else (x_t - sigma * prediction) / jnp.maximum(alpha, MIN_DIVISOR)

    def to_eps(self, prediction: Float[Array, "*x"], x_t: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """eps that a prediction at (x_t, t) stands for, by (3) or (4)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x_t))
        if self.prediction == "v":
            return sigma * x_t + alpha * prediction
        return prediction if self.prediction == "eps" else (x_t - alpha * prediction) / jnp.maximum(sigma, MIN_DIVISOR)
