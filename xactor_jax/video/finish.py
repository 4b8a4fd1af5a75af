"""The last phase of the renderer's training, on pictures: what the sampler makes of a window is compared with the truth.

    (1) x_T = α(T) r + σ(T) ε,   x_{i+1} = DDIM(x_i)              the sampler's own steps, equation 2 of sampler.py
    (2) x̂ = A(b + residual_std · x_S)  (+ d − A(b))               equations 2 and 3 of model.py
    (3) L = w_p L_rec + w_g L_grad + w_d d(x̂, x) + w_a L_G + w_f L_FM + w_c (L_G + L_FM of eyes and mouth) + L_D

Diffusion training sees noisy truth and an error in latents; sampling sees the network's own steps, and people see pictures.
Only the last step carries a gradient (PersonaLive, arXiv 2512.11253), so that memory and time are those of one step, and the
autoencoder is frozen. The terms of (3) are those of picture_losses.py and critics.py of `xactor_jax.layers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.layers.critics import PARTS, WHOLE, Critics, Terms
from xactor_jax.layers.discriminator import PatchDiscriminator
from xactor_jax.layers.picture_losses import gradient_loss, pixel_weights, weighted_l1
from xactor_jax.training.perceptual import PerceptualTerm
from xactor_jax.training.task import Tree, Variables

Clips = Float[Array, "b t h w c"]
Pictures = Float[Array, "n h w 3"]


@dataclass(frozen=True, kw_only=True)
class FinishWeights:
    """`config.finish` of configs/video.py: weights of equation 3."""

    pixel: float = 1.0
    gradient: float = 1.0
    component: float = 2.0
    """Extra weight of eyes and mouth: each counts as much as so many whole pictures."""
    motion: float = 0.5
    """Extra weight of pixels that differ from the reference."""
    perceptual: float = 0.0
    perceptual_kind: str = "vgg16"
    adversarial: float = 0.02
    feature_matching: float = 0.2
    part_adversarial: float = 0.02


@dataclass(frozen=True)
class Finish:
    """What the last phase adds to the renderer's task."""

    weights: FinishWeights
    critics: Critics
    perceptual: PerceptualTerm

    @classmethod
    def from_config(cls, config: ConfigDict) -> Finish:
        """From `config.finish`."""
        values = config.finish.to_dict()
        sizes = {name: values.pop(name) for name in ("patch", "widths", "part_side", "adversarial_kind")}
        network = PatchDiscriminator(sizes["patch"], tuple(sizes["widths"]), jnp.dtype(config.precision))
        critics = Critics(network=network, kind=sizes["adversarial_kind"], part_side=sizes["part_side"])
        weights, path = FinishWeights(**values), config.pretrained.get("perceptual", "")
        return cls(weights, critics, PerceptualTerm(weight=weights.perceptual, kind=weights.perceptual_kind, path=path))

    def init(self, key: jax.Array, side: int) -> Tree:
        """The discriminators' parameters, beside those of the renderer."""
        whole, parts = jax.random.split(key)
        return {WHOLE: self.critics.init(whole, side), PARTS: self.critics.init(parts, self.critics.part_side)}

    def terms(
        self, variables: Variables, images: Pictures, target: Pictures, reference: Pictures, boxes: Float[Array, "n parts 4"]
    ) -> Terms:
        """Those of equation 3, not yet weighted, of pictures in [-1, 1]."""
        where = pixel_weights(target, reference, boxes, self.weights.component, self.weights.motion)
        terms = {"pixel": weighted_l1(images, target, where), "gradient": gradient_loss(images, target, where)}
        terms |= self.perceptual.terms(variables.buffers, images, target)
        terms |= self.critics.whole_terms(variables.params[WHOLE], images, target)
        return terms | self.critics.part_terms(variables.params[PARTS], images, target, boxes)

    def total(self, terms: Terms) -> Float[Array, ""]:
        """Equation 3."""
        made = sum(getattr(self.weights, name) * term for name, term in terms.items() if hasattr(self.weights, name))
        return made + terms[WHOLE] + terms[PARTS]


def roll_out(
    process: GaussianProcess,
    predict: Callable[[Clips, Float[Array, "b"]], Clips],
    start: Clips,
    noise: Clips,
    times: Float[Array, "levels"],
) -> Clips:
    """x_S of equation 1, by noise levels that fall to 0; a gradient flows through the last step alone."""
    levels = lambda t: jnp.full(len(noise), t)
    step = lambda x, t, s: ddim_step(process, x, predict(x, levels(t)), t, s)
    x = process.add_noise(start, noise, times[0])
    for i in range(len(times) - 2):
        x = jax.lax.stop_gradient(step(x, times[i], times[i + 1]))
    return step(x, times[-2], times[-1])
