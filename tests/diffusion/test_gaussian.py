"""The Gaussian process against float64 statements of its equations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess, expand_like

SCHEDULES = ("cosine", "scaled_linear")
PREDICTIONS = ("v", "eps", "x0")


def exact_alpha(process: GaussianProcess, t: np.ndarray) -> np.ndarray:
    """alpha(t) in float64, stated without the module: the discrete product at whole steps, log-linear between them."""
    if process.schedule == "cosine":
        return np.cos(np.pi * t.astype(np.float64) / 2)
    grid = np.linspace(process.beta_start**0.5, process.beta_end**0.5, process.steps)
    products = np.append(1.0, np.multiply.accumulate(1 - grid**2))
    below = np.minimum((t * process.steps).astype(int), process.steps - 1)
    part = t * process.steps - below
    return np.sqrt(products[below] ** (1 - part) * products[below + 1] ** part)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_alpha_and_sigma_are_the_schedules(schedule: str) -> None:
    process = GaussianProcess(schedule=schedule)
    t = np.linspace(0, 1, 77)
    alpha, sigma = process.alpha_sigma(jnp.asarray(t, jnp.float32))
    want = exact_alpha(process, t)
    np.testing.assert_allclose(alpha, want, atol=2e-6)
    np.testing.assert_allclose(sigma, np.sqrt(1 - want**2), atol=5e-6)


def test_scaled_linear_is_stable_diffusions_table_at_whole_steps() -> None:
    """Values of diffusers' scheduler tables: alpha_bar of steps 0 and 999 with betas 0.00085 to 0.012, and of 953 to 0.02."""
    _, sigma = GaussianProcess(schedule="scaled_linear").alpha_sigma(jnp.array([0.001, 1.0]))
    np.testing.assert_allclose(1 - sigma**2, [0.99915, 0.00466], atol=1e-5)
    alpha, _ = GaussianProcess(schedule="scaled_linear", beta_end=0.02).alpha_sigma(0.954)
    np.testing.assert_allclose(alpha**2, 5.6e-4, atol=5e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_shift_multiplies_noise_over_signal(schedule: str) -> None:
    t = np.linspace(0.05, 0.95, 7)
    alpha, sigma = GaussianProcess(schedule=schedule, shift=3.0).alpha_sigma(jnp.asarray(t, jnp.float32))
    want = exact_alpha(GaussianProcess(schedule=schedule), t)
    np.testing.assert_allclose(sigma / alpha, 3 * np.sqrt(1 - want**2) / want, rtol=1e-4)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-5)


def test_the_shift_leaves_both_ends() -> None:
    alpha, sigma = GaussianProcess(shift=4.0).alpha_sigma(jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(alpha, [1.0, 0.0])
    np.testing.assert_array_equal(sigma, [0.0, 1.0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_true_target_leads_back_to_data_and_noise(schedule: str, prediction: str, rng: np.random.Generator) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x0, eps = rng.standard_normal((2, 9, 4, 3)).astype(np.float32)
    t = jnp.broadcast_to(jnp.linspace(0.02, 0.95, 9)[:, None], (9, 4))
    x_t = process.add_noise(jnp.asarray(x0), jnp.asarray(eps), t)
    alpha = exact_alpha(process, np.asarray(t, np.float64))[..., None]
    np.testing.assert_allclose(x_t, alpha * x0 + np.sqrt(1 - alpha**2) * eps, atol=2e-5)
    target = process.target(jnp.asarray(x0), jnp.asarray(eps), t)
    want = {"v": alpha * eps - np.sqrt(1 - alpha**2) * x0, "eps": eps, "x0": x0}[prediction]
    np.testing.assert_allclose(target, want, atol=2e-5)
    np.testing.assert_allclose(process.to_x0(target, x_t, t), x0, atol=2e-4)
    np.testing.assert_allclose(process.to_eps(target, x_t, t), eps, atol=2e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_both_ends_are_finite(schedule: str, prediction: str, key: jax.Array) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x, p = jax.random.normal(key, (2, 2, 5))
    t = jnp.array([0.0, 1.0])
    for value in (process.to_x0(p, x, t), process.to_eps(p, x, t), process.log_snr(t)):
        assert np.isfinite(value).all()


def test_pure_noise_holds_nothing_of_the_data_under_cosine() -> None:
    alpha, sigma = GaussianProcess().alpha_sigma(1.0)
    assert alpha == 0.0 and sigma == 1.0
    alpha, sigma = GaussianProcess().alpha_sigma(0.0)
    assert alpha == 1.0 and sigma == 0.0


def test_log_snr_is_the_logarithm_of_the_ratio() -> None:
    t = np.linspace(0.01, 0.99, 11)
    got = GaussianProcess().log_snr(jnp.asarray(t, jnp.float32))
    np.testing.assert_allclose(got, -2 * np.log(np.tan(np.pi * t / 2)), atol=1e-3)


def test_times_must_lead() -> None:
    with pytest.raises(ValueError, match="lead"):
        expand_like(jnp.zeros(3), jnp.zeros((4, 3)))
