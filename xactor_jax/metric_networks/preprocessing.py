"""Sizes of pictures as the published programs make them."""

from __future__ import annotations

import math

import jax
from jaxtyping import Array, Float

Images = Float[Array, "*n height width c"]
Resized = Float[Array, "*n _height _width c"]


def resized(images: Images, height: int, width: int) -> Resized:
    """Bilinear interpolation without a low-pass filter: PyTorch's `interpolate` with `align_corners=False`."""
    return jax.image.resize(images, (*images.shape[:-3], height, width, images.shape[-1]), "linear", antialias=False)


def short_side_resized(images: Images, side: int) -> Resized:
    """The shorter side becomes `side`, and the longer one is rounded up."""
    height, width = images.shape[-3:-1]
    scale = side / min(height, width)
    # A square is measured along its height, in floating-point numbers that may round up: 82 pixels become 225 instead of 224.
    size = (side, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side)
    return resized(images, *size)


def centre_crop(images: Images, side: int) -> Resized:
    """The square in the middle; odd margins are smaller on the left and at the top."""
    top, left = ((length - side) // 2 for length in images.shape[-3:-1])
    return images[..., top : top + side, left : left + side, :]
