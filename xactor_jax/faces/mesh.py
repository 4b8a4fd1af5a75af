"""Face Mesh: 468 landmarks of a face (Kartynnik et al. 2019, arXiv 1907.06724; weights of MediaPipe, Apache-2.0)."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from xactor_jax.faces.blocks import Block, Slope

SIDE = 192
"""Side of its input pictures, pixels."""

POINTS = 468

STEM = 16
TRUNK = ((16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1))
TRUNK += ((128, 2), (128, 1), (128, 1))
"""(Channels, stride) of the blocks that landmarks and presence share."""

BRANCHES = {"points": (((128, 2), (128, 1), (128, 1)), 3 * POINTS), "presence": (((128, 2),), 1)}
"""Blocks of a branch, and the number of its outputs."""

SQUEEZED = 32
"""Channels at the end of a branch."""


class FaceMesh(nn.Module):
    """Landmarks of the face that fills a picture, and whether there is a face."""

    @nn.compact
    def __call__(self, pictures: Float[Array, "b 192 192 3"]) -> tuple[Float[Array, "b 468 3"], Float[Array, "b"]]:
        """Landmarks of pictures in [0, 1]: points in pixels, depth in the same unit; logits of presence."""
        x = nn.Conv(STEM, (3, 3), strides=2, name="stem")(pictures)
        x = self._through("trunk", TRUNK, Slope(name="stem_slope")(x))
        points, presence = (self._branch(name, x) for name in BRANCHES)
        return points.reshape(-1, POINTS, 3), presence[:, 0]

    def _through(self, name: str, blocks: tuple[tuple[int, int], ...], x: Array) -> Array:
        for i, (features, stride) in enumerate(blocks):
            x = Block(features, stride, slopes=True, name=f"{name}_{i}")(x)
        return x

    def _branch(self, name: str, x: Float[Array, "b 6 6 128"]) -> Float[Array, "b n"]:
        blocks, numbers = BRANCHES[name]
        x = nn.Dense(SQUEEZED, name=f"{name}_squeeze")(self._through(name, blocks, x))
        x = Block(SQUEEZED, slopes=True, name=f"{name}_last")(Slope(name=f"{name}_squeeze_slope")(x))
        return nn.Dense(numbers, name=f"{name}_numbers")(x.reshape(len(x), -1))
