from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.layers import adversarial


def test_hinge_at_known_points():
    real, fake = jnp.array([2.0, 0.5]), jnp.array([-3.0, 0.5])
    assert float(adversarial.discriminator_loss(real, fake)) == pytest.approx((0.0 + 0.5) / 2 + (0.0 + 1.5) / 2)
    assert float(adversarial.generator_loss(fake)) == pytest.approx(1.25)


def test_non_saturating_is_the_cross_entropy_of_probabilities(rng):
    """D = σ(score): −log D(x) − log(1 − D(x̂)), and −log D(x̂) for the generator."""
    real, fake = rng.normal(size=(2, 5, 3))
    d = lambda score: 1 / (1 + np.exp(-score))
    judged = adversarial.discriminator_loss(jnp.asarray(real), jnp.asarray(fake), "non_saturating")
    assert float(judged) == pytest.approx(-np.log(d(real)).mean() - np.log(1 - d(fake)).mean(), rel=1e-5)
    fooled = adversarial.generator_loss(jnp.asarray(fake), "non_saturating")
    assert float(fooled) == pytest.approx(-np.log(d(fake)).mean(), rel=1e-5)


def test_an_unknown_kind_is_one_sentence():
    with pytest.raises(UserError, match="adversarial_kind=wgan is not possible: use hinge or non_saturating"):
        adversarial.check_kind("wgan")


def test_r1_of_a_score_whose_gradient_is_known(rng):
    """Regions a_r Σ x²: their mean has the gradient 2 ā x."""
    x, a = rng.normal(size=(3, 4, 4, 3)).astype(np.float32), np.array([0.5, -1.5, 4.0])
    score = lambda images: (images**2).sum((1, 2, 3))[:, None] * a
    expected = 0.5 * ((2 * a.mean() * x.astype(np.float64)) ** 2).sum((1, 2, 3)).mean()
    assert float(adversarial.r1_penalty(score, jnp.asarray(x))) == pytest.approx(expected, rel=1e-5)


def test_now_and_then_is_the_penalty_in_the_mean():
    """At one key in four, four times; its gradient likewise."""
    paid = jax.jit(jax.vmap(lambda key: adversarial.on_random_steps(key, 0.25, lambda: jnp.float32(3.0))))
    values = np.asarray(paid(jax.random.split(jax.random.key(0), 4_000)))
    assert set(values) == {0.0, 12.0} and values.mean() == pytest.approx(3.0, abs=0.3)
    slope = jax.jit(jax.grad(lambda x, key: adversarial.on_random_steps(key, 0.25, lambda: x**2)))
    assert {float(slope(1.0, key)) for key in jax.random.split(jax.random.key(0), 20)} == {0.0, 8.0}
    assert float(adversarial.on_random_steps(jax.random.key(0), 1.0, lambda: jnp.float32(3.0))) == 3.0
