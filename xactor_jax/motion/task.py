"""Training of stage 1: reconstructs the driving frame from another frame of the clip and the driving frame's latent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from xactor_jax.checkpoints.perceptual import PerceptualTerm
from xactor_jax.labels import CONTROLS, UNITS
from xactor_jax.layers.adversarial import on_random_steps, r1_penalty
from xactor_jax.layers.augmentation import DrivingAugmentation, augment
from xactor_jax.layers.critics import PARTS, WHOLE, Critics
from xactor_jax.layers.discriminator import PatchDiscriminator
from xactor_jax.layers.picture_losses import psnr
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.motion import losses
from xactor_jax.motion.model import MotionModel, initial_statistics, latent_statistics, update_statistics
from xactor_jax.motion.settings import LossWeights
from xactor_jax.parallel.partition import path_name
from xactor_jax.pictures import picture_grid
from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables, applied

TRUTHS = len(CONTROLS) + len(UNITS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionTask:
    """Stage 1 as the trainer uses it.

    Batch: `target`, `reference` [B, H, W, 3], and `component_boxes` [B, 2, 4] of the target. The driving frame, which the
    encoder takes, is the target; in training it is augmented. If equation 2 of losses.py has a weight, also `truth` [B, K], the
    controls and units of the target, and `known`, 1 or 0 for each of them. The linear map r is the part "reader" of the
    parameters.
    """

    model: MotionModel
    critics: Critics
    weights: LossWeights
    perceptual: PerceptualTerm
    augmentation: DrivingAugmentation
    train_encoder: bool
    stage: str = "motion"
    frame_entries: tuple[str, ...] = ()
    folds_frames: bool = False
    start_buffers: ClassVar[Mapping[str, str]] = {"generator/encoder": "latent_", "reader": "truth_"}
    partition_rules: Rules = (
        (r"(to_(posterior|mean|log_variance)|reader)/kernel", P("fsdp", None)),
        (r"(query|key|value|feed_forward/in|patches_out|match|last|to_landmarks)/kernel", P("fsdp", "tensor")),
        (r"(attention|feed_forward)/out/kernel", P("tensor", "fsdp")),
        (r"(to_map|embed_latent|embedding|to_style|map_latent_\d)/kernel", P(None, ("fsdp", "tensor"))),
        (r"kernel", P(None, None, None, ("fsdp", "tensor"))),  # of convolutions
    )

    @classmethod
    def from_config(cls, config: ConfigDict) -> MotionTask:
        n = config.network
        widths = tuple(n.discriminator_widths) or tuple(width // 2 for width in n.widths)
        network = PatchDiscriminator(n.patch, widths, compute_dtype(config.precision), n.discriminator_detail)
        weights, path = LossWeights(**config.loss), config.pretrained.perceptual
        perceptual = PerceptualTerm(weight=weights.perceptual, kind=weights.perceptual_kind, path=path)
        return cls(
            model=MotionModel.from_config(config),
            critics=Critics(network=network, kind=weights.adversarial_kind, part_side=n.part_side),
            weights=weights,
            perceptual=perceptual,
            augmentation=DrivingAugmentation(**config.data.augmentation),
            train_encoder=config.train_encoder,
        )

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        image = jax.ShapeDtypeStruct((batch_size, self.model.image_size, self.model.image_size, 3), jnp.uint8)
        boxes = jax.ShapeDtypeStruct((batch_size, 2, 4), jnp.float32)
        truth = jax.ShapeDtypeStruct((batch_size, TRUTHS), jnp.float32)
        truths = {"truth": truth, "known": truth} if self.weights.truth else {}
        return {"target": image, "reference": image, "component_boxes": boxes, **truths}

    def init(self, key: jax.Array) -> Variables:
        encoder, decoder, discriminator = jax.random.split(key, 3)
        image = jnp.zeros((1, self.model.image_size, self.model.image_size, 3))
        seen, latent = jnp.zeros((1, *2 * (self.model.encoder_size,), 3)), jnp.zeros((1, self.model.decoder_input_dim))
        generator = {
            "encoder": self.model.encoder.init(encoder, seen)["params"],
            "decoder": self.model.decoder.init(decoder, image, latent)["params"],
        }
        params = {"generator": generator, WHOLE: self.critics.init(discriminator, self.model.image_size)}
        if self.weights.part_adversarial:
            params[PARTS] = self.critics.init(jax.random.fold_in(discriminator, 1), self.critics.part_side)
        buffers = initial_statistics(self.model.latent_dim) | self.perceptual.init(discriminator)
        if self.weights.truth:
            params["reader"] = self._reader.init(encoder, latent[:, : self.model.latent_dim])["params"]
            buffers |= initial_statistics(TRUTHS, "truth")
        return Variables(params=params, buffers=buffers)

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        return self.perceptual.pretrained()

    def param_labels(self, params: Tree) -> Tree:
        def label(path: Any, _: Any) -> str:
            name = path_name(path)
            if name.split("/")[0] in (WHOLE, PARTS):
                return "discriminator"
            reads = name.startswith(("generator/encoder/", "reader/"))
            return "frozen" if reads and not self.train_encoder else "default"

        return jax.tree_util.tree_map_with_path(label, params)

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """All terms of `LossWeights`, weighted. Generator's and discriminator's losses are in one scalar."""
        sampling, dropout = jax.random.split(key)
        driving = self._driving(batch, key) if train else batch["target"]
        posterior = self.model.posterior(variables.params, driving, dropout if train else None)
        latents = posterior.sample(sampling) if train else posterior.mean
        learns = train and self.train_encoder
        updated = update_statistics(variables.buffers, jax.lax.stop_gradient(posterior.mean)) if learns else {}
        terms = {}
        if posterior.log_variance is not None:
            terms["kl"] = losses.kl_divergence(posterior.mean, posterior.log_variance)
        if self.weights.truth:
            updated |= self._truth_statistics(variables.buffers, batch) if learns else {}
            terms["truth"] = self._truth(variables.params, variables.buffers | updated, posterior.mean, batch)
        if self.weights.any_picture or not train:
            terms |= self._picture_terms(variables, latents, batch, key)
        return LossOutput(self.weights.total(terms), terms, variables.buffers | updated)

    def _driving(self, batch: Batch, key: jax.Array) -> jax.Array:
        """The driving frames as the encoder sees them in a training step with this key."""
        return augment(jax.random.fold_in(key, 3), batch["target"], self.augmentation)

    @property
    def _reader(self) -> nn.Module:
        return nn.Dense(TRUTHS)

    def _truth_statistics(self, buffers: Tree, batch: Batch) -> Tree:
        return update_statistics(buffers, batch["truth"], name="truth", known=batch["known"])

    def _truth(self, params: Tree, buffers: Tree, latents: jax.Array, batch: Batch) -> jax.Array:
        """Equation 2 of losses.py. The linear map predicts standardised truths."""
        mean, std = latent_statistics(buffers, "truth")
        read = mean + std * applied(self._reader, params["reader"], latents)
        return losses.truth_loss(read, batch["truth"], batch["known"], std)

    def _picture_terms(self, variables: Variables, latents: jax.Array, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Terms of the pictures that the decoder makes from the latents."""
        images, gate = self.model.reconstruct_gated(variables.params, batch["reference"], latents)
        terms = {} if gate is None else {"gate": gate.mean()}
        target, boxes = batch["target"], batch["component_boxes"]
        terms |= self.weights.reconstruction(images, target, batch["reference"], boxes)
        terms |= self.perceptual.terms(variables.buffers, images, target)
        if self.weights.adversarial or self.weights.feature_matching:  # otherwise the discriminator is not needed
            terms |= self._adversarial_terms(variables.params[WHOLE], images, target, key)
        if self.weights.part_adversarial:
            terms |= self.critics.part_terms(variables.params[PARTS], images, target, boxes)
        return terms | {"psnr": jax.vmap(psnr)(jnp.clip(images, -1.0, 1.0), target).mean()}

    def _adversarial_terms(self, params: Tree, images: jax.Array, target: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        """Terms of the discriminator of whole pictures, and the R1 penalty if it has a weight."""
        slope = lambda: r1_penalty(lambda x: self.critics.scores(params, x), target)
        penalty = {"r1": on_random_steps(jax.random.fold_in(key, 2), self.weights.r1_share, slope)} if self.weights.r1 else {}
        return penalty | self.critics.whole_terms(params, images, target)

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> dict[str, jax.Array]:
        """Rows: reference, augmented target, target, reconstruction, and the same motion on another person's reference."""
        few = {name: x[:8] for name, x in batch.items()}
        rows = {"reference": few["reference"], "driving": self._driving(few, key), "target": few["target"]}
        latents = self.model.encode(variables, rows["target"])
        rebuilt = self.model.decode(variables, rows["reference"], latents)
        other = self.model.decode(variables, jnp.roll(rows["reference"], 4, axis=0), latents)
        return {"reconstruction": picture_grid([*rows.values(), rebuilt, other])}
