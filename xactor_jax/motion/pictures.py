"""Resizes pictures for the motion encoder, and encodes many pictures with one compiled program."""

from __future__ import annotations

import functools

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from xactor_jax.clips import Encoder
from xactor_jax.motion.model import MotionModel
from xactor_jax.padding import in_batches
from xactor_jax.pictures import to_float
from xactor_jax.variables import Variables


def fit_size(images: UInt8[np.ndarray, "n h w 3"], size: int) -> UInt8[np.ndarray, "n size size 3"]:
    """Resizes square pictures to a side of `size` pixels. Pictures of that size are returned unchanged."""
    if images.shape[1:3] == (size, size):
        return images
    method = cv2.INTER_AREA if images.shape[1] > size else cv2.INTER_CUBIC
    return np.stack([cv2.resize(image, (size, size), interpolation=method) for image in images])


def frame_encoder(model: MotionModel, variables: Variables, batch_size: int = 32) -> Encoder:
    """A function from any number of square pictures, of any size, to standardised motion latents.

    Pictures are encoded in batches of `batch_size`, and the last batch is filled up, so that one program is compiled.
    """
    held = jax.device_put(variables)

    encode = lambda few: _encode(model, held, to_float(fit_size(few, model.image_size)))
    return lambda images: in_batches(encode, images, batch_size)


@functools.partial(jax.jit, static_argnums=0)
def _encode(model: MotionModel, variables: Variables, images: Float[Array, "b side side 3"]) -> Float[Array, "b d"]:
    """Compiled once for all encoders of one model."""
    return model.encode(variables, images)
