import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers import latents


def test_kl_is_that_of_two_gaussians():
    mean, std = 0.7, 1.3
    x = np.linspace(-12, 12, 200_001)
    p = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    q = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    expected = np.trapezoid(p * np.log(np.maximum(p, 1e-300) / q), x)
    value = latents.kl_to_standard_normal(jnp.full(3, mean), jnp.full(3, 2 * np.log(std)))
    assert value.shape == (3,) and value[0] == pytest.approx(expected, rel=1e-4)


def test_a_running_moment_is_the_mean_at_first_and_exponential_later(rng):
    """Of batches 0, 1, 2 …: the plain mean while n / (n + 1) < decay, whatever was there before; then weights fall by decay."""
    batches, decay, moment = rng.normal(size=10), 0.75, jnp.float32(9.0)
    for count, batch in enumerate(batches):
        moment = latents.running_moment(moment, jnp.float32(batch), jnp.float32(count), decay)
    weights = 0.25 * np.append(np.full(4, decay**6), decay ** np.arange(5, -1, -1))
    assert float(moment) == pytest.approx((weights * batches).sum(), rel=1e-5)


def test_only_moments_of_latents_are_kept():
    kept = {"latent_mean": 1, "latent_count": 2}
    assert latents.kept_statistics({**kept, "truth_mean": 3, "perceptual": 4}) == kept
