"""The frozen networks of the renderer as functions of decoded frames, for encoding a data set once instead of in every step.

A number depends on its own frame only, not on the batch that it is computed in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, BFloat16, Float, UInt8

from xactor_jax.errors import UserError
from xactor_jax.padding import in_batches
from xactor_jax.pictures import to_float
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel

PictureEncoder = Callable[[UInt8[np.ndarray, "n side side 3"]], BFloat16[np.ndarray, "n *out"]]


def latent_encoder(model: AutoencoderModel, frozen: Any, batch_size: int) -> PictureEncoder:
    """Standardised posterior means [n, h, w, c] of any number of frames, computed in float32 `batch_size` at a time.

    The function raises `UserError` where the side of a frame is not a multiple of a latent cell's.
    """
    encode = _batched(model.encode, frozen, batch_size)

    def latents(images: UInt8[np.ndarray, "n side side 3"]) -> BFloat16[np.ndarray, "n h w c"]:
        if (side := images.shape[1]) % (cell := model.settings.factor):
            raise UserError(
                f"frames of {side} pixels a side do not divide into the autoencoder's cells of {cell}: prepare clips of "
                f"{side // cell * cell or cell} or {(side // cell + 1) * cell} pixels with launch/prepare.py --size."
            )
        return encode(images)

    return latents


def embedding_encoder(model: ClipModel, params: Any, batch_size: int) -> PictureEncoder:
    """Embeddings [n, e] of CLIP's image encoder, likewise."""
    return _batched(model.embed, params, batch_size)


def _batched(encode: Callable[[Any, jax.Array], jax.Array], weights: Any, batch_size: int) -> PictureEncoder:
    held = jax.device_put(weights)
    return lambda images: in_batches(lambda few: _encode(encode, held, to_float(few)), images, batch_size)


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    encode: Callable[[Any, jax.Array], jax.Array], weights: Any, images: Float[Array, "b side side 3"]
) -> BFloat16[Array, "b *out"]:
    return encode(weights, images).astype(jnp.bfloat16)
