"""Prepares a batch for the loss: latents, frame conditions, and the inputs of the denoiser."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.augmentation import DrivingAugmentation, augment
from xactor_jax.motion.model import MotionModel
from xactor_jax.variables import Batch, Variables, applied
from xactor_jax.video.conditions import Base, FrameConditions
from xactor_jax.video.denoiser import Denoiser
from xactor_jax.video.disturbance import MotionNoise, disturb
from xactor_jax.video.entries import BatchEntries
from xactor_jax.video.model import VideoModel, trained_motion_encoder
from xactor_jax.video.preparation import drafts, embed, frame_conditions, no_embedding
from xactor_jax.video.reference import mask_bank
from xactor_jax.video.unet import Bank


class DenoiserInputs(NamedTuple):
    """Inputs of the denoiser in training, after noisy latents and noise level, in the order of its arguments."""

    motion: Float[Array, "b t d"]
    reference: Float[Array, "b h w c"]
    bank: Bank
    reference_on: Bool[Array, "b"] | None
    frames_apart: Bool[Array, "b"]
    embedding: Float[Array, "b e"]
    draft: Float[Array, "b t h w c"] | None


class Example(NamedTuple):
    """A batch prepared for the loss: latents of the frames and of the reference, the base, and the denoiser's inputs."""

    latents: Float[Array, "b t h w c"]
    reference: Float[Array, "b h w c"]
    base: Base
    inputs: DenoiserInputs


def shapes(model: VideoModel, batch_size: int, entries: BatchEntries) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a batch (task.py describes its entries)."""
    window, dim, picture = model.window, model.motion_dim, (model.image_size, model.image_size, 3)
    of_one = {
        "frames": ((window, *picture), jnp.uint8),
        "reference": (picture, jnp.uint8),
        "frame_latents": ((window, *model.latent_shape), jnp.bfloat16),
        "reference_latent": (model.latent_shape, jnp.bfloat16),
        "reference_embedding": ((model.context_width,), jnp.bfloat16),
        "motion_latents": ((window, dim), jnp.float32),
        "reference_motion": ((dim,), jnp.float32),
        "component_boxes": ((window, 2, 4), jnp.float32),
        "frames_apart": ((), jnp.bool_),
    }
    has = lambda name: getattr(entries, name, True)
    return {name: jax.ShapeDtypeStruct((batch_size, *shape), dtype) for name, (shape, dtype) in of_one.items() if has(name)}


def latents_of(
    model: VideoModel, variables: Variables, batch: Batch
) -> tuple[Float[Array, "b t h w c"], Float[Array, "b h w c"]]:
    """Latents of the frames and of the reference: those of the batch, else of its pictures.

    They are encoded separately, because T + 1 frames may not divide over the devices.
    """
    frozen = variables.buffers["autoencoder"]
    encode = lambda x: jax.lax.stop_gradient(model.autoencoder.encode(frozen, x))
    either = lambda name, pictures: _stored(batch, name) if name in batch else encode(batch[pictures])
    return either("frame_latents", "frames"), either("reference_latent", "reference")


def embedding_of(model: VideoModel, variables: Variables, batch: Batch) -> Float[Array, "b e"]:
    """Embeddings of the references: those of the batch, else of its pictures; zeros without an encoder."""
    if model.clip is None:
        return no_embedding(model, len(batch["reference_motion"]))
    stored = "reference_embedding" in batch
    return _stored(batch, "reference_embedding") if stored else embed(model, variables, batch["reference"])


def pictures_of(
    model: VideoModel, variables: Variables, batch: Batch
) -> tuple[Float[Array, "b t height width 3"], Float[Array, "b height width 3"]]:
    """The frames and the reference, for people to look at. Pictures that the batch lacks are decoded from its latents."""
    decode = lambda z: model.autoencoder.decode(variables.buffers["autoencoder"], z)
    either = lambda name, latents: batch[name] if name in batch else decode(_stored(batch, latents))
    return either("frames", "frame_latents"), either("reference", "reference_latent")


def _stored(batch: Batch, name: str) -> Float[Array, "*shape"]:
    """A precomputed entry of the batch. Records have bfloat16."""
    return batch[name].astype(jnp.float32)


def driving_frames(
    key: jax.Array, frames: Float[Array, "b t h w 3"], augmentation: DrivingAugmentation
) -> Float[Array, "b t h w 3"]:
    """The frames as the motion encoder sees them in training, each with changes of its own."""
    return augment(key, frames.reshape(-1, *frames.shape[2:]), augmentation).reshape(frames.shape)


def motion_of(
    encoder: MotionModel | None,
    variables: Variables,
    batch: Batch,
    key: jax.Array | None = None,
    augmentation: DrivingAugmentation | None = None,
) -> tuple[Float[Array, "b t d"], Float[Array, "b d"]]:
    """Standardised motion of the frames and of the reference: from `encoder` if it is trained too, else from the batch.

    With `key` and `augmentation`, the encoder sees changed frames, as in training.
    """
    trained = trained_motion_encoder(variables)
    if encoder is None or trained is None:
        return batch["motion_latents"], batch["reference_motion"]
    frames = batch["frames"] if key is None or augmentation is None else driving_frames(key, batch["frames"], augmentation)
    pictures = jnp.concatenate([batch["reference"][:, None], frames], axis=1)
    z = encoder.encode(trained, pictures.reshape(-1, *pictures.shape[2:]))
    z = z.reshape(*pictures.shape[:2], -1)
    return z[:, 1:], z[:, 0]


def disturbed(
    key: jax.Array, motion: Float[Array, "b t d"], reference: Float[Array, "b d"], noise: MotionNoise, drop: float
) -> Float[Array, "b t d"]:
    """Motion with structured noise; in a share `drop` of the examples, the reference's own motion in every frame instead."""
    key_drop, key_noise = jax.random.split(key)
    dropped = jax.random.bernoulli(key_drop, drop, (len(motion), 1, 1))
    return jnp.where(dropped, reference[:, None], disturb(key_noise, motion, noise))


def conditions_and_base(
    model: VideoModel,
    variables: Variables,
    batch: Batch,
    motion: Float[Array, "b t d"],
    reference_motion: Float[Array, "b d"],
    z_ref: Float[Array, "b h w c"],
) -> tuple[FrameConditions, Base]:
    """Conditions of the frames, and what the denoiser corrects."""
    if model.draft is None:
        return FrameConditions(motion), Base(z_ref[:, None])
    base = jax.lax.stop_gradient(drafts(model, model.draft, variables, batch["reference"], reference_motion, motion))
    return frame_conditions(model, motion, base), base


def denoiser_inputs(
    model: VideoModel,
    denoiser: Denoiser,
    variables: Variables,
    batch: Batch,
    conditions: FrameConditions,
    z_ref: Float[Array, "b h w c"],
) -> DenoiserInputs:
    """Inputs of the denoiser, with nothing hidden."""
    embedding = embedding_of(model, variables, batch)
    bank = applied(denoiser, variables.params, z_ref, embedding, method="appearance")
    return DenoiserInputs(conditions.motion, z_ref, bank, None, batch["frames_apart"], embedding, conditions.draft)


def hide_reference(keys: tuple[jax.Array, jax.Array], whole: DenoiserInputs, masked: float, dropped: float) -> DenoiserInputs:
    """Hides a share `masked` of the bank's pixels, and in a share `dropped` of the examples the whole reference."""
    key_mask, key_reference = keys
    on = ~jax.random.bernoulli(key_reference, dropped, (len(whole.motion),))
    return whole._replace(bank=mask_bank(key_mask, whole.bank, masked), reference_on=on)
