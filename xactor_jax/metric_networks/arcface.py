"""ArcFace: a vector that says whose face a picture shows (Deng et al. 2019, arXiv 1801.07698), by InsightFace's IResNet.

A stage has n blocks, of which the first has stride 2. With N = batch normalisation by fixed statistics, C = 3×3 convolution:

    (1) block(x) = N₃ C₂ PReLU N₂ C₁ N₁ x + d(x),  d(x) = x, or N of a 1×1 convolution where size or channels change
    (2) e(x)     = N W flat(N s₄ s₃ s₂ s₁ PReLU N C x)
    (3) sim(x, y) = ⟨e(x), e(y)⟩ / (‖e(x)‖ ‖e(y)‖)

`flat` orders values by (channel, row, column), as PyTorch does. The released networks differ only in n: (3, 4, 14, 3) is r50,
(3, 13, 30, 3) is r100. Layout: insightface, recognition/arcface_torch/backbones/iresnet.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.faces.blocks import Slope
from xactor_jax.layers.batch_norm import FrozenBatchNorm


@dataclass(frozen=True, kw_only=True)
class ArcFaceSettings:
    """Sizes of the network. The defaults are those of r50."""

    depths: tuple[int, ...] = (3, 4, 14, 3)
    """Blocks of each stage."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage. The first convolution has as many as the first stage."""
    features: int = 512
    """Length of e(x)."""
    side: int = 112
    """Side of the input, pixels."""


class Block(nn.Module):
    """Residual block (equation 1)."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        h = conv3(self.width, 1, "conv1")(FrozenBatchNorm(name="bn1")(x))
        h = Slope(name="prelu")(FrozenBatchNorm(name="bn2")(h))
        h = FrozenBatchNorm(name="bn3")(conv3(self.width, self.stride, "conv2")(h))
        if self.stride > 1 or x.shape[-1] != self.width:
            x = nn.Conv(self.width, (1, 1), self.stride, use_bias=False, name="match")(x)
            x = FrozenBatchNorm(name="match_norm")(x)
        return h + x


class ArcFace(nn.Module):
    """e(x) of equation 2. Its parts are named as in the released networks."""

    settings: ArcFaceSettings

    @nn.compact
    def __call__(self, faces: Float[Array, "b side side 3"]) -> Float[Array, "b d"]:
        """Descriptors of aligned RGB faces in [-1, 1] (`alignment.py:arcface_crop`)."""
        s = self.settings
        x = Slope(name="prelu")(FrozenBatchNorm(name="bn1")(conv3(s.widths[0], 1, "conv1")(faces)))
        for stage, (depth, width) in enumerate(zip(s.depths, s.widths, strict=True), start=1):
            for i in range(depth):
                x = Block(width, 1 if i else 2, name=f"layer{stage}_{i}")(x)
        x = jnp.moveaxis(FrozenBatchNorm(name="bn2")(x), -1, 1).reshape(len(x), -1)
        return FrozenBatchNorm(name="features")(nn.Dense(s.features, name="fc")(x))


def conv3(width: int, stride: int, name: str) -> nn.Conv:
    """A 3×3 convolution without bias, which pads one pixel on every side."""
    return nn.Conv(width, (3, 3), stride, padding=1, use_bias=False, name=name)


def make_network(network: ConfigDict) -> ArcFace:
    """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
    lists = {name: tuple(network[name]) for name in ("depths", "widths")}
    return ArcFace(ArcFaceSettings(**{**network.to_dict(), **lists}))


def cosines(a: Float[np.ndarray, "*n d"], b: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n"]:
    """Similarity of faces, from -1 to 1 (equation 3)."""
    unit = lambda e: e / np.linalg.norm(e, axis=-1, keepdims=True)
    return (unit(a) * unit(b)).sum(axis=-1)
