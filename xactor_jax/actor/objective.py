"""What the actor minimises: diffusion forcing with a weight for every token.

(1)  t ~ noise levels of the clip's chunks (`xactor_jax.diffusion.noise_levels`),   x_t = alpha(t) x_0 + sigma(t) eps
(2)  L = sum_i m_i w(t_i) |y_i - target_i|² / (D sum_i m_i),   target = v (or eps, x0) at each token's own t_i
(3)  audio, reference and emotion are each dropped for a whole clip with a probability of their own

m is 1 for real frames and 0 for padding; w is min-SNR of `xactor_jax.diffusion.weighting`. Chen et al. 2024 (2407.01392).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from xactor_jax.actor.network import Keep
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.noise_levels import mixture
from xactor_jax.diffusion.weighting import loss_weight

Tokens = Float[Array, "batch frames dim"]


class Noised(NamedTuple):
    """(1): the noisy clip, its levels, and what the network should say."""

    x_t: Tokens
    t: Float[Array, "batch frames"]
    target: Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """(1) to (3)."""

    process: GaussianProcess
    noise_levels: tuple[tuple[str, float], ...] = (("independent_per_chunk", 1.0),)
    """Samplers of noise levels and how often a clip gets each."""
    weighting: str = "min_snr"
    gamma: float = 5.0
    drop_audio: float = 0.1
    drop_reference: float = 0.1
    drop_emotion: float = 0.1

    def noised(self, key: Key[Array, ""], x0: Tokens, chunk: int) -> Noised:
        """(1) for chunks of `chunk` frames."""
        level_key, noise_key = jax.random.split(key)
        t = mixture(level_key, self.noise_levels, x0.shape[0], x0.shape[1], chunk)
        eps = jax.random.normal(noise_key, x0.shape)
        return Noised(self.process.add_noise(x0, eps, t), t, self.process.target(x0, eps, t))

    def keep(self, key: Key[Array, ""], batch: int) -> Keep:
        """(3)."""
        probabilities = (self.drop_audio, self.drop_reference, self.drop_emotion)
        keys = jax.random.split(key, len(probabilities))
        return Keep(*(~jax.random.bernoulli(k, p, (batch,)) for k, p in zip(keys, probabilities, strict=True)))

    def loss(
        self, prediction: Tokens, noised: Noised, mask: Float[Array, "batch frames"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """(2), and metrics: the unweighted error, its part in three bands of noise, and the error of x_0."""
        error = jnp.mean((prediction - noised.target) ** 2, axis=-1)
        weight = loss_weight(self.weighting, self.process, noised.t, self.gamma)
        loss = masked_mean(weight * error, mask)
        band = lambda low, high: masked_mean(error, mask * (noised.t >= low) * (noised.t < high))
        metrics = {"error": masked_mean(error, mask), "error_low_noise": band(0, 1 / 3)}
        metrics |= {"error_middle_noise": band(1 / 3, 2 / 3), "error_high_noise": band(2 / 3, 2)}
        return loss, metrics


def keep_all(batch: int) -> Keep:
    """Every condition shown."""
    return Keep(*(jnp.ones((batch,), bool),) * 3)


def masked_mean(values: Float[Array, "batch frames"], mask: Float[Array, "batch frames"]) -> Float[Array, ""]:
    """Mean over what the mask counts; 0 where it counts nothing."""
    return jnp.sum(values * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def surrounded_audio(
    features: Float[Array, "batch frames features"], mask: Float[Array, "batch frames"], radius: int
) -> Float[Array, "batch wide features"]:
    """Features with `radius` more frames on either side: the first and the last real frame repeated, over padding too.

    A frame at the border of a clip sees there what the sampler shows it at the ends of a recording.
    """
    last = jnp.maximum(jnp.sum(mask > 0, axis=1).astype(jnp.int32) - 1, 0)
    wanted = jnp.arange(-radius, features.shape[1] + radius)
    index = jnp.clip(wanted[None], 0, last[:, None])
    return jnp.take_along_axis(features, index[..., None], axis=1)
