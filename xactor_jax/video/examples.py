"""What a batch of training becomes before the loss: latents, motion as it is told, and what the denoiser is shown."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.motion.model import MotionModel
from xactor_jax.variables import Batch, Variables
from xactor_jax.video.conditions import Base, Told
from xactor_jax.video.denoiser import Denoiser
from xactor_jax.video.disturbance import MotionNoise, disturb
from xactor_jax.video.model import VideoModel, own_motion
from xactor_jax.video.preparation import drafts, embed, told_of
from xactor_jax.video.reference import mask_bank
from xactor_jax.video.unet import Bank


class Shown(NamedTuple):
    """Arguments of the denoiser behind noisy latents and noise level, as in training."""

    motion: Float[Array, "b t d"]
    reference: Float[Array, "b h w c"]
    bank: Bank
    reference_on: Bool[Array, "b"] | None
    frames_apart: Bool[Array, "b"]
    embedding: Float[Array, "b e"]
    draft: Float[Array, "b t h w c"] | None


class Example(NamedTuple):
    """A batch, ready for the loss: latents of frames and reference, what frames are corrected from, and what is shown."""

    latents: Float[Array, "b t h w c"]
    reference: Float[Array, "b h w c"]
    base: Base
    shown: Shown


def shapes(model: VideoModel, batch_size: int, with_driving: bool) -> dict[str, jax.ShapeDtypeStruct]:
    """Of a batch (task.py)."""
    size, window, dim = model.image_size, model.window, model.motion_dim
    of_one = {
        "frames": (window, size, size, 3),
        "reference": (size, size, 3),
        "motion_latents": (window, dim),
        "reference_motion": (dim,),
        "component_boxes": (window, 2, 4),
    }
    arrays = {name: jax.ShapeDtypeStruct((batch_size, *shape), jnp.float32) for name, shape in of_one.items()}
    arrays |= {"driving": arrays["frames"]} if with_driving else {}
    return arrays | {"frames_apart": jax.ShapeDtypeStruct((batch_size,), jnp.bool_)}


def latents_of(
    model: VideoModel, variables: Variables, batch: Batch
) -> tuple[Float[Array, "b t h w c"], Float[Array, "b h w c"]]:
    """Of the frames and of the reference, apart: together, frames and one more could not be split evenly over devices."""
    frozen = variables.buffers["autoencoder"]
    encode = lambda x: jax.lax.stop_gradient(model.autoencoder.encode(frozen, x))
    return encode(batch["frames"]), encode(batch["reference"])


def motion_of(
    encoder: MotionModel | None, variables: Variables, batch: Batch
) -> tuple[Float[Array, "b t d"], Float[Array, "b d"]]:
    """Standardised motion of the frames and of the reference; `encoder` where it is trained too."""
    if encoder is None:
        return batch["motion_latents"], batch["reference_motion"]
    pictures = jnp.concatenate([batch["reference"][:, None], batch["driving"]], axis=1)
    z = encoder.encode(own_motion(variables), pictures.reshape(-1, *pictures.shape[2:]))
    z = z.reshape(*pictures.shape[:2], -1)
    return z[:, 1:], z[:, 0]


def disturbed(
    key: jax.Array, motion: Float[Array, "b t d"], reference: Float[Array, "b d"], noise: MotionNoise, drop: float
) -> Float[Array, "b t d"]:
    """Disturbed motion, or in a share `drop` of the examples the reference's own in every frame."""
    key_drop, key_noise = jax.random.split(key)
    dropped = jax.random.bernoulli(key_drop, drop, (len(motion), 1, 1))
    return jnp.where(dropped, reference[:, None], disturb(key_noise, motion, noise))


def told_and_base(
    model: VideoModel,
    variables: Variables,
    batch: Batch,
    motion: Float[Array, "b t d"],
    still: Float[Array, "b d"],
    z_ref: Float[Array, "b h w c"],
) -> tuple[Told, Base]:
    """What the denoiser is told of the frames, and what it corrects."""
    if model.draft is None:
        return Told(motion), Base(z_ref[:, None])
    base = jax.lax.stop_gradient(drafts(model, variables, batch["reference"], still, motion))
    return told_of(model, motion, base), base


def shown(
    model: VideoModel, denoiser: Denoiser, variables: Variables, batch: Batch, told: Told, z_ref: Float[Array, "b h w c"]
) -> Shown:
    """Everything, nothing hidden."""
    embedding = embed(model, variables, batch["reference"])
    bank = denoiser.apply({"params": variables.params}, z_ref, embedding, method="appearance")
    return Shown(told.motion, z_ref, bank, None, batch["frames_apart"], embedding, told.draft)


def partly_hidden(keys: tuple[jax.Array, jax.Array], whole: Shown, masked: float, dropped: float) -> Shown:
    """Without a share `masked` of the bank's pixels, and in a share `dropped` of the examples without the reference."""
    key_mask, key_reference = keys
    on = ~jax.random.bernoulli(key_reference, dropped, (len(whole.motion),))
    return whole._replace(bank=mask_bank(key_mask, whole.bank, masked), reference_on=on)
