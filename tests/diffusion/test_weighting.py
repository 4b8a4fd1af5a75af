"""Loss weights against their definition in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.weighting import WEIGHTINGS, fused_snr_weight, loss_weight, min_snr_weight, sigmoid_weight

SCHEDULES = ("cosine", "scaled_linear", "flow")
PREDICTIONS = ("v", "eps", "x0", "flow")
TIMES = np.linspace(0.01, 0.99, 36).reshape(3, 12)
"""Of the shape that nearly all tests here use: each operation is compiled anew for every other one."""


def exact(schedule: str, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha and sigma of the two schedules that are written down easily, in float64."""
    return (np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)) if schedule == "cosine" else (1 - t, t)


def ratio_of_errors(prediction: str, alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """|p - p_hat|² over |x0 - x0_hat|²: an x0 that is wrong by 1 makes an eps that is wrong by -alpha / sigma; both make p."""
    x0, eps = np.ones_like(alpha), -alpha / sigma
    return {"v": alpha * eps - sigma * x0, "eps": eps, "x0": x0, "flow": eps - x0}[prediction] ** 2


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_min_snr_is_its_definition(schedule: str, prediction: str, gamma: float) -> None:
    alpha, sigma = exact(schedule, TIMES)
    want = np.minimum((alpha / sigma) ** 2, gamma) / ratio_of_errors(prediction, alpha, sigma)
    got = min_snr_weight(GaussianProcess(schedule=schedule, prediction=prediction), jnp.float32(TIMES), gamma)
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_min_snr_is_the_published_table(prediction: str) -> None:
    snr = 1 / np.tan(np.pi * TIMES / 2) ** 2
    clipped = np.minimum(snr, 5)
    want = {"v": clipped / (snr + 1), "eps": clipped / snr, "x0": clipped}[prediction]
    np.testing.assert_allclose(min_snr_weight(GaussianProcess(prediction=prediction), jnp.float32(TIMES)), want, rtol=1e-4)


@pytest.mark.parametrize("bias", [-1.0, 2.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_sigmoid_weighs_the_error_of_eps(schedule: str, prediction: str, bias: float) -> None:
    alpha, sigma = exact(schedule, TIMES)
    of_eps = 1 / (1 + np.exp(2 * np.log(alpha / sigma) - bias))
    want = of_eps * ratio_of_errors("eps", alpha, sigma) / ratio_of_errors(prediction, alpha, sigma)
    got = sigmoid_weight(GaussianProcess(schedule=schedule, prediction=prediction), jnp.float32(TIMES), bias)
    np.testing.assert_allclose(got, want, rtol=2e-4)


def fused(prediction: str, snr: np.ndarray, gamma: float, decay: float) -> np.ndarray:
    """The published rule for one sequence of tokens, step by step."""
    weights, memory = [], 0.0
    for i, ratio in enumerate(snr):
        s = min(ratio, gamma) / gamma
        clipped = 1 - (1 - decay * memory) * (1 - s)
        whole = 1 - (1 - decay * memory) * (1 - ratio / gamma)
        weights.append(
            {"eps": clipped / whole, "x0": clipped * gamma, "v": clipped * gamma / (whole * gamma + 1)}.get(
                prediction, clipped * gamma / (1 + np.sqrt(whole * gamma)) ** 2
            )
        )
        memory = s if i == 0 else decay * memory + (1 - decay) * s
    return np.array(weights)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(("gamma", "decay"), [(5.0, 0.9), (2.0, 0.6)])
def test_fused_snr_of_tokens_is_the_published_loop(
    prediction: str, gamma: float, decay: float, rng: np.random.Generator
) -> None:
    t = rng.uniform(0.02, 0.98, (3, 12))
    want = [fused(prediction, 1 / np.tan(np.pi * clip / 2) ** 2, gamma, decay) for clip in t]
    got = fused_snr_weight(GaussianProcess(prediction=prediction), jnp.float32(t), gamma, decay)
    np.testing.assert_allclose(got, want, rtol=2e-4)


def test_fused_snr_of_chunks_is_the_loop_over_chunks_with_a_decay_per_frame(rng: np.random.Generator) -> None:
    """Levels that frames of a chunk share: one token a chunk, whose decay is that of its frames together."""
    chunks = rng.uniform(0.02, 0.98, (3, 4))
    want = [np.repeat(fused("v", 1 / np.tan(np.pi * clip / 2) ** 2, 5.0, 0.9**3), 3)[:11] for clip in chunks]
    t = jnp.float32(np.repeat(chunks, 3, axis=1)[:, :11])
    np.testing.assert_allclose(fused_snr_weight(GaussianProcess(), t, 5.0, 0.9, chunk=3), want, rtol=2e-4)


def test_fused_snr_of_frames_of_their_own_level_uses_the_mean_of_past_chunks(rng: np.random.Generator) -> None:
    t = rng.uniform(0.02, 0.98, (6,))
    snr = 1 / np.tan(np.pi * t / 2) ** 2
    s, d = np.minimum(snr, 5) / 5, 0.9**2
    first, second = s[:2].mean(), s[2:4].mean()
    memory = np.array([0, 0, first, first, *[d * first + (1 - d) * second] * 2])
    clipped = 1 - (1 - d * memory) * (1 - s)
    process = GaussianProcess(prediction="x0")
    np.testing.assert_allclose(fused_snr_weight(process, jnp.float32(t)[None], 5.0, 0.9, 2)[0], 5 * clipped, rtol=2e-4)


@pytest.mark.parametrize("chunk", [1, 3])
def test_fused_snr_sees_no_future_and_without_memory_is_min_snr(chunk: int, rng: np.random.Generator) -> None:
    t = rng.uniform(0.02, 0.98, (3, 12)).astype(np.float32)
    other = np.concatenate([t[:, :6], rng.uniform(0, 1, (3, 6)).astype(np.float32)], axis=1)
    weight = lambda t, decay: np.asarray(fused_snr_weight(GaussianProcess(), jnp.asarray(t), 5.0, decay, chunk))
    np.testing.assert_allclose(weight(t, 0.9)[:, :6], weight(other, 0.9)[:, :6], rtol=1e-6)
    assert np.abs(weight(t, 0.9)[:, 6:] / weight(other, 0.9)[:, 6:] - 1).min() > 1e-4
    np.testing.assert_allclose(weight(t, 0.0), min_snr_weight(GaussianProcess(), jnp.asarray(t)), rtol=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_are_finite_and_bounded_at_both_ends(schedule: str, prediction: str, name: str) -> None:
    t = jnp.asarray(np.tile(np.float32([0.0, 1e-6, 0.5, 1.0 - 1e-6, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, 0.0, 1.0]), (3, 1)))
    for shift in (1.0, 4.0):
        process = GaussianProcess(schedule=schedule, prediction=prediction, shift=shift)
        weight = np.asarray(loss_weight(name, process, t, chunk=2, bias=-1.0))
        assert np.isfinite(weight).all() and (weight >= 0).all() and weight.max() <= 5.001 and weight.max() > 0


def test_names_of_a_config() -> None:
    process, t = GaussianProcess(), jnp.float32(TIMES)
    np.testing.assert_array_equal(loss_weight("min_snr", process, t, 3.0), min_snr_weight(process, t, 3.0))
    np.testing.assert_array_equal(loss_weight("none", process, t), np.ones((3, 12)))
    np.testing.assert_array_equal(loss_weight("sigmoid", process, t, bias=0.5), sigmoid_weight(process, t, 0.5))
    want = fused_snr_weight(process, t, 3.0, 0.8, 2)
    np.testing.assert_array_equal(loss_weight("fused_snr", process, t, 3.0, decay=0.8, chunk=2), want)
    with pytest.raises(ValueError, match="none, min_snr, fused_snr, sigmoid"):
        loss_weight("other", process, t)
    with pytest.raises(ValueError, match="whole clips"):
        loss_weight("fused_snr", process, t[0])
