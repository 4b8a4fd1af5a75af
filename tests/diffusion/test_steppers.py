"""Steppers against the exact solution for Gaussian data."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import STEPPERS, ancestral_std, ddim_step, is_stochastic, take_step

MEAN, STD = 0.7, 0.4
PREDICTIONS = ("v", "eps", "x0", "flow")
SCHEDULES = ("cosine", "scaled_linear", "flow")
ODE = ("ddim", "euler", "heun")


def best_prediction(process: GaussianProcess, x: jax.Array, t: jax.Array) -> jax.Array:
    """What the perfect network says of N(MEAN, STD²) data: the posterior means of x0 and eps, in the process's terms."""
    alpha, sigma = process.alpha_sigma(t)
    off = (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
    x0, eps = MEAN + alpha * STD**2 * off, sigma * off
    return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0, "flow": eps - x0}[process.prediction]


MOST = 400


@partial(jax.jit, static_argnums=(0, 1))
def stepped(stepper: str, process: GaussianProcess, x: jax.Array, levels: jax.Array, steps: jax.Array) -> jax.Array:
    """Through the first `steps` + 1 of `MOST` + 1 levels."""

    def step(i, x):
        noise = jax.random.normal(jax.random.key(i + 1), x.shape)
        predict = partial(best_prediction, process)
        return take_step(stepper, process, predict, x, levels[i], levels[i + 1], noise=noise)

    return jax.lax.fori_loop(0, steps, step, x)


def solve(stepper: str, process: GaussianProcess, x: jax.Array, start: float, steps: int, end: float = 0.0) -> np.ndarray:
    """By one program for any levels."""
    levels = np.full(MOST + 1, end, np.float32)
    levels[: steps + 1] = np.linspace(start, end, steps + 1)
    return np.asarray(stepped(stepper, process, x, levels, steps))


def carried(process: GaussianProcess, x: jax.Array, start: float, end: float = 0.0) -> np.ndarray:
    """Where the flow of probability ends: the point with the same standardised value, a straight line in closed form."""
    (alpha, sigma), (alpha_end, sigma_end) = ([float(a) for a in process.alpha_sigma(t)] for t in (start, end))
    standardised = (np.asarray(x) - alpha * MEAN) / np.sqrt(alpha**2 * STD**2 + sigma**2)
    return alpha_end * MEAN + np.sqrt(alpha_end**2 * STD**2 + sigma_end**2) * standardised


def solved(stepper: str, schedule: str, prediction: str):
    """Quick: every stepper under every schedule, and every prediction. What a prediction says under any schedule is exact."""
    quick = prediction == "v" or (stepper, schedule) == ("heun", "cosine")
    return pytest.param(stepper, schedule, prediction, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(
    ("stepper", "schedule", "prediction"), [solved(*case) for case in itertools.product(ODE, SCHEDULES, PREDICTIONS)]
)
def test_many_small_steps_solve_the_flow_of_gaussian_data(stepper: str, schedule: str, prediction: str) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x = jnp.linspace(-2.0, 2.0, 9)
    np.testing.assert_allclose(solve(stepper, process, x, 0.9, MOST), carried(process, x, 0.9), atol=2e-2)


@pytest.mark.parametrize("prediction", ["v", "x0"])
@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.0), ("cosine", 0.1), ("flow", 0.0), ("scaled_linear", 0.1)])
def test_halving_the_steps_halves_eulers_error_and_quarters_heuns(schedule: str, end: float, prediction: str) -> None:
    process = GaussianProcess(schedule=schedule, prediction=prediction)
    x, start = jnp.linspace(-2.0, 2.0, 9), 0.8

    def error(stepper: str, steps: int) -> float:
        return np.abs(solve(stepper, process, x, start, steps, end) - carried(process, x, start, end)).max()

    euler, heun = ([error(stepper, steps) for steps in (16, 32)] for stepper in ("euler", "heun"))
    np.testing.assert_allclose(np.log2([euler[0] / euler[1], heun[0] / heun[1]]), [1, 2], atol=0.15)
    assert heun[1] < 0.15 * euler[1]


@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_ancestral_steps_reach_the_data_distribution(schedule: str, key: jax.Array) -> None:
    process = GaussianProcess(schedule=schedule, prediction="flow")
    x = solve("ancestral", process, jax.random.normal(key, (20000,)), 1.0, 150)
    np.testing.assert_allclose([x.mean(), x.std()], [MEAN, STD], atol=0.025)


@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_ancestral_std_is_that_of_the_posterior(schedule: str) -> None:
    """1 / var = 1 / sigma_s² + (alpha_t / alpha_s)² / var(x_t | x_s): the product of two Gaussians, in float64."""
    t, s = np.array([0.5, 0.9, 0.2]), np.array([0.3, 0.89, 0.01])
    curves = {"cosine": lambda u: (np.cos(np.pi * u / 2), np.sin(np.pi * u / 2)), "flow": lambda u: (1 - u, u)}
    (at, st), (as_, ss) = curves[schedule](t), curves[schedule](s)
    ratio = at / as_
    want = 1 / np.sqrt(1 / ss**2 + ratio**2 / (st**2 - ratio**2 * ss**2))
    got = ancestral_std(GaussianProcess(schedule=schedule), jnp.float32(t), jnp.float32(s))
    np.testing.assert_allclose(got, want, rtol=1e-3)


def test_euler_on_the_straight_line_adds_the_velocity_times_the_time(rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((2, 6)).astype(np.float32)
    process = GaussianProcess(schedule="flow", prediction="flow")
    moved = take_step("euler", process, lambda x, t: jnp.asarray(u), jnp.asarray(x), 0.8, 0.3)
    np.testing.assert_allclose(moved, x + (0.3 - 0.8) * u, atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_euler_and_ddim_are_one_step(schedule: str, rng: np.random.Generator) -> None:
    x = jnp.float32(rng.standard_normal(6))
    process = GaussianProcess(schedule=schedule, shift=2.0)
    steps = [take_step(name, process, lambda x, t: jnp.tanh(x + t), x, 0.7, 0.4) for name in ("ddim", "euler")]
    np.testing.assert_allclose(*steps, atol=1e-6)


def test_heun_is_its_definition_on_a_bent_network(rng: np.random.Generator) -> None:
    """One step under the cosine schedule with v, in float64: u from (alpha x - sigma v, sigma x + alpha v)."""
    x, t, s = rng.standard_normal(6), 0.7, 0.4
    circle = lambda t: (np.cos(np.pi * t / 2), np.sin(np.pi * t / 2))

    def u(x, t):
        (alpha, sigma), v = circle(t), np.tanh(x + t)
        return (sigma * x + alpha * v) - (alpha * x - sigma * v)

    (at, st), (as_, ss) = circle(t), circle(s)
    h, y = ss / (as_ + ss) - st / (at + st), x / (at + st)
    guess = (as_ + ss) * (y + h * u(x, t))
    want = (as_ + ss) * (y + h / 2 * (u(x, t) + u(guess, s)))
    got = take_step("heun", GaussianProcess(), lambda x, t: jnp.tanh(x + t), jnp.float32(x), t, s)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(guess - want).max() > 1e-3


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_heun_ends_without_asking_what_clean_data_would_be_denoised_to(prediction: str, key: jax.Array) -> None:
    """At s = 0, where a network has learned nothing, its answer is not used; other tokens still get their second order."""
    process = GaussianProcess(prediction=prediction)
    x = jax.random.normal(key, (3, 4))
    predict = lambda x, t: jnp.where(t[:, None] > 0.0, best_prediction(process, x, t[:, None]), jnp.nan)
    t, s = jnp.array([0.3, 0.3, 0.0]), jnp.array([0.0, 0.1, 0.0])
    heun, euler = (take_step(name, process, predict, x, t, s) for name in ("heun", "euler"))
    np.testing.assert_array_equal(heun[0], euler[0])
    np.testing.assert_array_equal(heun[2], x[2])
    assert np.isfinite(heun).all() and np.abs(heun[1] - euler[1]).max() > 1e-4


@pytest.mark.parametrize("stepper", STEPPERS)
def test_each_token_has_its_own_levels_and_some_do_not_change(stepper: str, key: jax.Array) -> None:
    process, network = GaussianProcess(schedule="flow"), lambda x, t: jnp.tanh(x + jnp.asarray(t)[..., None])
    x, z = jax.random.normal(key, (2, 3, 6, 2))
    t, s = jnp.array([0.9, 0.5, 0.3, 0.3, 1.0, 0.0]), jnp.array([0.6, 0.1, 0.0, 0.3, 1.0, 0.0])
    times = jnp.broadcast_to(t, (3, 6)), jnp.broadcast_to(s, (3, 6))
    take = jax.jit(lambda x, t, s, noise: take_step(stepper, process, network, x, t, s, noise=noise))
    x, z, *times = map(np.asarray, (x, z, *times))
    whole = np.asarray(take(x, *times, z))
    for i in range(6):
        single = take(x[:, i], times[0][:, i], times[1][:, i], z[:, i])
        np.testing.assert_allclose(whole[:, i], single, atol=1e-6)
    np.testing.assert_array_equal(whole[:, 3:], x[:, 3:])
    assert (np.abs(whole[:, :3] - x[:, :3]).max(axis=(0, 2)) > 1e-2).all()


def test_eta_lies_between_ddim_and_the_ancestral_step(key: jax.Array) -> None:
    process = GaussianProcess()
    x, z = jax.random.normal(key, (2, 5))
    step = lambda name, **how: take_step(name, process, partial(best_prediction, process), x, 0.6, 0.3, **how)
    np.testing.assert_array_equal(step("ddim", eta=1.0, noise=z), step("ancestral", noise=z))
    np.testing.assert_array_equal(step("ddim", noise=z), step("ddim"))
    v = best_prediction(process, x, jnp.float32(0.6))
    np.testing.assert_array_equal(step("ddim", eta=0.4, noise=z), ddim_step(process, x, v, 0.6, 0.3, eta=0.4, noise=z))


def test_what_cannot_be_stepped_is_refused() -> None:
    x, network = jnp.zeros(2), lambda x, t: x
    for stepper, eta in itertools.product(STEPPERS, (0.0, 1.0)):
        if is_stochastic(stepper, eta):
            with pytest.raises(ValueError, match="noise"):
                take_step(stepper, GaussianProcess(), network, x, 0.5, 0.4, eta=eta)
        else:
            take_step(stepper, GaussianProcess(), network, x, 0.5, 0.4, eta=eta)
    assert is_stochastic("ancestral") and is_stochastic("ddim", 0.5) and not is_stochastic("ddim")
    with pytest.raises(ValueError, match="ddim, ancestral, euler, heun"):
        take_step("leap", GaussianProcess(), network, x, 0.5, 0.4)


def test_a_consistency_step_adds_new_noise_to_the_estimate_of_x0(key: jax.Array) -> None:
    process = GaussianProcess(prediction="x0")
    x, noise = jax.random.normal(key, (3, 5)), jax.random.normal(jax.random.key(7), (3, 5))
    t, s = jnp.array([0.9, 0.9, 0.4]), jnp.array([0.5, 0.0, 0.4])
    stepped = take_step("consistency", process, lambda x, t: 0.3 * x, x, t, s, noise=noise)
    alpha, sigma = np.cos(np.pi / 4), np.sin(np.pi / 4)
    np.testing.assert_allclose(stepped, np.stack([alpha * 0.3 * x[0] + sigma * noise[0], 0.3 * x[1], x[2]]), atol=1e-6)
    assert is_stochastic("consistency")
    with pytest.raises(ValueError, match="needs noise"):
        take_step("consistency", process, lambda x, t: x, x, t, s)
