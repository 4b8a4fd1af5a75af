"""The Gaussian process against float64 statements of its equations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import MAX_LOG_SNR, GaussianProcess, expand_like
from xactor_jax.errors import UserError

SCHEDULES = ("cosine", "scaled_linear", "flow")
PREDICTIONS = ("v", "eps", "x0", "flow")


def exact(process: GaussianProcess, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha and sigma in float64, stated without the module: the discrete product at whole steps, log-linear between them."""
    t = np.asarray(t, np.float64)
    if process.schedule == "flow":
        return 1 - t, t
    if process.schedule == "cosine":
        return np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
    grid = np.linspace(process.beta_start**0.5, process.beta_end**0.5, process.steps)
    products = np.append(1.0, np.multiply.accumulate(1 - grid**2))
    below = np.minimum((t * process.steps).astype(int), process.steps - 1)
    part = t * process.steps - below
    alpha = np.sqrt(products[below] ** (1 - part) * products[below + 1] ** part)
    return alpha, np.sqrt(1 - alpha**2)


def said(kind: str, x0: np.ndarray, eps: np.ndarray, alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """What a perfect network that predicts `kind` says."""
    return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0, "flow": eps - x0}[kind]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_alpha_and_sigma_are_the_schedules(schedule: str) -> None:
    process = GaussianProcess(schedule=schedule)
    t = np.linspace(0, 1, 36).reshape(9, 4)
    alpha, sigma = process.alpha_sigma(jnp.asarray(t, jnp.float32))
    want = exact(process, t)
    np.testing.assert_allclose(alpha, want[0], atol=2e-6)
    np.testing.assert_allclose(sigma, want[1], atol=5e-6)


def test_scaled_linear_is_stable_diffusions_table_at_whole_steps() -> None:
    """Values of diffusers' scheduler tables: alpha_bar of steps 0 and 999 with betas 0.00085 to 0.012, and of 953 to 0.02."""
    _, sigma = GaussianProcess(schedule="scaled_linear").alpha_sigma(jnp.array([0.001, 1.0]))
    np.testing.assert_allclose(1 - sigma**2, [0.99915, 0.00466], atol=1e-5)
    alpha, _ = GaussianProcess(schedule="scaled_linear", beta_end=0.02).alpha_sigma(0.954)
    np.testing.assert_allclose(alpha**2, 5.6e-4, atol=5e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_shift_multiplies_noise_over_signal_and_keeps_what_the_schedule_keeps(schedule: str) -> None:
    t = np.linspace(0.05, 0.95, 36).reshape(9, 4)
    alpha, sigma = GaussianProcess(schedule=schedule, shift=3.0).alpha_sigma(jnp.asarray(t, jnp.float32))
    want = exact(GaussianProcess(schedule=schedule), t)
    np.testing.assert_allclose(sigma / alpha, 3 * want[1] / want[0], rtol=1e-4)
    np.testing.assert_allclose(alpha + sigma if schedule == "flow" else alpha**2 + sigma**2, 1, rtol=1e-5)


def test_the_shift_of_the_straight_line_is_that_of_stable_diffusion_3() -> None:
    t, s = np.linspace(0, 1, 36).reshape(9, 4), 3.0
    _, sigma = GaussianProcess(schedule="flow", shift=s).alpha_sigma(jnp.asarray(t, jnp.float32))
    np.testing.assert_allclose(sigma, s * t / (1 + (s - 1) * t), rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_the_shift_leaves_both_ends(schedule: str) -> None:
    alpha, sigma = GaussianProcess(schedule=schedule, shift=4.0).alpha_sigma(jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(alpha, [1.0, 0.0])
    np.testing.assert_array_equal(sigma, [0.0, 1.0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_true_target_leads_back_to_data_and_noise(schedule: str, prediction: str, rng: np.random.Generator) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x0, eps = rng.standard_normal((2, 9, 4, 3)).astype(np.float32)
    t = jnp.float32(np.repeat(np.linspace(0.02, 0.95, 9)[:, None], 4, axis=1))
    x_t = process.add_noise(jnp.asarray(x0), jnp.asarray(eps), t)
    alpha, sigma = (x[..., None] for x in exact(process, t))
    np.testing.assert_allclose(x_t, alpha * x0 + sigma * eps, atol=2e-5)
    target = process.target(jnp.asarray(x0), jnp.asarray(eps), t)
    np.testing.assert_allclose(target, said(prediction, x0, eps, alpha, sigma), atol=2e-5)
    np.testing.assert_allclose(process.to_x0(target, x_t, t), x0, atol=2e-4)
    np.testing.assert_allclose(process.to_eps(target, x_t, t), eps, atol=2e-4)
    for to in PREDICTIONS:
        np.testing.assert_allclose(process.convert(target, x_t, t, to), said(to, x0, eps, alpha, sigma), atol=4e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_wrong_prediction_is_turned_by_the_equations(schedule: str, prediction: str, rng: np.random.Generator) -> None:
    """Of any number p, not only the truth: x0 and eps solve x_t = alpha x0 + sigma eps and p = a x0 + b eps, in float64."""
    process = GaussianProcess(schedule=schedule, prediction=prediction, shift=2.0)
    times = np.repeat(np.linspace(0.1, 0.9, 9)[:, None], 4, axis=1)
    x_t, p = rng.standard_normal((2, 9, 4, 3))
    alphas, sigmas = (np.asarray(x, np.float64) for x in process.alpha_sigma(jnp.float32(times)))
    got = {to: process.convert(jnp.float32(p), jnp.float32(x_t), jnp.float32(times), to) for to in PREDICTIONS}
    for place in np.ndindex(times.shape):
        alpha, sigma = alphas[place], sigmas[place]
        row = {"v": (-sigma, alpha), "eps": (0, 1), "x0": (1, 0), "flow": (-1, 1)}[prediction]
        x0, eps = np.linalg.solve(np.array([(alpha, sigma), row]), np.stack([x_t[place], p[place]]))
        for to in PREDICTIONS:
            np.testing.assert_allclose(got[to][place], said(to, x0, eps, alpha, sigma), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_both_ends_are_finite(schedule: str, prediction: str, key: jax.Array) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x, p = jax.random.normal(key, (2, 2, 5))
    t = jnp.array([0.0, 1.0])
    for value in (*(process.convert(p, x, t, to) for to in PREDICTIONS), process.log_snr(t)):
        assert np.isfinite(value).all()
    assert np.abs(process.log_snr(jnp.array([0.0]))) == MAX_LOG_SNR


@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_pure_noise_holds_nothing_of_the_data(schedule: str) -> None:
    process = GaussianProcess(schedule=schedule)
    assert process.alpha_sigma(1.0) == (0.0, 1.0)
    assert process.alpha_sigma(0.0) == (1.0, 0.0)


@pytest.mark.parametrize("shift", [1.0, 4.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_log_snr_is_the_logarithm_of_the_ratio(schedule: str, shift: float) -> None:
    t = np.linspace(0.01, 0.99, 36).reshape(9, 4)
    process = GaussianProcess(schedule=schedule, shift=shift)
    alpha, sigma = exact(process, t)
    np.testing.assert_allclose(process.log_snr(jnp.float32(t)), 2 * np.log(alpha / sigma / shift), atol=1e-3)


@pytest.mark.parametrize("wrong", [{"schedule": "flwo"}, {"prediction": "x1"}, {"shift": 0.0}])
def test_a_process_that_does_not_exist_is_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match=str(next(iter(wrong.values())))):
        GaussianProcess(**wrong)


def test_times_must_lead() -> None:
    with pytest.raises(ValueError, match="lead"):
        expand_like(jnp.zeros(3), jnp.zeros((4, 3)))
