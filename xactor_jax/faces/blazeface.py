"""BlazeFace, the short-range face detector (Bazarevsky et al. 2019, arXiv 1907.05047; weights of MediaPipe, Apache-2.0).

For each of 896 anchors of a picture of 128 × 128 pixels it predicts whether there is a face, its box and six points. The
network is convolutional, so larger pictures, whose sides are multiples of 16, have more anchors.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.faces.blocks import Block

SIDE = 128
"""Side of its training pictures, pixels."""

STEM = 24
FINE = ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1), (88, 1))
COARSE = ((96, 2), (96, 1), (96, 1), (96, 1), (96, 1))
"""(Channels, stride) of the blocks up to the first anchor map, and from there to the second."""

MAPS = ((8, 2), (16, 6))
"""(Pixels per cell, anchors per cell) of the two anchor maps."""

NUMBERS = 16
"""Predicted numbers per anchor: centre, width and height of the box, then six points; x before y; pixels from the anchor."""


class BlazeFace(nn.Module):
    """Face detector; see the module docstring."""

    @nn.compact
    def __call__(self, pictures: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b n"], Float[Array, "b n 16"]]:
        """Logits and predicted numbers of every anchor, for pictures in [-1, 1]."""
        x = nn.relu(nn.Conv(STEM, (5, 5), strides=2, name="stem")(pictures))
        found = []
        for name, blocks, (_, anchors) in zip(("fine", "coarse"), (FINE, COARSE), MAPS, strict=True):
            for i, (features, stride) in enumerate(blocks):
                x = Block(features, stride, name=f"{name}_{i}")(x)
            logits = nn.Dense(anchors, name=f"{name}_logits")(x).reshape(len(x), -1)
            found.append((logits, nn.Dense(anchors * NUMBERS, name=f"{name}_numbers")(x).reshape(len(x), -1, NUMBERS)))
        (logits, numbers), (more_logits, more_numbers) = found
        return jnp.concatenate([logits, more_logits], 1), jnp.concatenate([numbers, more_numbers], 1)
