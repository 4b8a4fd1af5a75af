"""The Gaussian diffusion process over continuous time t in [0, 1]: 0 is clean data, 1 is noise.

(1)  x_t  = alpha(t) x_0 + sigma(t) eps,   eps ~ N(0, I)                             Kingma et al. 2021, eq. 1
(2)  v    = alpha(t) eps - sigma(t) x_0                                            Salimans & Ho 2022, appendix D
     flow = eps - x_0                                                              Lipman et al. 2023; Liu et al. 2023
(3)  p    = a x_0 + b eps,   (a, b) = (1, 0) for x0, (0, 1) for eps, (-sigma, alpha) for v, (-1, 1) for flow
(4)  x_0  = (b x_t - sigma p) / D,   eps = (alpha p - a x_t) / D,   D = alpha b - sigma a           (1) and (3), inverted
(5)  cosine:         alpha = cos(pi t / 2), sigma = sin(pi t / 2)                   Nichol & Dhariwal 2021, without offset
(6)  scaled linear:  log alpha²(n / N) = sum_{i <= n} log(1 - beta_i),              Rombach et al. 2022 (Stable Diffusion)
                     beta_i = (sqrt(beta_1) + (i - 1) / (N - 1) (sqrt(beta_N) - sqrt(beta_1)))²,
                     and log alpha² linear in t between n / N and (n + 1) / N;  sigma² = 1 - alpha²
(7)  flow:           alpha = 1 - t, sigma = t                                       rectified flow, Liu et al. 2023
(8)  log SNR(t) = log(alpha² / sigma²)
(9)  shifted by s:   sigma / alpha of (5), (6) or (7) times s                       Hoogeboom et al. 2023

(1) defines the noisy data, (2) and (3) the possible targets of the network, and (4) converts a prediction back to x_0 and eps.
(5) to (7) are noise schedules. (8) measures the noise level independently of the schedule; loss weights need it.

(5) and (6) keep alpha² + sigma² = 1, (7) keeps alpha + sigma = 1, and (9) preserves these sums. D is -sigma for x0, alpha for
eps, alpha² + sigma² for v (1 under (5) and (6), where (4) reads x_0 = alpha x_t - sigma v) and alpha + sigma for flow (1 under
(7)). Only the first two can become 0, so they are clipped.

(9) is for redundant data: if a signal is repeated in m numbers, sqrt(m) times the noise is needed to hide it. For (7) it is
t -> s t / (1 + (s - 1) t), the shift of Stable Diffusion 3 (Esser et al. 2024).

In (6), time n / N is the discrete step n - 1 of a table counted from 0; t = 0 is exactly clean, t = 1 is the last step. (5) and
(7) reach pure noise at t = 1 (alpha = 0), where a prediction of `eps` does not determine x_0: use `v` or `flow` with them.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.settings import check_fields, choice, real, setting, whole

MIN_DIVISOR = 1e-3
"""Smallest divisor alpha or sigma in equation 4, which avoids a division by zero."""

MAX_LOG_SNR = 20.0
"""Bound of the absolute log SNR (equation 8), which is infinite at t = 0, and at t = 1 under (5) and (7)."""

NOISE_SCHEDULES = ("cosine", "scaled_linear", "flow")
"""Names of the noise schedules of equations 5 to 7."""
PREDICTIONS = ("v", "eps", "x0", "flow")
"""Names of what a network can predict (equation 3)."""


def expand_like(t: Float[ArrayLike, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Appends axes of length one to `t` so that it broadcasts with `x`. Its shape must be a leading part of that of `x`."""
    t = jnp.asarray(t)
    if t.shape != x.shape[: t.ndim] and any(a not in (1, b) for a, b in zip(t.shape, x.shape, strict=False)):
        raise ValueError(f"times of shape {t.shape} do not lead an array of shape {x.shape}")
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """The process (equation 1) with its noise schedule and the quantity that a network predicts.

    The shape of a time array is a leading part of the shape of the data array that it belongs to.
    """

    schedule: str = setting(
        "cosine", choice(NOISE_SCHEDULES), "noise schedule; scaled_linear is that of Stable Diffusion, flow is a straight line"
    )
    prediction: str = setting("v", choice(PREDICTIONS), "quantity that the network predicts")
    beta_start: float = setting(
        0.00085, real(0.0, 1.0, above=True, below=True), "variance that the first step of the scaled_linear schedule adds"
    )
    beta_end: float = setting(
        0.012, real(0.0, 1.0, above=True, below=True), "variance that the last step of the scaled_linear schedule adds"
    )
    steps: int = setting(1000, whole(2, 1_000_000), "N, steps in the table of the scaled_linear schedule")
    shift: float = setting(1.0, real(0.0, above=True), "shift s, a factor on the ratio of noise to signal")

    def __post_init__(self) -> None:
        check_fields(self, "diffusion")

    def log_alpha_squared_table(self) -> Float[np.ndarray, "knots"]:
        """log alpha² at t = n / N for n = 0 … N (equation 6), in float64."""
        beta = np.linspace(np.sqrt(self.beta_start), np.sqrt(self.beta_end), self.steps) ** 2
        return np.concatenate([[0.0], np.cumsum(np.log1p(-beta))])

    def alpha_sigma(self, t: Float[ArrayLike, "*lead"]) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
        """alpha(t) and sigma(t) in float32, both within [0, 1] for t within [0, 1]."""
        alpha, sigma = self._unshifted(jnp.clip(jnp.asarray(t, jnp.float32), 0.0, 1.0))
        if self.shift == 1.0:
            return alpha, sigma
        sigma = self.shift * sigma
        kept = alpha + sigma if self.schedule == "flow" else jnp.sqrt(alpha**2 + sigma**2)
        return alpha / kept, sigma / kept

    def _unshifted(self, t: Float[Array, "*lead"]) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
        """alpha(t) and sigma(t) before the shift (equation 5, 6 or 7)."""
        if self.schedule == "flow":
            return 1.0 - t, t
        if self.schedule == "cosine":
            # sin(pi (1 - t) / 2) equals cos(pi t / 2), but is exactly zero at t = 1 in floating point.
            return jnp.sin(0.5 * jnp.pi * (1.0 - t)), jnp.sin(0.5 * jnp.pi * t)
        table = jnp.asarray(self.log_alpha_squared_table(), jnp.float32)
        log_alpha_squared = jnp.interp(t * self.steps, jnp.arange(self.steps + 1, dtype=jnp.float32), table)
        return jnp.exp(0.5 * log_alpha_squared), jnp.sqrt(-jnp.expm1(log_alpha_squared))

    def log_snr(self, t: Float[ArrayLike, "*lead"]) -> Float[Array, "*lead"]:
        """log SNR(t), clipped to ±`MAX_LOG_SNR` (equation 8)."""
        alpha, sigma = self.alpha_sigma(t)
        tiny = jnp.finfo(jnp.float32).tiny
        return jnp.clip(2.0 * (jnp.log(alpha + tiny) - jnp.log(sigma + tiny)), -MAX_LOG_SNR, MAX_LOG_SNR)

    def add_noise(self, x0: Float[Array, "*x"], eps: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """Noisy data x_t from x_0 and eps (equation 1)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x0))
        return alpha * x0 + sigma * eps

    def target(self, x0: Float[Array, "*x"], eps: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """The quantity that the network should predict at time t (equation 3, chosen by `prediction`)."""
        return self._combined(self.prediction, x0, eps, t)

    def _combined(
        self, kind: str, x0: Float[Array, "*x"], eps: Float[Array, "*x"], t: Float[ArrayLike, "..."]
    ) -> Float[Array, "*x"]:
        """x0, eps, v or flow from x_0 and eps at time t (equation 3)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x0))
        return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0, "flow": eps - x0}[kind]

    def to_x0(self, prediction: Float[Array, "*x"], x_t: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """x_0 that corresponds to a prediction at (x_t, t) (equation 4)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x_t))
        if self.prediction == "x0":
            return prediction
        if self.prediction == "eps":
            return (x_t - sigma * prediction) / jnp.maximum(alpha, MIN_DIVISOR)
        if self.prediction == "v":
            return (alpha * x_t - sigma * prediction) / (alpha**2 + sigma**2)
        return (x_t - sigma * prediction) / (alpha + sigma)

    def to_eps(self, prediction: Float[Array, "*x"], x_t: Float[Array, "*x"], t: Float[ArrayLike, "..."]) -> Float[Array, "*x"]:
        """eps that corresponds to a prediction at (x_t, t) (equation 4)."""
        alpha, sigma = self.alpha_sigma(expand_like(t, x_t))
        if self.prediction == "eps":
            return prediction
        if self.prediction == "x0":
            return (x_t - alpha * prediction) / jnp.maximum(sigma, MIN_DIVISOR)
        if self.prediction == "v":
            return (sigma * x_t + alpha * prediction) / (alpha**2 + sigma**2)
        return (x_t + alpha * prediction) / (alpha + sigma)

    def convert(
        self, prediction: Float[Array, "*x"], x_t: Float[Array, "*x"], t: Float[ArrayLike, "..."], to: str
    ) -> Float[Array, "*x"]:
        """Converts a prediction at (x_t, t) into the quantity `to` (equation 4, then equation 3)."""
        if to == self.prediction:
            return prediction
        return self._combined(to, self.to_x0(prediction, x_t, t), self.to_eps(prediction, x_t, t), t)
