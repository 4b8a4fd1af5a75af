"""Perceptual distance between two pictures, by the features of a network trained for image recognition (VGG16 or AlexNet).

    (1) f_l(x): five rectified convolutions, of (x − mean) / std                                Simonyan & Zisserman 2015
        VGG16: the last one of each scale; AlexNet: all of them                                 Krizhevsky 2014
    (2) d(x, y) = Σ_l mean |f_l(x) − f_l(y)| / 5                                                Johnson et al. 2016
    (3) d(x, y) = Σ_l mean_p Σ_c w_lc (u_l(x) − u_l(y))²,   u = f / ‖f‖ over channels           LPIPS, Zhang et al. 2018
        w: learned from human judgements

mean and std are those of each colour in ImageNet's pictures. (2) is used without learned w. The published code of LPIPS writes
(x − mean) / std for pictures in [-1, 1], with mean (−.030, −.088, −.188) and std (.458, .448, .450): the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.variables import applied

Images = Float[Array, "n height width 3"]
Features = tuple[Float[Array, "n h w c"], ...]
KINDS = ("vgg16", "lpips")
"""Kinds of the distance: equation 2 and equation 3."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of each colour in ImageNet's pictures, for values in [0, 1]."""
DEPTHS = (2, 2, 3, 3, 3)
"""Number of VGG16's convolutions at each scale."""
ALEXNET = ((0, 11, 4, 2), (3, 5, 1, 2), (6, 3, 1, 1), (8, 3, 1, 1), (10, 3, 1, 1))
"""AlexNet's convolutions: (index in the released network, side of the kernel, stride, padding)."""
ALEXNET_WIDTHS = (64, 192, 384, 256, 256)
"""Their channels in the released network."""
POOLED = (3, 6)
"""Indices of those that read a pooled picture."""
SMALLEST = 32
"""A side of pictures that is large enough for both networks, pixels."""


@dataclass(frozen=True, kw_only=True)
class PerceptualSettings:
    """Kind of the distance."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels of each f_l."""
    lpips: bool = False
    """Whether to use equation 3, whose w are part of the weights; else equation 2."""
    trunk: Literal["vgg", "alexnet"] = "vgg"
    """The network that gives the features."""


def standardised(images: Images) -> Images:
    """(x − mean) / std of pictures in [-1, 1]."""
    return ((images + 1.0) / 2.0 - jnp.asarray(MEAN)) / jnp.asarray(STD)


class Vgg16(nn.Module):
    """Features f_l (equation 1). Names of convolutions are their indices in the released network: 0, 2, 5, 7, 10 …"""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, images: Images) -> Features:
        """Features of pictures in [-1, 1]. Their sides must be multiples of 16."""
        x, place, features = standardised(images), 0, []
        for width, depth in zip(self.widths, DEPTHS, strict=True):
            if features:
                x, place = nn.max_pool(x, (2, 2), (2, 2)), place + 1
            for _ in range(depth):
                x, place = jax.nn.relu(nn.Conv(width, (3, 3), name=f"conv{place}")(x)), place + 2
            features.append(x)
        return tuple(features)


class AlexNet(nn.Module):
    """Features f_l (equation 1). Names of convolutions are their indices in the released network: 0, 3, 6, 8, 10."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, images: Images) -> Features:
        """Features of pictures in [-1, 1], whose sides are at least 31 pixels."""
        x, features = standardised(images), []
        for width, (place, side, stride, padding) in zip(self.widths, ALEXNET, strict=True):
            if place in POOLED:
                x = nn.max_pool(x, (3, 3), (2, 2))
            x = jax.nn.relu(nn.Conv(width, (side, side), stride, padding, name=f"conv{place}")(x))
            features.append(x)
        return tuple(features)


TRUNKS = {"vgg": Vgg16, "alexnet": AlexNet}


@dataclass(frozen=True)
class PerceptualModel:
    """The distance as losses use it: pure functions of {TRUNK: …, "lin": {"lin0": [c, 1], …}}. Only LPIPS has "lin"."""

    settings: PerceptualSettings

    @classmethod
    def from_network(cls, network: ConfigDict) -> PerceptualModel:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(PerceptualSettings(**{**network.to_dict(), "widths": tuple(network.widths)}))

    def init(self, key: jax.Array) -> Any:
        """Random weights, for shapes and tests. Their distance means little."""
        params = {self.settings.trunk: self._trunk().init(key, jnp.zeros((1, SMALLEST, SMALLEST, 3)))["params"]}
        if self.settings.lpips:
            params["lin"] = {f"lin{i}": jnp.full((width, 1), 1.0 / width) for i, width in enumerate(self.settings.widths)}
        return params

    def distance(self, params: Any, x: Images, y: Images) -> Float[Array, "n"]:
        """Distance of each pair of pictures in [-1, 1] (equation 2 or 3)."""
        features = applied(self._trunk(), params[self.settings.trunk], jnp.concatenate([x, y]))
        pairs = [jnp.split(f, 2) for f in features]
        if self.settings.lpips:
            return learned_distance(pairs, [params["lin"][f"lin{i}"] for i in range(len(pairs))])
        return reduce(add, (jnp.mean(jnp.abs(a - b), axis=(1, 2, 3)) for a, b in pairs)) / len(pairs)

    def _trunk(self) -> Vgg16 | AlexNet:
        return TRUNKS[self.settings.trunk](self.settings.widths)


def learned_distance(pairs: Sequence[Sequence[jax.Array]], weights: Sequence[Float[ArrayLike, "_ 1"]]) -> Float[Array, "n"]:
    """LPIPS distance (equation 3)."""
    scales = ((_unit(a) - _unit(b)) ** 2 @ w for (a, b), w in zip(pairs, weights, strict=True))
    return reduce(add, (jnp.mean(d, axis=(1, 2, 3)) for d in scales))


def _unit(f: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """u of equation 3. The square root is bounded below, because its gradient at 0 is infinite."""
    square = jnp.sum(f**2, axis=-1, keepdims=True)
    return f / (jnp.sqrt(jnp.maximum(square, 1e-20)) + 1e-10)
