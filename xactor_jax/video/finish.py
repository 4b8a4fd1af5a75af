"""The last training phase of the renderer, on pictures: compares the sampler's output for a window with the true frames.

    (1) x_T = α(T) r + σ(T) ε,   x_{i+1} = DDIM(x_i)              the sampler's own steps, equation 2 of sampler.py
    (2) x̂ = A(b + residual_std · x_S)  (+ d − A(b))               equations 2 and 3 of model.py
    (3) L(x̂, x)                                                   equation 1 of picture_weights.py of `xactor_jax.layers`

Diffusion training starts from noisy true latents and measures an error of latents. Sampling continues from the network's own
steps, and people look at pictures. This phase closes the gap. Only the last step carries a gradient (PersonaLive, arXiv
2512.11253), so memory and time are those of one step. The autoencoder is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.checkpoints.perceptual import PerceptualTerm
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.layers.critics import PARTS, WHOLE, Critics, Terms
from xactor_jax.layers.discriminator import PatchDiscriminator
from xactor_jax.layers.picture_losses import psnr
from xactor_jax.layers.picture_weights import PictureWeights
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.settings import Several, check_fields, real, setting, whole
from xactor_jax.variables import Batch, LossOutput, Tree, Variables
from xactor_jax.video.conditions import Base
from xactor_jax.video.denoising import start_of
from xactor_jax.video.model import VideoModel
from xactor_jax.video.objective import sampled_times

Clips = Float[Array, "b t h w c"]
Pictures = Float[Array, "n h w 3"]


@dataclass(frozen=True, kw_only=True)
class FinishSettings(PictureWeights):
    """`config.finish` of configs/video.py: the weights of equation 3, and the settings of the discriminators."""

    patch: int = setting(4, whole(1), "side of the squares that both discriminators fold into channels first, pixels")
    widths: tuple[int, ...] = setting(
        (32, 64, 64), Several(whole(1)), "channels of the discriminators' levels; each level after the first halves the side"
    )
    input_detail: float = setting(
        0.0, real(0.0), "factor by which fine detail is amplified as further input of the discriminators; 0: not an input"
    )
    part_side: int = setting(32, whole(1), "side to which crops of eyes and mouth are resized, pixels")

    def __post_init__(self) -> None:
        check_fields(self, "finish")


@dataclass(frozen=True)
class Finish:
    """What the last phase adds to the renderer's task: loss weights, discriminators and the perceptual distance."""

    weights: PictureWeights
    critics: Critics
    perceptual: PerceptualTerm

    @classmethod
    def from_config(cls, config: ConfigDict) -> Finish:
        """From `config.finish`."""
        s, path = FinishSettings(**config.finish.to_dict()), config.pretrained.perceptual
        network = PatchDiscriminator(s.patch, tuple(s.widths), compute_dtype(config.precision), s.input_detail)
        critics = Critics(network=network, kind=s.adversarial_kind, part_side=s.part_side)
        return cls(s, critics, PerceptualTerm(weight=s.perceptual, kind=s.perceptual_kind, path=path))

    def init(self, key: jax.Array, side: int) -> Tree:
        """The discriminators' parameters, which are added to those of the renderer."""
        first, second = jax.random.split(key)
        return {WHOLE: self.critics.init(first, side), PARTS: self.critics.init(second, self.critics.part_side)}

    def terms(
        self, variables: Variables, images: Pictures, target: Pictures, reference: Pictures, boxes: Float[Array, "n parts 4"]
    ) -> Terms:
        """The terms of equation 3 without their weights, for pictures in [-1, 1]."""
        terms = self.weights.reconstruction(images, target, reference, boxes)
        terms |= self.perceptual.terms(variables.buffers, images, target)
        terms |= self.critics.whole_terms(variables.params[WHOLE], images, target)
        return terms | self.critics.part_terms(variables.params[PARTS], images, target, boxes)


def roll_out(
    process: GaussianProcess,
    predict: Callable[[Clips, Float[Array, "b"]], Clips],
    start: Clips,
    noise: Clips,
    times: Float[Array, "levels"],
) -> Clips:
    """Samples x_S through noise levels that fall to 0 (equation 1). A gradient flows through the last step only."""
    levels = lambda t: jnp.full(len(noise), t)
    step = lambda x, t, s: ddim_step(process, x, predict(x, levels(t)), t, s)
    x = process.add_noise(start, noise, times[0])
    for i in range(len(times) - 2):
        x = jax.lax.stop_gradient(step(x, times[i], times[i + 1]))
    return step(x, times[-2], times[-1])


def picture_loss(
    finish: Finish,
    model: VideoModel,
    variables: Variables,
    key: jax.Array,
    predict: Callable[[Clips, Float[Array, "b"]], Clips],
    batch: Batch,
    base: Base,
) -> LossOutput:
    """The loss (equation 3), with the PSNR of rendered pictures, of the repeated reference and of the drafts as metrics."""
    frames = batch["frames"]
    noise = jax.random.normal(key, (*frames.shape[:2], *model.latent_shape))
    start = jnp.broadcast_to(start_of(model, model.render_settings, variables, base.latent), noise.shape)
    x = roll_out(model.process, predict, start, noise, sampled_times(model))
    images = model.pictures(variables, model.from_diffused(variables, x, base.latent), base)
    flat = lambda a: a.reshape(-1, *a.shape[2:])
    reference = flat(jnp.broadcast_to(batch["reference"][:, None], frames.shape))
    images, target, boxes = flat(images), flat(frames), flat(batch["component_boxes"])
    terms = finish.terms(variables, images, target, reference, boxes)
    loss, reports = finish.weights.total(terms), {"psnr": psnr(images, target), "reference_psnr": psnr(reference, target)}
    reports |= {"draft_psnr": psnr(flat(base.picture), target)} if base.picture is not None else {}
    return LossOutput(loss, {"loss": loss, **terms, **reports}, variables.buffers)
