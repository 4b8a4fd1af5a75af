"""Losses of a generator and a discriminator D. x is a true picture and x̂ a generated one.

    (1) hinge:           L_D = mean max(0, 1 − D(x)) + mean max(0, 1 + D(x̂));          L_G = −mean D(x̂)
    (2) non_saturating:  L_D = mean log(1 + exp(−D(x))) + mean log(1 + exp(D(x̂)));     L_G = mean log(1 + exp(−D(x̂)))
    (3) R1               = ½ mean ‖∂D̄(x)/∂x‖²,   D̄: the mean of D over the regions of a picture

(1) Lim and Ye 2017; (2) Goodfellow et al. 2014, §3, with logits; (3) Mescheder et al. 2018, eq. 9, for true pictures only.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.settings import check_value, choice

Scores = Float[Array, "..."]
Images = Float[Array, "batch h w c"]

KINDS = {
    "hinge": (lambda score: jax.nn.relu(1.0 - score), jnp.negative),
    "non_saturating": (lambda score: jax.nn.softplus(-score), lambda score: jax.nn.softplus(-score)),
}
"""Kind → (the discriminator's loss of a score that should be high, the generator's loss of its score)."""


def check_kind(kind: str) -> None:
    """Raises `UserError` for an unknown kind of loss."""
    check_value("loss.adversarial_kind", kind, choice(KINDS))


def discriminator_loss(real: Scores, fake: Scores, kind: str = "hinge") -> Float[Array, ""]:
    """The discriminator's loss L_D (equation 1 or 2)."""
    wrong = KINDS[kind][0]
    return wrong(real).mean() + wrong(-fake).mean()


def generator_loss(fake: Scores, kind: str = "hinge") -> Float[Array, ""]:
    """The generator's loss L_G (equation 1 or 2)."""
    return KINDS[kind][1](fake).mean()


def r1_penalty(score: Callable[[Images], Float[Array, "batch *regions"]], real: Images) -> Float[Array, ""]:
    """The R1 penalty of a discriminator that scores the regions of every picture (equation 3)."""
    gradient = jax.grad(lambda x: score(x).reshape(len(x), -1).mean(-1).sum())(real)
    return 0.5 * (gradient.astype(jnp.float32) ** 2).sum((1, 2, 3)).mean()


def on_random_steps(key: jax.Array, share: float, penalty: Callable[[], Float[Array, ""]]) -> Float[Array, ""]:
    """Computes the penalty for a share of the keys and divides it by `share`; else zero.

    The expected value is the same, for less computation (StyleGAN2, appendix B).
    """
    if share >= 1.0:
        return penalty()
    return jax.lax.cond(jax.random.bernoulli(key, share), lambda: penalty() / share, lambda: jnp.zeros(()))
