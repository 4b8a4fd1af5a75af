"""The training objective against its definition in NumPy."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.actor import get_config
from xactor_jax.actor.objective import Noised, Objective, emotion_error
from xactor_jax.actor.task import ActorTask
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.noise_levels import SAMPLERS
from xactor_jax.diffusion.weighting import fused_snr_weight, sigmoid_weight
from xactor_jax.emotion import Emotion
from xactor_jax.errors import UserError


def objective(**changes) -> Objective:
    settings = {"noise_levels": (("independent_per_chunk", 1.0),), "weighting": "min_snr", "drop_emotion": 0.1}
    return Objective(**{"process": GaussianProcess(), **settings, **changes})


def noise(objective: Objective, key: jax.Array, x0: jax.Array, chunk: int) -> Noised:
    return jax.jit(objective.noised, static_argnums=2)(key, x0, chunk)


def lost(objective: Objective, *arguments: jax.Array):
    """Loss and metrics."""
    return jax.jit(objective.loss)(*arguments)


def test_noise_is_one_level_a_chunk_and_the_target_is_v(key: jax.Array) -> None:
    x0 = jax.random.normal(key, (3, 10, 4))
    noised = jax.tree.map(np.asarray, noise(objective(), key, x0, 4))
    t = np.asarray(noised.t, np.float64)
    np.testing.assert_array_equal(t, np.repeat(t[:, [0, 4, 8]], 4, axis=1)[:, :10])
    assert np.unique(t).size == 9
    alpha, sigma = np.cos(np.pi * t / 2)[..., None], np.sin(np.pi * t / 2)[..., None]
    eps = (noised.x_t - alpha * x0) / sigma
    np.testing.assert_allclose(noised.target, alpha * eps - sigma * x0, atol=1e-3)
    assert abs(eps.std() - 1) < 0.2


def noised_by(objective: Objective, x0: np.ndarray, eps: np.ndarray, t: np.ndarray, chunk: int = 1) -> Noised:
    """A clip at given levels."""
    p = objective.process
    make = lambda x0, eps, t: Noised(p.add_noise(x0, eps, t), t, t > 0, p.target(x0, eps, t), objective.weight(t, chunk), x0)
    return jax.jit(make)(*(jnp.float32(x) for x in (x0, eps, t)))


def test_every_token_is_weighted_by_its_own_level_and_padding_not_at_all(rng: np.random.Generator) -> None:
    prediction, x0, eps = rng.standard_normal((3, 2, 6, 3))
    t = rng.uniform(0.05, 0.95, (2, 6))
    mask = np.array([[1] * 6, [1] * 4 + [0] * 2])
    alpha, sigma = np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
    snr = (alpha / sigma) ** 2
    error = ((prediction - (alpha[..., None] * eps - sigma[..., None] * x0)) ** 2).mean(-1)
    want = (mask * np.minimum(snr, 5) / (snr + 1) * error).sum() / mask.sum()
    loss, metrics = lost(objective(), jnp.float32(prediction), noised_by(objective(), x0, eps, t), jnp.float32(mask))
    np.testing.assert_allclose(loss, want, rtol=1e-4)
    np.testing.assert_allclose(metrics["error"], (mask * error).sum() / mask.sum(), rtol=1e-4)
    low = mask * (t < 1 / 3)
    np.testing.assert_allclose(metrics["error_low_noise"], (low * error).sum() / max(low.sum(), 1), rtol=1e-4)
    assert set(metrics) == {"error", "error_low_noise", "error_middle_noise", "error_high_noise"}


def test_estimated_emotion_is_compared_with_known_labels(rng: np.random.Generator) -> None:
    """(6) in float64."""
    logits, label = rng.standard_normal((2, 5, 3)), np.array([[0, 2, -1, 1, 1], [-1, 2, 2, 0, 0]])
    intensity, mask = rng.uniform(size=(2, 5)), np.array([[1, 1, 1, 1, 0], [1] * 5])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    counted = [(i, j) for i in range(2) for j in range(5) if mask[i, j] and label[i, j] >= 0]
    weight = np.array([intensity[place] for place in counted])
    surprise = np.array([-np.log(p[place][label[place]]) for place in counted])
    error, accuracy = emotion_error(jnp.float32(logits), Emotion(jnp.int32(label), jnp.float32(intensity)), jnp.float32(mask))
    np.testing.assert_allclose(error, (weight * surprise).sum() / weight.sum(), rtol=1e-5)
    np.testing.assert_allclose(accuracy, np.mean([p[place].argmax() == label[place] for place in counted]), rtol=1e-6)


def test_tokens_without_noise_do_not_count(rng: np.random.Generator) -> None:
    prediction, x0, eps = rng.standard_normal((3, 1, 6, 2))
    t = np.array([[0.0, 0.0, 0.4, 0.4, 0.0, 0.0]])
    o = objective(weighting="none", process=GaussianProcess(prediction="x0"))
    loss, metrics = lost(o, jnp.float32(prediction), noised_by(o, x0, eps, t), jnp.ones((1, 6)))
    want = ((prediction - x0)[:, 2:4] ** 2).mean()
    np.testing.assert_allclose([loss, metrics["error"], metrics["error_middle_noise"]], want, rtol=1e-5)
    loss, metrics = lost(o, jnp.float32(prediction), noised_by(o, x0, eps, 0 * t), jnp.ones((1, 6)))
    assert loss == metrics["error"] == 0.0


def test_noisy_history_has_no_loss_and_the_next_chunks_neither(rng: np.random.Generator) -> None:
    """Levels of the sampling schedule: history of level 0.1, a chunk in flight, and pure noise."""
    prediction, x0, eps = rng.standard_normal((3, 1, 6, 2))
    o = objective(weighting="none", process=GaussianProcess(prediction="x0"))
    noised = noised_by(o, x0, eps, np.array([[0.1, 0.1, 0.4, 0.4, 1.0, 1.0]]))
    in_flight = noised._replace(active=jnp.array([[False, False, True, True, False, False]]))
    loss, _ = lost(o, jnp.float32(prediction), in_flight, jnp.ones((1, 6)))
    np.testing.assert_allclose(loss, ((prediction - x0)[:, 2:4] ** 2).mean(), rtol=1e-5)


@pytest.mark.parametrize("prediction_of", ["v", "eps", "x0", "flow"])
def test_velocity_is_compared_with_the_true_one_where_noise_is_low(prediction_of: str, rng: np.random.Generator) -> None:
    """Equation (4) by a loop over pairs of frames, in float64; frame 2 is clean and stands for itself, frame 5 is padding."""
    x0, eps, guess = rng.standard_normal((3, 1, 6, 3))
    t, real = np.array([0.2, 0.7, 0.0, 0.0, 0.5, 0.3]), [1, 1, 1, 1, 1, 0]
    alpha, sigma = np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
    x_t = alpha[:, None] * x0 + sigma[:, None] * eps
    of_x0 = (x_t - alpha[:, None] * guess) / np.where(sigma > 0, sigma, 1)[:, None]
    said = {"x0": guess, "eps": of_x0, "flow": of_x0 - guess}
    said["v"] = alpha[:, None] * of_x0 - sigma[:, None] * guess
    x_hat, total, pairs = np.where((t > 0)[:, None], guess, x0)[0], 0.0, 0
    for i in range(5):
        if real[i] and real[i + 1] and (t[i] > 0 or t[i + 1] > 0):
            off = (x_hat[i + 1] - x_hat[i]) - (x0[0, i + 1] - x0[0, i])
            total, pairs = total + alpha[i] ** 2 * alpha[i + 1] ** 2 * (off**2).mean(), pairs + 1
    o = objective(velocity=0.3, process=GaussianProcess(prediction=prediction_of))
    arguments = jnp.float32(said[prediction_of]), noised_by(o, x0, eps, t[None]), jnp.float32([real])
    loss, metrics = lost(o, *arguments)
    np.testing.assert_allclose(metrics["velocity_error"], total / pairs, rtol=2e-4)
    plain = lost(objective(process=o.process), *arguments)[0]
    np.testing.assert_allclose(loss, plain + 0.3 * total / pairs, rtol=2e-4)
    assert pairs == 3


def test_a_constant_error_has_no_velocity(rng: np.random.Generator) -> None:
    x0, eps = rng.standard_normal((2, 1, 5, 3))
    o = objective(velocity=1.0, process=GaussianProcess(prediction="x0"))
    noised = noised_by(o, x0, eps, np.full((1, 5), 0.3))
    assert lost(o, noised.x0 + 2.0, noised, jnp.ones((1, 5)))[1]["velocity_error"] < 1e-10


def test_levels_are_discrete_where_asked(key: jax.Array) -> None:
    x0 = jax.random.normal(key, (40, 12, 2))
    noised = noise(objective(discrete_steps=4), key, x0, 3)
    assert set(np.unique(noised.t)) == {0.25, 0.5, 0.75, 1.0}
    whole = noise(objective(), key, x0, 3)
    np.testing.assert_allclose(noised.t, np.ceil(np.asarray(whole.t) * 4) / 4)
    process = GaussianProcess()
    np.testing.assert_allclose(process.to_x0(noised.target, noised.x_t, noised.t), x0, atol=1e-5)


def test_weights_depend_on_the_chunks_of_the_clip(key: jax.Array) -> None:
    """Fused SNR with the chunk that the clip was noised in, and the objective's own constants."""
    x0 = jax.random.normal(key, (3, 12, 2))
    o = objective(weighting="fused_snr", gamma=3.0, fused_decay=0.8)
    noised = noise(o, key, x0, 3)
    weights = jax.jit(lambda t: (fused_snr_weight(o.process, t, 3.0, 0.8, 3), sigmoid_weight(o.process, t, 0.7)))(noised.t)
    np.testing.assert_allclose(noised.weight, weights[0], rtol=1e-6)
    o = objective(weighting="sigmoid", sigmoid_bias=0.7)
    noised = noise(o, key, x0, 3)
    np.testing.assert_allclose(noised.weight, weights[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weighting": "snr"}, "objective.weighting=snr is not possible: use none, min_snr"),
        ({"noise_levels": (("alike", 1.0),)}, "a name in objective.noise_levels=alike is not possible"),
        ({"noise_levels": ()}, "one of them above 0"),
        ({"noise_levels": (("shared", -1.0),)}, "objective.noise_levels.shared=-1.0"),
        ({"discrete_steps": -1}, "discrete_steps"),
        ({"velocity": -0.1}, "velocity"),
        ({"gamma": 0.0}, "gamma"),
        ({"fused_decay": 1.2}, "objective.fused_decay=1.2 is not possible: use a number from 0.0 to 1.0"),
    ],
)
def test_what_cannot_be_minimised_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        objective(**wrong)


def test_the_config_has_a_line_for_every_sampler_and_changes_nothing_by_itself() -> None:
    c = get_config()
    assert set(c.objective.noise_levels) == set(SAMPLERS)
    o = ActorTask.from_config(c).objective
    assert o.noise_levels == (("independent_per_chunk", 1.0),) and o.weighting == "none"
    assert o.discrete_steps == 0 and o.velocity == 0.0


def test_conditions_are_dropped_each_with_its_own_probability(key: jax.Array) -> None:
    keep = objective(drop_audio=0.1, drop_reference=0.0, drop_emotion=0.6).keep(key, 4000)
    np.testing.assert_allclose([k.mean() for k in keep], [0.9, 1.0, 0.4], atol=0.03)
    assert abs(np.corrcoef(keep.audio, keep.emotion)[0, 1]) < 0.06
