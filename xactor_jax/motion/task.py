"""Stage 1 as the trainer sees it: rebuild the driving frame from another frame of the clip and the driving frame's latent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.layers.adversarial import check_kind, discriminator_loss, generator_loss, now_and_then, r1_penalty
from xactor_jax.motion import losses
from xactor_jax.motion.discriminator import PatchDiscriminator
from xactor_jax.motion.model import MotionModel, initial_statistics, update_statistics
from xactor_jax.training.perceptual import PerceptualTerm
from xactor_jax.training.task import Batch, LossOutput, Rules, Tree, Variables


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the terms in `xactor_jax.motion.losses`; units are those of configs/motion.py."""

    pixel: float
    gradient: float
    component: float
    motion: float
    kl: float
    adversarial: float
    feature_matching: float
    part_adversarial: float = 0.0
    gate: float = 0.0
    perceptual: float = 0.0
    perceptual_kind: str = "vgg16"
    adversarial_kind: str = "hinge"
    r1: float = 0.0
    r1_share: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionTask:
    """Batch: `driving` (as the encoder sees it), `target`, `reference` [B, H, W, 3] in [-1, 1], `component_boxes` [B, 2, 4]."""

    model: MotionModel
    discriminator: PatchDiscriminator
    weights: LossWeights
    perceptual: PerceptualTerm
    part_side: int = 32
    """Side at which a discriminator of their own judges eyes and mouth, pixels."""
    stage: str = "motion"
    frame_entries: tuple[str, ...] = ()
    folds_frames: bool = False
    partition_rules: Rules = (
        (r"to_(posterior|mean|log_variance)/kernel", P("fsdp", None)),
        (r"(query|key|value|feed_forward/in|patches_out|match|last|to_landmarks)/kernel", P("fsdp", "tensor")),
        (r"(attention|feed_forward)/out/kernel", P("tensor", "fsdp")),
        (r"(to_map|embed_latent|embedding|to_style|map_latent_\d)/kernel", P(None, ("fsdp", "tensor"))),
        (r"kernel", P(None, None, None, ("fsdp", "tensor"))),  # of convolutions
    )

    @classmethod
    def from_config(cls, config: ConfigDict) -> MotionTask:
        n = config.network
        widths = tuple(n.get("discriminator_widths", ())) or tuple(width // 2 for width in n.widths)
        discriminator = PatchDiscriminator(patch=n.patch, widths=widths, dtype=jnp.dtype(config.precision))
        check_kind(config.loss.get("adversarial_kind", "hinge"))
        weights, path = LossWeights(**config.loss), config.pretrained.get("perceptual", "")
        perceptual = PerceptualTerm(weight=weights.perceptual, kind=weights.perceptual_kind, path=path)
        return cls(
            model=MotionModel.from_config(config),
            discriminator=discriminator,
            weights=weights,
            perceptual=perceptual,
            part_side=n.get("part_side", 32),
        )

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        image = jax.ShapeDtypeStruct((batch_size, self.model.image_size, self.model.image_size, 3), jnp.float32)
        boxes = jax.ShapeDtypeStruct((batch_size, 2, 4), jnp.float32)
        return {"driving": image, "target": image, "reference": image, "component_boxes": boxes}

    def init(self, key: jax.Array) -> Variables:
        encoder, decoder, discriminator = jax.random.split(key, 3)
        image = jnp.zeros((1, self.model.image_size, self.model.image_size, 3))
        seen, latent = jnp.zeros((1, *2 * (self.model.encoder_size,), 3)), jnp.zeros((1, self.model.told_dim))
        generator = {
            "encoder": self.model.encoder.init(encoder, seen)["params"],
            "decoder": self.model.decoder.init(decoder, image, latent)["params"],
        }
        params = {"generator": generator, "discriminator": self.discriminator.init(discriminator, image)["params"]}
        if self.weights.part_adversarial:
            part = jnp.zeros((1, self.part_side, self.part_side, 3))
            params["part_discriminator"] = self.discriminator.init(jax.random.fold_in(discriminator, 1), part)["params"]
        buffers = initial_statistics(self.model.latent_dim) | self.perceptual.init(discriminator)
        return Variables(params=params, buffers=buffers)

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        return self.perceptual.pretrained()

    def param_labels(self, params: Tree) -> Tree:
        label = lambda name: "default" if name == "generator" else "discriminator"
        return {name: jax.tree.map(lambda _, name=name: label(name), tree) for name, tree in params.items()}

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """The terms of `xactor_jax.motion.losses`, weighted, generator's and discriminator's in one scalar."""
        sampling, dropout = jax.random.split(key)
        posterior = self.model.posterior(variables.params, batch["driving"], dropout if train else None)
        latents = posterior.sample(sampling) if train else posterior.mean
        images, gate = self.model.reconstruct_gated(variables.params, batch["reference"], latents)
        terms = {} if gate is None else {"gate": gate.mean()}
        terms |= self._reconstruction_terms(images, batch) | self.perceptual.terms(variables.buffers, images, batch["target"])
        if posterior.log_variance is not None:
            terms["kl"] = losses.kl_divergence(posterior.mean, posterior.log_variance)
        if self.weights.adversarial or self.weights.feature_matching:  # without either nothing asks for a judgement
            terms |= self._adversarial_terms(variables.params["discriminator"], images, batch["target"], key)
        if self.weights.part_adversarial:
            terms |= self._part_terms(variables.params["part_discriminator"], images, batch)
        loss = sum(getattr(self.weights, name) * term for name, term in terms.items() if hasattr(self.weights, name))
        loss += terms.get("discriminator", 0.0) + terms.get("part_discriminator", 0.0)
        updated = update_statistics(variables.buffers, jax.lax.stop_gradient(posterior.mean)) if train else {}
        return LossOutput(loss, terms | {"psnr": psnr(images, batch["target"])}, variables.buffers | updated)

    def _reconstruction_terms(self, images: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        w, target = self.weights, batch["target"]
        weights = losses.pixel_weights(target, batch["reference"], batch["component_boxes"], w.component, w.motion)
        return {
            "pixel": losses.weighted_l1(images, target, weights),
            "gradient": losses.gradient_loss(images, target, weights),
        }

    def _adversarial_terms(self, params: Tree, images: jax.Array, target: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        """Those of `_judged` of whole pictures, and the penalty of the discriminator's slope where it has a weight."""
        slope = lambda: r1_penalty(lambda x: self.discriminator.apply({"params": params}, x)[0], target)
        penalty = {"r1": now_and_then(jax.random.fold_in(key, 2), self.weights.r1_share, slope)} if self.weights.r1 else {}
        return penalty | self._judged(params, images, target)

    def _part_terms(self, params: Tree, images: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """The same of eyes and mouth alone, by a discriminator of their own, which sees each as large as the other."""
        parts = (losses.crop_parts(x, batch["component_boxes"], self.part_side) for x in (images, batch["target"]))
        terms = self._judged(params, *parts)
        made = terms["adversarial"] + terms["feature_matching"]
        return {"part_adversarial": made, "part_discriminator": terms["discriminator"]}

    def _judged(self, params: Tree, images: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
        """The discriminator judges with its own gradients stopped for the generator's terms, and the pictures' for its own."""
        judge, kind = lambda p, x: self.discriminator.apply({"params": p}, x), self.weights.adversarial_kind
        frozen = jax.lax.stop_gradient(params)
        fake, fake_features = judge(frozen, images)
        _, real_features = judge(frozen, target)
        judged_real, judged_fake = judge(params, target)[0], judge(params, jax.lax.stop_gradient(images))[0]
        return {
            "adversarial": generator_loss(fake, kind),
            "feature_matching": losses.feature_matching(real_features, fake_features),
            "discriminator": discriminator_loss(judged_real, judged_fake, kind),
        }

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Rows: reference, driving as seen, target, rebuilt, and the rebuilt motion on the next person's reference."""
        rows = {name: batch[name][:8] for name in ("reference", "driving", "target")}
        latents = self.model.encode(variables, rows["target"])
        rebuilt = self.model.decode(variables, rows["reference"], latents)
        other = self.model.decode(variables, jnp.roll(rows["reference"], 4, axis=0), latents)
        return {"reconstruction": picture_grid([*rows.values(), rebuilt, other])}


def psnr(x: Float[Array, "batch h w 3"], y: Float[Array, "batch h w 3"]) -> Float[Array, ""]:
    """Mean peak signal to noise ratio of pictures in [-1, 1], dB."""
    error = jnp.clip(x, -1, 1) - y
    return (10.0 * jnp.log10(4.0 / jnp.maximum((error**2).mean((1, 2, 3)), 1e-10))).mean()


def picture_grid(rows: list[Float[Array, "n h w 3"]]) -> jax.Array:
    """uint8 picture with one row of images for each entry."""
    stacked = jnp.concatenate([jnp.concatenate(list(row), axis=1) for row in rows], axis=0)
    return jnp.clip((stacked + 1.0) * 127.5, 0, 255).astype(jnp.uint8)
