import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.motion import losses


def test_kl_against_monte_carlo(rng):
    mean, log_variance = rng.normal(size=(1, 3)), rng.normal(size=(1, 3)) * 0.5
    sample = mean + np.exp(0.5 * log_variance) * rng.normal(size=(400_000, 3))
    log_q = -0.5 * ((sample - mean) ** 2 / np.exp(log_variance) + log_variance).sum(-1)
    log_p = -0.5 * (sample**2).sum(-1)
    got = losses.kl_divergence(jnp.asarray(mean, jnp.float32), jnp.asarray(log_variance, jnp.float32))
    assert float(got) == pytest.approx((log_q - log_p).mean(), abs=0.02)


def test_only_what_is_known_counts_each_in_units_of_its_own_standard_deviation(rng):
    read, truth = (rng.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    known, std = np.array([[1, 0, 1]] * 3 + [[0, 0, 0]], np.float32), np.array([0.5, 1e-6, 2.0], np.float32)
    errors = [((read[i, k] - truth[i, k]) / std[k]) ** 2 for i in range(3) for k in (0, 2)]
    arguments = (jnp.asarray(x) for x in (read, truth, known, std))
    assert float(losses.truth_loss(*arguments)) == pytest.approx(np.mean(errors), rel=1e-5)
    assert float(losses.truth_loss(*(jnp.asarray(x) for x in (read, truth, np.zeros((4, 3)), std)))) == 0.0
