"""Steppers against the exact solution for Gaussian data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import ancestral_deviation, ddim_step

MEAN, DEVIATION = 0.7, 0.4


def best_prediction(process: GaussianProcess, x: jax.Array, t: jax.Array) -> jax.Array:
    """What the perfect network says of N(MEAN, DEVIATION²) data: the posterior mean of x0, in the process's own terms."""
    alpha, sigma = process.alpha_sigma(t)
    x0 = MEAN + alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2) * (x - alpha * MEAN)
    eps = (x - alpha * x0) / jnp.maximum(sigma, 1e-6)
    return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0}[process.prediction]


def solve(process: GaussianProcess, x: jax.Array, start: float, steps: int, eta: float = 0.0) -> jax.Array:
    levels = jnp.linspace(start, 0.0, steps + 1)
    for i in range(steps):
        noise = jax.random.normal(jax.random.key(i + 1), x.shape)
        x = ddim_step(process, x, best_prediction(process, x, levels[i]), levels[i], levels[i + 1], eta=eta, noise=noise)
    return x


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
@pytest.mark.parametrize("schedule", ["cosine", "scaled_linear"])
def test_many_small_steps_solve_the_flow_of_gaussian_data(prediction: str, schedule: str) -> None:
    """The probability flow carries x_T to the point with the same standardised value: a straight line in closed form."""
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    start = 0.9
    x = jnp.linspace(-2.0, 2.0, 9)
    alpha, sigma = process.alpha_sigma(start)
    want = MEAN + DEVIATION * (x - alpha * MEAN) / jnp.sqrt(alpha**2 * DEVIATION**2 + sigma**2)
    np.testing.assert_allclose(solve(process, x, start, 400), want, atol=2e-2)


def test_ancestral_steps_reach_the_data_distribution(key: jax.Array) -> None:
    x = solve(GaussianProcess(), jax.random.normal(key, (20000,)), 1.0, 150, eta=1.0)
    np.testing.assert_allclose([x.mean(), x.std()], [MEAN, DEVIATION], atol=0.025)


def test_ancestral_deviation_is_that_of_the_posterior() -> None:
    """1 / var = 1 / sigma_s² + (alpha_t / alpha_s)² / var(x_t | x_s): the product of two Gaussians, in float64."""
    process = GaussianProcess()
    t, s = np.array([0.5, 0.9, 0.2]), np.array([0.3, 0.89, 0.01])
    at, as_, st, ss = np.cos(np.pi * t / 2), np.cos(np.pi * s / 2), np.sin(np.pi * t / 2), np.sin(np.pi * s / 2)
    ratio = at / as_
    want = 1 / np.sqrt(1 / ss**2 + ratio**2 / (st**2 - ratio**2 * ss**2))
    np.testing.assert_allclose(ancestral_deviation(process, jnp.float32(t), jnp.float32(s)), want, rtol=1e-3)


def test_each_token_goes_its_own_way(key: jax.Array) -> None:
    process = GaussianProcess()
    x, v = jax.random.normal(key, (2, 3, 4, 2))
    t, s = jnp.array([0.9, 0.5, 0.3, 0.3]), jnp.array([0.6, 0.1, 0.0, 0.3])
    times = jnp.broadcast_to(t, (3, 4)), jnp.broadcast_to(s, (3, 4))
    whole = ddim_step(process, x, v, *times)
    for i in range(4):
        np.testing.assert_allclose(whole[:, i], ddim_step(process, x[:, i], v[:, i], t[i], s[i]), atol=1e-6)
    np.testing.assert_allclose(whole[:, 3], x[:, 3], atol=1e-6)


def test_a_stochastic_step_without_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise"):
        ddim_step(GaussianProcess(), jnp.zeros(2), jnp.zeros(2), 0.5, 0.4, eta=1.0)
