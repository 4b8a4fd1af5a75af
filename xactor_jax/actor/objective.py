"""The actor's training loss: diffusion forcing with a weight for every token, and an error of motion velocity.

(1)  t ~ noise levels of the clip's chunks (`xactor_jax.diffusion.noise_levels`),   x_t = alpha(t) x_0 + sigma(t) eps
(2)  L_y = sum_i m_i w_i |y_i - target_i|² / (D sum_i m_i),   target = v (or eps, x0, flow) at each token's own t_i
(3)  audio, reference and emotion are each dropped for a whole clip, each with its own probability
(4)  L_v = sum_i n_i alpha_i² alpha_{i+1}² |(x_hat_{i+1} - x_hat_i) - (x_{i+1} - x_i)|² / (D sum_i n_i)
(5)  L   = L_y + velocity L_v + audio_emotion L_e
(6)  L_e = mean over frames of known label l_i, weighted by their intensity, of -log p_i(l_i)

m is 1 for real frames that have a loss: those with t_i > 0, or the chunks in flight if levels are drawn from the sampling
schedule. n is 1 for pairs of neighbouring real frames where at least one has a loss. w is a weight of
`xactor_jax.diffusion.weighting`; x_hat is the x_0 that corresponds to the prediction; p_i is the network's estimate of the
emotion. (2): Chen et al. 2024 (2407.01392). (4) is after FLOAT (2412.01064), with a factor that falls to 0 as either frame
approaches pure noise, where x_hat is only an average over likely motions.

(6) trains an actor with an audio summary to recognise the emotion of the voice (equation 8 of the network) where clips have
labels. Without (6), the motion error trains this many times more slowly.

A token at exactly t = 0 is excluded from (2), because it has nothing to learn: x_t equals x_0, so x0 could be copied, and eps,
and therefore v and flow, cannot be known. In (4) a token without a loss uses its true value.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from xactor_jax.actor.network import Keep
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.noise_levels import SAMPLERS, RolloutLevels, discrete, mixture, sampler_of
from xactor_jax.diffusion.weighting import WEIGHTINGS, loss_weight
from xactor_jax.emotion import Emotion
from xactor_jax.errors import UserError
from xactor_jax.settings import SHARE, check_fields, check_value, choice, real, setting, whole

Tokens = Float[Array, "batch frames dim"]
Levels = Float[Array, "batch frames"]


class Noised(NamedTuple):
    """The noisy clip, its levels, the network's target, its loss weight, and the clean clip (equation 1)."""

    x_t: Tokens
    t: Levels
    active: Bool[Array, "batch frames"]
    """Whether a token has a loss (m of equation 2)."""
    target: Tokens
    weight: Levels
    x0: Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """Settings and computation of the loss (equations 1 to 5)."""

    process: GaussianProcess
    noise_levels: tuple[tuple[str, float], ...]
    """Samplers of noise levels and how often a clip gets each (`NoiseLevelWeights`)."""
    rollout: RolloutLevels | None = None
    """Levels in sampling, for the sampler `sampling_schedule`."""
    discrete_steps: int = setting(0, whole(0, 1_000_000), "number of evenly spaced noise levels above 0; 0: continuous levels")
    weighting: str = setting("none", choice(WEIGHTINGS), "weight of the loss as a function of the noise level, w of equation 2")
    gamma: float = setting(5.0, real(0.0, above=True), "min_snr, fused_snr: upper bound of the signal-to-noise ratio")
    fused_decay: float = setting(0.98, SHARE, "fused_snr: decay per frame of the moving average over a token's past")
    sigmoid_bias: float = setting(
        -1.0, real(-math.inf), "sigmoid: log signal-to-noise ratio at which the weight of the error of eps is 1/2"
    )
    velocity: float = setting(
        0.0, real(0.0), "weight of the velocity error, the error of differences between neighbouring frames"
    )
    audio_emotion: float = setting(
        0.0,
        real(0.0),
        "weight of the emotion recognition loss on the audio summary; needs network.audio_memory above 0",
    )
    drop_audio: float = setting(0.1, SHARE, "probability of dropping the audio of a clip")
    drop_reference: float = setting(0.1, SHARE, "probability of dropping the reference motion of a clip")
    drop_emotion: float = setting(0.3, SHARE, "probability of dropping the emotion label of a clip")

    def __post_init__(self) -> None:
        check_fields(self, "objective")
        for name, weight in self.noise_levels:
            check_value("a name in objective.noise_levels", name, choice(SAMPLERS))
            check_value(f"objective.noise_levels.{name}", weight, real(0.0))
        if not any(weight for _, weight in self.noise_levels):
            raise UserError("objective.noise_levels must have weights of 0 or more, one of them above 0")

    def noised(self, key: Key[Array, ""], x0: Tokens, chunk: int) -> Noised:
        """Draws noise and noise levels for chunks of `chunk` frames (equation 1)."""
        level_key, noise_key = jax.random.split(key)
        samplers = [(sampler_of(name, self.rollout), weight) for name, weight in self.noise_levels]
        levels = mixture(level_key, samplers, x0.shape[0], x0.shape[1], chunk)
        t, eps = discrete(levels.t, self.discrete_steps), jax.random.normal(noise_key, x0.shape)
        x_t, target = self.process.add_noise(x0, eps, t), self.process.target(x0, eps, t)
        return Noised(x_t, t, levels.active, target, self.weight(t, chunk), x0)

    def weight(self, t: Levels, chunk: int) -> Levels:
        """The loss weight w of every token (equation 2)."""
        how = {"bias": self.sigmoid_bias, "decay": self.fused_decay, "chunk": chunk}
        return loss_weight(self.weighting, self.process, t, self.gamma, **how)

    def keep(self, key: Key[Array, ""], batch: int) -> Keep:
        """Draws which conditions each clip keeps (equation 3)."""
        probabilities = (self.drop_audio, self.drop_reference, self.drop_emotion)
        keys = jax.random.split(key, len(probabilities))
        return Keep(*(~jax.random.bernoulli(k, p, (batch,)) for k, p in zip(keys, probabilities, strict=True)))

    def loss(
        self, prediction: Tokens, noised: Noised, mask: Float[Array, "batch frames"]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss without the emotion term (equation 5), and metrics.

        Metrics: the unweighted error, the error in three bands of the noise level and, if it has a weight, the velocity error.
        """
        error, teaches = jnp.mean((prediction - noised.target) ** 2, axis=-1), mask * noised.active
        loss = masked_mean(noised.weight * error, teaches)
        band = lambda low, high: masked_mean(error, teaches * (noised.t >= low) * (noised.t < high))
        metrics = {"error": masked_mean(error, teaches), "error_low_noise": band(0, 1 / 3)}
        metrics |= {"error_middle_noise": band(1 / 3, 2 / 3), "error_high_noise": band(2 / 3, 2)}
        if self.velocity == 0.0:
            return loss, metrics
        metrics["velocity_error"] = self.velocity_error(prediction, noised, mask)
        return loss + self.velocity * metrics["velocity_error"], metrics

    def velocity_error(self, prediction: Tokens, noised: Noised, mask: Float[Array, "batch frames"]) -> Float[Array, ""]:
        """The velocity error (equation 4)."""
        noisy, pairs = noised.active, lambda x: (x[:, :-1], x[:, 1:])
        x_hat = jnp.where(noisy[..., None], self.process.to_x0(prediction, noised.x_t, noised.t), noised.x0)
        before, after = pairs(x_hat - noised.x0)
        alpha, alpha_next = pairs(self.process.alpha_sigma(noised.t)[0])
        error = (alpha * alpha_next) ** 2 * jnp.mean((after - before) ** 2, axis=-1)
        real, noisy = (pairs(x) for x in (mask, noisy))
        return masked_mean(error, real[0] * real[1] * (noisy[0] | noisy[1]))


def emotion_error(
    logits: Float[Array, "batch frames emotions"], emotion: Emotion, mask: Float[Array, "batch frames"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The error of the emotion estimated from the audio (equation 6), and its accuracy on labelled frames."""
    known = mask * (emotion.label >= 0)
    label = jnp.maximum(emotion.label, 0)
    surprise = -jnp.take_along_axis(nn.log_softmax(logits), label[..., None], axis=-1)[..., 0]
    right = (logits.argmax(axis=-1) == label).astype(jnp.float32)
    return masked_mean(surprise, known * emotion.intensity), masked_mean(right, known)


def keep_all(batch: int) -> Keep:
    """Keeps every condition."""
    return Keep(*(jnp.ones((batch,), bool),) * 3)


def masked_mean(values: Float[Array, "batch frames"], mask: Float[Array, "batch frames"]) -> Float[Array, ""]:
    """Mean over the frames where the mask is 1; 0 if there are none."""
    return jnp.sum(values * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def surrounded_audio(
    features: Float[Array, "batch frames features"], mask: Float[Array, "batch frames"], radius: int
) -> Float[Array, "batch wide features"]:
    """Extends features by `radius` frames on either side, by repeating the first and the last real frame; also over padding.

    The sampler does the same at the ends of a recording, so training and sampling agree.
    """
    last = jnp.maximum(jnp.sum(mask > 0, axis=1).astype(jnp.int32) - 1, 0)
    wanted = jnp.arange(-radius, features.shape[1] + radius)
    index = jnp.clip(wanted[None], 0, last[:, None])
    return jnp.take_along_axis(features, index[..., None], axis=1)
