"""Coefficients of a 3D face model, from a picture (Deng et al. 2019, arXiv 1903.08527).

The network is ResNet-50 with the stride on the 3×3 convolution, and linear layers in place of its classifier:

    (1) block(x) = ReLU(N C₁ ReLU N C₃ ReLU N C₁ x + d(x)),  d(x) = x, or N of a 1×1 convolution in the first block of a stage
    (2) c(x)     = (W_k mean_p s₄ s₃ s₂ s₁ P ReLU N C₇ x + b_k for each k),  P: maximum over 3×3 pixels, stride 2

N is batch normalisation with fixed statistics, mean_p the mean over pixels. The 257 coefficients are 80 of identity, 64 of
expression, 80 of texture, 3 of rotation, 27 of light and 3 of translation. Layout: sicxu/Deep3DFaceRecon_pytorch,
models/networks.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.layers.batch_norm import FrozenBatchNorm

EXPANSION = 4
"""Channels of a block's output over those inside it."""

EXPRESSION = slice(80, 144)
"""Place of the coefficients of expression."""


@dataclass(frozen=True, kw_only=True)
class Deep3DSettings:
    """Sizes of the network. The defaults are those of the released one."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each stage."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels inside the blocks of each stage."""
    parts: tuple[int, ...] = (80, 64, 80, 3, 27, 2, 1)
    """Coefficients that each of the last layers gives."""
    side: int = 224
    """Side of the input, pixels."""


class Bottleneck(nn.Module):
    """Residual block (equation 1)."""

    width: int
    stride: int
    first: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        h = normed_conv(x, self.width, 1)
        h = normed_conv(nn.relu(h), self.width, 3, self.stride, "2")
        h = normed_conv(nn.relu(h), EXPANSION * self.width, 1, 1, "3")
        x = normed_conv(x, EXPANSION * self.width, 1, self.stride, "_match") if self.first else x
        return nn.relu(h + x)


class Deep3D(nn.Module):
    """c(x) of equation 2. Its parts are named as in the released network."""

    settings: Deep3DSettings

    @nn.compact
    def __call__(self, faces: Float[Array, "b side side 3"]) -> Float[Array, "b coefficients"]:
        """The network's output for aligned RGB faces in [0, 1] (`alignment.py:deep3d_crop`)."""
        s = self.settings
        x = nn.relu(normed_conv(faces, s.widths[0], 7, 2))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, (depth, width) in enumerate(zip(s.depths, s.widths, strict=True), start=1):
            for i in range(depth):
                x = Bottleneck(width, 2 if i == 0 and stage > 1 else 1, i == 0, name=f"layer{stage}_{i}")(x)
        mean = jnp.mean(x, axis=(1, 2))
        return jnp.concatenate([nn.Dense(n, name=f"final{k}")(mean) for k, n in enumerate(s.parts)], axis=-1)


def normed_conv(
    x: Float[Array, "b h w c"], width: int, side: int, stride: int = 1, name: str = "1"
) -> Float[Array, "b h2 w2 d"]:
    """N C x: a convolution without bias that keeps the picture's size but for its stride, and its normalisation."""
    x = nn.Conv(width, (side, side), stride, padding=side // 2, use_bias=False, name=f"conv{name}")(x)
    return FrozenBatchNorm(name=f"bn{name}")(x)


def make_network(network: ConfigDict) -> Deep3D:
    """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
    lists = {name: tuple(network[name]) for name in ("depths", "widths", "parts")}
    return Deep3D(Deep3DSettings(**{**network.to_dict(), **lists}))
