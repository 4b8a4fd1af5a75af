"""Sampling steps: from a noise level t to a lower one s.

(1)  x_s = alpha_s x0_hat + sqrt(sigma_s² - tau²) eps_hat + tau z,    z ~ N(0, I)       Song et al. 2021 (DDIM), eq. 12
(2)  tau = eta sigma_s sqrt(1 - SNR_t / SNR_s),   SNR = alpha² / sigma²                 the same, eq. 16
(3)  y = x / (alpha + sigma),   r = sigma / (alpha + sigma),   dy / dr = u              the probability-flow ODE
(4)  euler:  y_s = y_t + (r_s - r_t) u(y_t)
(5)  heun:   y_s = y_t + (r_s - r_t) (u(y_t) + u(y'_s)) / 2,   y'_s of (4)              Karras et al. 2022, algorithm 1
(6)  consistency:  x_s = alpha_s x0_hat + sigma_s z               Song et al. 2023 (2303.01469), algorithm 1

x0_hat and eps_hat correspond to the network's prediction at (x_t, t), and u = eps_hat - x0_hat. eta = 0 is deterministic DDIM;
eta = 1 is the ancestral step of DDPM, where tau is the standard deviation of x_s given x_t and x_0. In the coordinates (3)
every noise schedule becomes y_r = (1 - r) x_0 + r eps, so (4) and (5) work for all schedules. For the flow schedule the
coordinates are x and t themselves, and (4) is x + (s - t) u. (4) equals the DDIM step with eta = 0. (5) calls the network a
second time, at s; its error is of second order in the step of r. If s = 0, (5) is replaced by (4), because the network is not
trained at t = 0. This last step keeps the second order under the cosine and flow schedules, but not under scaled linear, where
r grows as the square root of t near 0. (6) is for networks trained by consistency distillation, whose x0_hat is the end of a
path and not a mean: noise may be added to it again.

Every token may have its own t and s; a token with s = t does not change.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.diffusion.gaussian import GaussianProcess, expand_like

STEPPERS = ("ddim", "ancestral", "euler", "heun", "consistency")
"""Names of the kinds of steps."""

Predict = Callable[[Float[Array, "*x"], Float[ArrayLike, "..."]], Float[Array, "*x"]]
"""The network's prediction as a function of (x, t)."""


def is_stochastic(stepper: str, eta: float = 0.0) -> bool:
    """Whether `take_step` needs random noise."""
    return stepper in ("ancestral", "consistency") or (stepper == "ddim" and eta > 0.0)


def take_step(
    stepper: str,
    process: GaussianProcess,
    predict: Predict,
    x_t: Float[Array, "*x"],
    t: Float[ArrayLike, "..."],
    s: Float[ArrayLike, "..."],
    *,
    eta: Float[ArrayLike, ""] = 0.0,
    noise: Float[Array, "*x"] | None = None,
) -> Float[Array, "*x"]:
    """Moves `x_t` from time t to time s <= t by one of `STEPPERS`. Only ddim uses `eta`; `noise` is z of equations 1 and 6.

    Raises:
      ValueError: no stepper has this name, or `noise` is missing although the step `is_stochastic`.
    """
    if stepper in ("ddim", "ancestral"):
        eta = 1.0 if stepper == "ancestral" else eta
        return ddim_step(process, x_t, predict(x_t, t), t, s, eta=eta, noise=noise)
    if stepper == "consistency":
        return consistency_step(process, x_t, predict(x_t, t), t, s, noise=noise)
    if stepper not in STEPPERS:
        raise ValueError(f"no stepper is called {stepper!r}; there are {', '.join(STEPPERS)}")
    u = process.convert(predict(x_t, t), x_t, t, "flow")
    if stepper == "heun":
        x_s = flow_step(process, x_t, u, t, s)
        u_s = process.convert(predict(x_s, s), x_s, s, "flow")
        u = jnp.where(expand_like(s, x_t) > 0.0, 0.5 * (u + u_s), u)
    return flow_step(process, x_t, u, t, s)


def flow_step(
    process: GaussianProcess,
    x_t: Float[Array, "*x"],
    u: Float[Array, "*x"],
    t: Float[ArrayLike, "..."],
    s: Float[ArrayLike, "..."],
) -> Float[Array, "*x"]:
    """Euler step for a given u (equation 4)."""
    t, s = expand_like(t, x_t), expand_like(s, x_t)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = process.alpha_sigma(t), process.alpha_sigma(s)
    sum_t, sum_s = alpha_t + sigma_t, alpha_s + sigma_s
    y_s = x_t / sum_t + (sigma_s / sum_s - sigma_t / sum_t) * u
    return jnp.where(t == s, x_t, sum_s * y_s)


def consistency_step(
    process: GaussianProcess,
    x_t: Float[Array, "*x"],
    prediction: Float[Array, "*x"],
    t: Float[ArrayLike, "..."],
    s: Float[ArrayLike, "..."],
    *,
    noise: Float[Array, "*x"] | None,
) -> Float[Array, "*x"]:
    """Estimates x_0 and adds new noise z of time s (equation 6)."""
    if noise is None:
        raise ValueError("a consistency step needs noise")
    same = expand_like(t, x_t) == expand_like(s, x_t)
    return jnp.where(same, x_t, process.add_noise(process.to_x0(prediction, x_t, t), noise, s))


def ddim_step(
    process: GaussianProcess,
    x_t: Float[Array, "*x"],
    prediction: Float[Array, "*x"],
    t: Float[ArrayLike, "..."],
    s: Float[ArrayLike, "..."],
    *,
    eta: Float[ArrayLike, ""] = 0.0,
    noise: Float[Array, "*x"] | None = None,
) -> Float[Array, "*x"]:
    """DDIM step from time t to time s <= t (equation 1), given the `prediction` at (x_t, t).

    `noise` is z; it is needed unless eta is 0.0.
    """
    x0_hat, eps_hat = process.to_x0(prediction, x_t, t), process.to_eps(prediction, x_t, t)
    t, s = expand_like(t, x_t), expand_like(s, x_t)
    alpha_s, sigma_s = process.alpha_sigma(s)
    if isinstance(eta, float) and eta == 0.0:
        return jnp.where(t == s, x_t, alpha_s * x0_hat + sigma_s * eps_hat)
    if noise is None:
        raise ValueError("a stochastic step (eta > 0) needs noise")
    tau = eta * ancestral_std(process, t, s)
    kept = jnp.sqrt(jnp.maximum(sigma_s**2 - tau**2, 0.0))
    return jnp.where(t == s, x_t, alpha_s * x0_hat + kept * eps_hat + tau * noise)


def ancestral_std(
    process: GaussianProcess, t: Float[ArrayLike, "*lead"], s: Float[ArrayLike, "*lead"]
) -> Float[Array, "*lead"]:
    """Standard deviation of x_s given x_t and x_0: tau of equation 2 for eta = 1."""
    alpha_t, sigma_t = process.alpha_sigma(t)
    alpha_s, sigma_s = process.alpha_sigma(s)
    ratio = alpha_t * sigma_s / jnp.maximum(alpha_s * sigma_t, jnp.finfo(jnp.float32).tiny)
    return sigma_s * jnp.sqrt(jnp.clip(1.0 - ratio**2, 0.0, 1.0))
