"""Inception v3 as FID uses it: a network of December 2015 with 1,008 classes (Szegedy et al. 2016, Heusel et al. 2017).

    (1) x = 2 r(image) − 1,   r: bilinear interpolation to 299 × 299 pixels without a low-pass filter, of values in [0, 1]
    (2) f(image) = mean over the last 8 × 8 positions: 2,048 features

FID is defined by these weights. The network differs from the published architecture in two places: an average near the border
counts only positions inside the picture, and the last block (Mixed_7c) has a maximum in the place of the average. Source:
pytorch-fid, whose file of weights names the parts as they are named here.
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

from xactor_jax.metric_networks.conv_unit import ConvUnit
from xactor_jax.metric_networks.preprocessing import resized
from xactor_jax.variables import applied

SQUARE, ROW, COLUMN = (3, 3), (1, 7), (7, 1)
POOLS = {
    "average": lambda x: nn.avg_pool(x, SQUARE, (1, 1), "SAME", count_include_pad=False),
    "maximum": lambda x: nn.max_pool(x, SQUARE, (1, 1), "SAME"),
    "halve": lambda x: nn.max_pool(x, SQUARE, (2, 2)),
}


@dataclass(frozen=True)
class Conv:
    """A convolution, by its published name."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"

    def unit(self, divisor: int) -> ConvUnit:
        return ConvUnit(self.width // divisor, self.kernel, (self.stride,) * 2, self.padding, name=self.name)


Step = Conv | str | tuple[Conv, ...]
"""A convolution, one of `POOLS`, or several convolutions of the same input, whose outputs are concatenated."""
Branches = tuple[tuple[Step, ...], ...]


def shrinking(name: str, width: int) -> Conv:
    """A convolution that halves the sides."""
    return Conv(name, width, SQUARE, stride=2, padding="VALID")


def block_a(pooled: int) -> Branches:
    return (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))),
        (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, SQUARE), Conv("branch3x3dbl_3", 96, SQUARE)),
        ("average", Conv("branch_pool", pooled)),
    )


def block_b() -> Branches:
    return (
        (shrinking("branch3x3", 384),),
        (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, SQUARE), shrinking("branch3x3dbl_3", 96)),
        ("halve",),
    )


def block_c(inner: int) -> Branches:
    return (
        (Conv("branch1x1", 192),),
        (Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, ROW), Conv("branch7x7_3", 192, COLUMN)),
        (
            Conv("branch7x7dbl_1", inner),
            Conv("branch7x7dbl_2", inner, COLUMN),
            Conv("branch7x7dbl_3", inner, ROW),
            Conv("branch7x7dbl_4", inner, COLUMN),
            Conv("branch7x7dbl_5", 192, ROW),
        ),
        ("average", Conv("branch_pool", 192)),
    )


def block_d() -> Branches:
    return (
        (Conv("branch3x3_1", 192), shrinking("branch3x3_2", 320)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, ROW),
            Conv("branch7x7x3_3", 192, COLUMN),
            shrinking("branch7x7x3_4", 192),
        ),
        ("halve",),
    )


def block_e(pool: str) -> Branches:
    split = lambda row, column: (Conv(row, 384, (1, 3)), Conv(column, 384, (3, 1)))
    return (
        (Conv("branch1x1", 320),),
        (Conv("branch3x3_1", 384), split("branch3x3_2a", "branch3x3_2b")),
        (
            Conv("branch3x3dbl_1", 448),
            Conv("branch3x3dbl_2", 384, SQUARE),
            split("branch3x3dbl_3a", "branch3x3dbl_3b"),
        ),
        (pool, Conv("branch_pool", 192)),
    )


STEM: tuple[Step, ...] = (
    shrinking("Conv2d_1a_3x3", 32),
    Conv("Conv2d_2a_3x3", 32, SQUARE, padding="VALID"),
    Conv("Conv2d_2b_3x3", 64, SQUARE),
    "halve",
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, SQUARE, padding="VALID"),
    "halve",
)
BLOCKS: dict[str, Branches] = {
    "Mixed_5b": block_a(32),
    "Mixed_5c": block_a(64),
    "Mixed_5d": block_a(64),
    "Mixed_6a": block_b(),
    "Mixed_6b": block_c(128),
    "Mixed_6c": block_c(160),
    "Mixed_6d": block_c(160),
    "Mixed_6e": block_c(192),
    "Mixed_7a": block_d(),
    "Mixed_7b": block_e("average"),
    "Mixed_7c": block_e("maximum"),
}


def unit_names() -> Iterator[str]:
    """Published name of every convolution with its normalisation, as "Mixed_5b.branch1x1"."""
    yield from _names(STEM)
    for block, branches in BLOCKS.items():
        yield from (f"{block}.{name}" for steps in branches for name in _names(steps))


def _names(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Conv):
            yield step.name
        elif isinstance(step, tuple):
            yield from _names(step)


@dataclass(frozen=True, kw_only=True)
class InceptionSettings:
    """Sizes. Other values than the defaults are for tests; published numbers need the defaults."""

    side: int = 299
    """Sides of the network's picture, pixels; at least 75."""
    divisor: int = 1
    """All published numbers of channels are divided by it."""

    @property
    def features(self) -> int:
        """Number of features of a picture."""
        ends = (end for steps in BLOCKS["Mixed_7c"] for end in (steps[-1] if isinstance(steps[-1], tuple) else steps[-1:]))
        return sum(end.width // self.divisor for end in ends)


class Block(nn.Module):
    """Branches that read the same input, and whose outputs are concatenated."""

    branches: Branches
    divisor: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q d"]:
        return jnp.concatenate([_through(steps, x, self.divisor) for steps in self.branches], axis=-1)


class Inception(nn.Module):
    """Pictures of the network's size in [-1, 1] → features (equation 2)."""

    settings: InceptionSettings

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n features"]:
        x = _through(STEM, x, self.settings.divisor)
        for name, branches in BLOCKS.items():
            x = Block(branches, self.settings.divisor, name=name)(x)
        return jnp.mean(x, axis=(1, 2))


def _through(steps: tuple[Step, ...], x: Float[Array, "n h w c"], divisor: int) -> Float[Array, "n p q d"]:
    """The output of steps, which become parts of the module that calls this."""
    for step in steps:
        if isinstance(step, str):
            x = POOLS[step](x)
        else:
            convolutions = step if isinstance(step, tuple) else (step,)
            x = jnp.concatenate([conv.unit(divisor)(x) for conv in convolutions], axis=-1)
    return x


@dataclass(frozen=True)
class InceptionModel:
    """The features as pure functions of parameters and pictures."""

    settings: InceptionSettings

    @classmethod
    def from_network(cls, network: ConfigDict) -> InceptionModel:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(InceptionSettings(**network))

    def init(self, key: jax.Array) -> Any:
        """Random weights, for shapes and tests."""
        side = self.settings.side
        return Inception(self.settings).init(key, jnp.zeros((1, side, side, 3)))["params"]

    def features(self, params: Any, pictures: UInt8[Array, "n height width 3"]) -> Float[Array, "n features"]:
        """Features of RGB pictures of any size (equations 1 and 2)."""
        x = resized(pictures.astype(jnp.float32) / 255.0, self.settings.side, self.settings.side)
        return applied(Inception(self.settings), params, 2.0 * x - 1.0)
