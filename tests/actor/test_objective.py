"""The training objective against its definition in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.actor.objective import Noised, Objective
from xactor_jax.diffusion.gaussian import GaussianProcess


def objective(**changes) -> Objective:
    return Objective(process=GaussianProcess(), **changes)


def test_noise_is_one_level_a_chunk_and_the_target_is_v(key: jax.Array) -> None:
    x0 = jax.random.normal(key, (3, 10, 4))
    noised = objective().noised(key, x0, chunk=4)
    t = np.asarray(noised.t, np.float64)
    np.testing.assert_array_equal(t, np.repeat(t[:, [0, 4, 8]], 4, axis=1)[:, :10])
    assert np.unique(t).size == 9
    alpha, sigma = np.cos(np.pi * t / 2)[..., None], np.sin(np.pi * t / 2)[..., None]
    eps = (noised.x_t - alpha * x0) / sigma
    np.testing.assert_allclose(noised.target, alpha * eps - sigma * x0, atol=1e-3)
    assert abs(eps.std() - 1) < 0.2


def test_every_token_is_weighted_by_its_own_level_and_padding_not_at_all(rng: np.random.Generator) -> None:
    prediction, target = rng.standard_normal((2, 2, 6, 3))
    t = rng.uniform(0.05, 0.95, (2, 6))
    mask = np.array([[1] * 6, [1] * 4 + [0] * 2])
    snr = 1 / np.tan(np.pi * t / 2) ** 2
    error = ((prediction - target) ** 2).mean(-1)
    want = (mask * np.minimum(snr, 5) / (snr + 1) * error).sum() / mask.sum()
    args = [jnp.float32(x) for x in (prediction, target, t, mask)]
    loss, metrics = objective().loss(args[0], Noised(jnp.zeros_like(args[0]), args[2], args[1]), args[3])
    np.testing.assert_allclose(loss, want, rtol=1e-4)
    np.testing.assert_allclose(metrics["error"], (mask * error).sum() / mask.sum(), rtol=1e-4)
    low = mask * (t < 1 / 3)
    np.testing.assert_allclose(metrics["error_low_noise"], (low * error).sum() / max(low.sum(), 1), rtol=1e-4)


def test_conditions_are_dropped_each_with_its_own_probability(key: jax.Array) -> None:
    keep = objective(drop_audio=0.1, drop_reference=0.0, drop_emotion=0.6).keep(key, 4000)
    np.testing.assert_allclose([k.mean() for k in keep], [0.9, 1.0, 0.4], atol=0.03)
    assert abs(np.corrcoef(keep.audio, keep.emotion)[0, 1]) < 0.06
