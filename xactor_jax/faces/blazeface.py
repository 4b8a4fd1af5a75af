"""BlazeFace, the short-range face detector (Bazarevsky et al. 2019, arXiv 1907.05047; weights of MediaPipe, Apache-2.0).

Of a picture of 128 × 128 pixels it says for 896 anchors whether a face is there, and where it and six points of it are. It is
convolutional, so larger pictures, of sides that are multiples of 16, have more anchors.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.faces.blocks import Block

SIDE = 128
"""Of the pictures that it was trained on, pixels."""

STEM = 24
FINE = ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1), (88, 1))
COARSE = ((96, 2), (96, 1), (96, 1), (96, 1), (96, 1))
"""(Channels, stride) of the blocks up to the first map of anchors, and from there to the second."""

MAPS = ((8, 2), (16, 6))
"""(Pixels a step, anchors at each place) of the two maps."""

NUMBERS = 16
"""Of an anchor: middle, width and height of the box, then six points; all x before y, pixels from the anchor's middle."""


class BlazeFace(nn.Module):
    """Face detector; see the module docstring."""

    @nn.compact
    def __call__(self, pictures: Float[Array, "b h w 3"]) -> tuple[Float[Array, "b n"], Float[Array, "b n 16"]]:
        """Of pictures in [-1, 1]: (logits, numbers) of every anchor."""
        x = nn.relu(nn.Conv(STEM, (5, 5), strides=2, name="stem")(pictures))
        found = []
        for name, blocks, (_, anchors) in zip(("fine", "coarse"), (FINE, COARSE), MAPS, strict=True):
            for i, (features, stride) in enumerate(blocks):
                x = Block(features, stride, name=f"{name}_{i}")(x)
            logits = nn.Dense(anchors, name=f"{name}_logits")(x).reshape(len(x), -1)
            found.append((logits, nn.Dense(anchors * NUMBERS, name=f"{name}_numbers")(x).reshape(len(x), -1, NUMBERS)))
        (logits, numbers), (more_logits, more_numbers) = found
        return jnp.concatenate([logits, more_logits], 1), jnp.concatenate([numbers, more_numbers], 1)
