"""Training of the image autoencoder, which reconstructs single frames from a small latent.

Batch: {"frames": [B, H, W, 3]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.checkpoints.perceptual import PerceptualTerm
from xactor_jax.layers.adversarial import KINDS
from xactor_jax.layers.critics import WHOLE, Critics
from xactor_jax.layers.discriminator import PatchDiscriminator
from xactor_jax.layers.latents import kl_to_standard_normal
from xactor_jax.layers.perceptual import KINDS as DISTANCES
from xactor_jax.layers.picture_losses import gradient_loss, psnr
from xactor_jax.pictures import picture_grid
from xactor_jax.settings import SHARE, check_fields, choice, real, setting, whole
from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables, applied
from xactor_jax.video.autoencoder import AutoencoderModel, initial_statistics, update_statistics
from xactor_jax.video.losses import pixel_loss
from xactor_jax.video.partition import ATTENTION_RULES

Images = Float[Array, "n height width 3"]
PIXEL_LOSSES = ("l1", "mse")


@dataclass(frozen=True, kw_only=True)
class AutoencoderLossSettings:
    """`config.loss` of configs/autoencoder.py: weights of equation 1 of losses.py."""

    pixels: str = setting("mse", choice(PIXEL_LOSSES), "kind of the pixel loss, for pixels in [-1, 1]")
    gradients: float = setting(0.1, real(0.0), "weight of the error of differences between neighbouring pixels")
    gradient_scales: int = setting(3, whole(0, 10), "number of scales at which these differences are compared: 1, 1/2, 1/4 …")
    perceptual: float = setting(
        0.0, real(0.0), "weight of the perceptual distance, by the network in pretrained.perceptual; 0: off"
    )
    perceptual_kind: str = setting("vgg16", choice(DISTANCES), "kind of the perceptual distance")
    kl: float = setting(1e-4, real(0.0), "weight of the KL divergence of the latent from a standard normal distribution")
    adversarial: float = setting(0.0, real(0.0), "weight of the adversarial loss of a patch discriminator; 0: off")
    adversarial_kind: str = setting("hinge", choice(KINDS), "kind of the adversarial loss")
    discriminator_channels: int = setting(64, whole(1), "channels of the discriminator's first level")
    statistics_decay: float = setting(0.99, SHARE, "decay of the running mean and standard deviation of the latents, per step")

    def __post_init__(self) -> None:
        check_fields(self, "loss")


@dataclass(frozen=True)
class AutoencoderTask:
    """The autoencoder as the trainer uses it."""

    model: AutoencoderModel
    settings: AutoencoderLossSettings
    perceptual: PerceptualTerm
    stage: ClassVar[str] = "autoencoder"
    frame_entries: ClassVar[tuple[str, ...]] = ()
    folds_frames: ClassVar[bool] = False
    partition_rules: ClassVar[Rules] = ATTENTION_RULES

    @classmethod
    def from_config(cls, config: ConfigDict) -> AutoencoderTask:
        model = AutoencoderModel.from_config(config)
        settings, path = AutoencoderLossSettings(**config.loss.to_dict()), config.pretrained.perceptual
        perceptual = PerceptualTerm(weight=settings.perceptual, kind=settings.perceptual_kind, path=path)
        return cls(model, settings, perceptual)

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        size = self.model.settings.image_size
        return {"frames": jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.uint8)}

    def init(self, key: jax.Array) -> Variables:
        key_model, key_critic = jax.random.split(key)
        params = {"autoencoder": self.model.init(key_model)["params"]}
        if self.settings.adversarial > 0:
            params[WHOLE] = self._critics().init(key_critic, self.model.settings.image_size)
        return Variables(params, initial_statistics(self.model.settings.latent_channels) | self.perceptual.init(key_critic))

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        return self.perceptual.pretrained()

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Equation 1 of losses.py. With `train=False` it decodes the posterior mean and does not update the statistics."""
        frames, s = batch["frames"], self.settings
        mean, log_variance, rebuilt = self._reconstruct(variables.params, frames, key, train)
        metrics = {
            "pixels": pixel_loss(rebuilt, frames, s.pixels),
            "gradients": gradient_loss(rebuilt, frames, scales=s.gradient_scales),
            "kl": kl_to_standard_normal(mean, log_variance).mean(),
            "psnr": psnr(jnp.clip(rebuilt, -1.0, 1.0), frames),
        }
        loss = metrics["pixels"] + s.gradients * metrics["gradients"] + s.kl * metrics["kl"]
        metrics |= self.perceptual.terms(variables.buffers, rebuilt, frames)
        loss += s.perceptual * metrics.get("perceptual", 0.0)
        if s.adversarial > 0:
            terms = self._critics().whole_terms(variables.params[WHOLE], rebuilt, frames)
            metrics |= {name: terms[name] for name in ("adversarial", WHOLE)}
            loss += s.adversarial * terms["adversarial"] + terms[WHOLE]
        updated = update_statistics(variables.buffers, mean, s.statistics_decay) if train else {}
        return LossOutput(loss, {"loss": loss, **metrics}, {**variables.buffers, **updated})

    def param_labels(self, params: Tree) -> Tree:
        label = {"autoencoder": "default", WHOLE: "discriminator"}
        return {name: jax.tree.map(lambda _, name=name: label[name], part) for name, part in params.items()}

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """Up to four frames, with their reconstructions below them."""
        frames = batch["frames"][:4]
        _, _, rebuilt = self._reconstruct(variables.params, frames, key, False)
        return {"true_above_rebuilt": picture_grid([frames, rebuilt])}

    def _reconstruct(self, params: Tree, frames: Images, key: jax.Array, sample: bool) -> tuple[Any, Any, Images]:
        module, own = self.model.module, params["autoencoder"]
        mean, log_variance = applied(module, own, frames, method="encode")
        noise = jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        z = mean + noise if sample else mean
        return mean, log_variance, applied(module, own, z, method="decode")

    def _critics(self) -> Critics:
        """A discriminator three convolutions deep, whose regions are 8 pixels apart, as in Isola et al. (2017)."""
        width = self.settings.discriminator_channels
        network = PatchDiscriminator(patch=2, widths=(width, 2 * width, 4 * width))
        return Critics(network=network, kind=self.settings.adversarial_kind, part_side=0)  # whole pictures only
