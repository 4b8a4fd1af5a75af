"""I3D as FVD uses it: Inception v1 inflated to video, trained on Kinetics-400 (Carreira and Zisserman 2017).

    (1) x = 2 c(r(frame)) − 1,   r: the shorter side becomes 224 pixels, by bilinear interpolation without a low-pass filter,
                                    of values in [0, 1];   c: the square in the middle
    (2) p_t = mean of h over all pixels and over the positions t, t + 1 in time,   h: last block, one position for 8 frames
    (3) f(clip) = mean_t (W p_t + b): 400 logits

FVD (Unterthiner et al. 2018) compares the logits, not their softmax and not p. Source: VideoGPT, whose file of weights names
the parts as they are named here, and common_metrics_on_video_quality, a program that many papers use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from xactor_jax.metric_networks.conv_unit import PRECISION, ConvUnit
from xactor_jax.metric_networks.preprocessing import centre_crop, short_side_resized
from xactor_jax.variables import applied

Volume = Float[Array, "n frames height width channels"]
Changed = Float[Array, "n _frames _height _width _channels"]
POINT, CUBE = (1, 1, 1), (3, 3, 3)
STEM: dict[str, tuple[int, tuple[int, int, int], int]] = {
    "Conv3d_1a_7x7": (64, (7, 7, 7), 2),
    "Conv3d_2b_1x1": (64, POINT, 1),
    "Conv3d_2c_3x3": (192, CUBE, 1),
}
"""Published name → channels, kernel and stride."""
BLOCKS: dict[str, tuple[int, ...]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Published name → channels of each of `BRANCHES`."""
BRANCHES: dict[str, tuple[int, int, int]] = {"b0": POINT, "b1a": POINT, "b1b": CUBE, "b2a": POINT, "b2b": CUBE, "b3b": POINT}
"""Convolution of a block → its kernel."""
POOLS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": (CUBE, (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""Part before which a maximum is taken → its window and its strides."""
LEAST_FRAMES = 9
"""Fewer frames leave less than the two positions in time of equation 2."""


def unit_names() -> Iterator[str]:
    """Published name of every convolution with its normalisation, as "Mixed_3b.b1a"."""
    yield from STEM
    yield from (f"{block}.{branch}" for block in BLOCKS for branch in BRANCHES)


@dataclass(frozen=True, kw_only=True)
class I3DSettings:
    """Sizes. Other values than the defaults are for tests; published numbers need the defaults."""

    side: int = 224
    """Sides of the network's frames, pixels."""
    classes: int = 400
    divisor: int = 1
    """All published numbers of channels are divided by it."""


class Block(nn.Module):
    """Four branches that read the same input, and whose outputs are concatenated."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Volume) -> Changed:
        units = zip(self.widths, BRANCHES.items(), strict=True)
        b0, b1a, b1b, b2a, b2b, b3b = (ConvUnit(width, kernel, name=name) for width, (name, kernel) in units)
        return jnp.concatenate([b0(x), b1b(b1a(x)), b2b(b2a(x)), b3b(_maximum(x, CUBE, POINT))], axis=-1)


class I3D(nn.Module):
    """Clips of the network's size in [-1, 1] → logits (equations 2 and 3)."""

    settings: I3DSettings

    @nn.compact
    def __call__(self, x: Float[Array, "n t h w 3"]) -> Float[Array, "n classes"]:
        narrow = lambda width: width // self.settings.divisor
        parts = {
            **{
                name: ConvUnit(narrow(width), kernel, (stride,) * 3, name=name)
                for name, (width, kernel, stride) in STEM.items()
            },
            **{name: Block(tuple(map(narrow, widths)), name=name) for name, widths in BLOCKS.items()},
        }
        for name, part in parts.items():
            x = part(_maximum(x, *POOLS[name]) if name in POOLS else x)
        x = jnp.mean(x, axis=(2, 3), keepdims=True)
        pairs = jnp.mean((x[:, :-1] + x[:, 1:]) / 2.0, axis=1, keepdims=True)
        return nn.Conv(self.settings.classes, POINT, precision=PRECISION, name="logits")(pairs)[:, 0, 0, 0]


def _maximum(x: Volume, window: tuple[int, int, int], strides: tuple[int, int, int]) -> Changed:
    """The published program pads with zeros. That is the same, because all inputs are rectified."""
    return nn.max_pool(x, window, strides, "SAME")


@dataclass(frozen=True)
class I3DModel:
    """The features as pure functions of parameters and clips."""

    settings: I3DSettings

    @classmethod
    def from_network(cls, network: ConfigDict) -> I3DModel:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(I3DSettings(**network))

    def init(self, key: jax.Array) -> Any:
        """Random weights, for shapes and tests."""
        side = self.settings.side
        return I3D(self.settings).init(key, jnp.zeros((1, LEAST_FRAMES, side, side, 3)))["params"]

    def features(self, params: Any, clips: UInt8[Array, "n t height width 3"]) -> Float[Array, "n classes"]:
        """Logits of RGB clips of any size and of at least `LEAST_FRAMES` frames (equations 1 to 3)."""
        x = short_side_resized(clips.astype(jnp.float32) / 255.0, self.settings.side)
        return applied(I3D(self.settings), params, 2.0 * centre_crop(x, self.settings.side) - 1.0)
