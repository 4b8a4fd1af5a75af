"""Perceptual distance between two pictures, by the features of a network trained for image recognition (VGG16).

    (1) f_l(x): the last rectified convolution of each of five scales, of (x − mean) / std      Simonyan & Zisserman 2015
    (2) d(x, y) = Σ_l mean |f_l(x) − f_l(y)| / 5                                                Johnson et al. 2016
    (3) d(x, y) = Σ_l mean_p Σ_c w_lc (u_l(x) − u_l(y))²,   u = f / ‖f‖ over channels           LPIPS, Zhang et al. 2018
        w: learned from human judgements

mean and std are those of each colour in ImageNet's pictures. (2) is used without learned w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

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
"""Number of convolutions at each scale."""


@dataclass(frozen=True, kw_only=True)
class PerceptualSettings:
    """Kind of the distance."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels at each scale."""
    lpips: bool = False
    """Whether to use equation 3, whose w are part of the weights; else equation 2."""


class Vgg16(nn.Module):
    """Features f_l (equation 1). Names of convolutions are their indices in the released network: 0, 2, 5, 7, 10 …"""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, images: Images) -> Features:
        """Features of pictures in [-1, 1]. Their sides must be multiples of 16."""
        x, place, features = ((images + 1.0) / 2.0 - jnp.asarray(MEAN)) / jnp.asarray(STD), 0, []
        for width, depth in zip(self.widths, DEPTHS, strict=True):
            if features:
                x, place = nn.max_pool(x, (2, 2), (2, 2)), place + 1
            for _ in range(depth):
                x, place = jax.nn.relu(nn.Conv(width, (3, 3), name=f"conv{place}")(x)), place + 2
            features.append(x)
        return tuple(features)


@dataclass(frozen=True)
class PerceptualModel:
    """The distance as losses use it: pure functions of {"vgg": …, "lin": {"lin0": [c, 1], …}}. Only LPIPS has "lin"."""

    settings: PerceptualSettings

    @classmethod
    def from_network(cls, network: ConfigDict) -> PerceptualModel:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(PerceptualSettings(**{**network.to_dict(), "widths": tuple(network.widths)}))

    def init(self, key: jax.Array) -> Any:
        """Random weights, for shapes and tests. Their distance means little."""
        params = {"vgg": Vgg16(self.settings.widths).init(key, jnp.zeros((1, 16, 16, 3)))["params"]}
        if self.settings.lpips:
            params["lin"] = {f"lin{i}": jnp.full((width, 1), 1.0 / width) for i, width in enumerate(self.settings.widths)}
        return params

    def distance(self, params: Any, x: Images, y: Images) -> Float[Array, "n"]:
        """Distance of each pair of pictures in [-1, 1] (equation 2 or 3)."""
        features = applied(Vgg16(self.settings.widths), params["vgg"], jnp.concatenate([x, y]))
        pairs = [jnp.split(f, 2) for f in features]
        if self.settings.lpips:
            return learned_distance(pairs, [params["lin"][f"lin{i}"] for i in range(len(pairs))])
        return reduce(add, (jnp.mean(jnp.abs(a - b), axis=(1, 2, 3)) for a, b in pairs)) / len(pairs)


def learned_distance(pairs: Sequence[Sequence[jax.Array]], weights: Sequence[Float[ArrayLike, "_ 1"]]) -> Float[Array, "n"]:
    """LPIPS distance (equation 3)."""
    scales = ((_unit(a) - _unit(b)) ** 2 @ w for (a, b), w in zip(pairs, weights, strict=True))
    return reduce(add, (jnp.mean(d, axis=(1, 2, 3)) for d in scales))


def _unit(f: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """u of equation 3. The square root is bounded below, because its gradient at 0 is infinite."""
    square = jnp.sum(f**2, axis=-1, keepdims=True)
    return f / (jnp.sqrt(jnp.maximum(square, 1e-20)) + 1e-10)
