"""SyncNet v2: embeds 0.2 seconds of sound and of lips; what belongs together is near (Chung & Zisserman 2016).

Five frames x at 25 a second, and 20 columns m of MFCC at 100 a second, become vectors of the same length:

    (1) v = W₂ r(W₁ V(x)),   a = W₂' r(W₁' A(m)),    r = rectified batch normalisation
    (2) V, A: six times h ← pool(r(C(h))), with the convolutions C and the maxima `pool` of `LIPS` and `SOUND`

Layers, strides and paddings are those of `SyncNetModel.py` in github.com/joonson/syncnet_python. The sizes of the inputs are
fixed (224 pixels a side; 13 × 20), because the last convolution covers all that is left. It gives one place with all channels,
so PyTorch's order of places and channels does not matter to W₁.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from xactor_jax.layers.batch_norm import FrozenBatchNorm
from xactor_jax.variables import applied

FRAMES = 5
"""Frames in a window."""
SIDE = 224
"""Side of the pictures in pixels."""
COEFFICIENTS = 13
COLUMNS = 20
"""Size of a window of MFCC."""


class Layer(NamedTuple):
    """A convolution and the maximum after it. `padding` and `pool_padding` are for rows and columns, not for frames."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    padding: int = 0
    pool: tuple[int, ...] | None = None
    pool_strides: tuple[int, ...] | None = None
    pool_padding: int = 0


LIPS = (
    Layer((5, 7, 7), (1, 2, 2), pool=(1, 3, 3), pool_strides=(1, 2, 2)),
    Layer((1, 5, 5), (1, 2, 2), padding=1, pool=(1, 3, 3), pool_strides=(1, 2, 2), pool_padding=1),
    Layer((1, 3, 3), padding=1),
    Layer((1, 3, 3), padding=1),
    Layer((1, 3, 3), padding=1, pool=(1, 3, 3), pool_strides=(1, 2, 2)),
    Layer((1, 6, 6)),
)
"""Layers over frames, rows and columns."""
SOUND = (
    Layer((3, 3), padding=1),
    Layer((3, 3), padding=1, pool=(3, 3), pool_strides=(1, 2)),
    Layer((3, 3), padding=1),
    Layer((3, 3), padding=1),
    Layer((3, 3), padding=1, pool=(3, 3), pool_strides=(2, 2)),
    Layer((5, 4)),
)
"""Layers over coefficients and columns of the MFCC."""

_Conv = functools.partial(nn.Conv, precision=jax.lax.Precision.HIGHEST)
_Dense = functools.partial(nn.Dense, precision=jax.lax.Precision.HIGHEST)
"""In full float32 on every device: a published number must not depend on the device."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyncNetSettings:
    """Numbers of channels. The defaults are those of the released network."""

    lips: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    sound: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    hidden: int = 512
    """Length of W₁'s output."""
    embedding: int = 1024
    """Length of v and a."""

    @classmethod
    def from_network(cls, network: ConfigDict) -> SyncNetSettings:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(**{**network.to_dict(), "lips": tuple(network.lips), "sound": tuple(network.sound)})


class Stack(nn.Module):
    """V or A of equation 2, and the two maps of equation 1."""

    layers: Sequence[Layer]
    widths: tuple[int, ...]
    hidden: int
    embedding: int

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b d"]:
        for i, (layer, width) in enumerate(zip(self.layers, self.widths, strict=True)):
            around = _padding(layer.padding, len(layer.kernel))
            x = _Conv(width, layer.kernel, layer.strides, around, name=f"conv{i}")(x)
            x = nn.relu(FrozenBatchNorm(name=f"norm{i}")(x))
            if layer.pool:
                x = nn.max_pool(x, layer.pool, layer.pool_strides, _padding(layer.pool_padding, len(layer.pool)))
        x = _Dense(self.hidden, name="hidden")(x.reshape(len(x), -1))
        return _Dense(self.embedding, name="out")(nn.relu(FrozenBatchNorm(name="norm")(x)))


def _padding(pixels: int, axes: int) -> list[tuple[int, int]]:
    """Padding of the last two axes."""
    return [(0, 0)] * (axes - 2) + [(pixels, pixels)] * 2


class SyncNet(nn.Module):
    """Both networks. Parameters: {"lips": …, "sound": …}."""

    settings: SyncNetSettings = SyncNetSettings()

    def setup(self) -> None:
        s = self.settings
        self.lips = Stack(LIPS, s.lips, s.hidden, s.embedding)
        self.sound = Stack(SOUND, s.sound, s.hidden, s.embedding)

    def embed_lips(self, pictures: UInt8[Array, "b 5 224 224 3"]) -> Float[Array, "b d"]:
        """v of windows of pictures: blue, green, red (in this order), 0 to 255."""
        return self.lips(pictures.astype(jnp.float32))

    def embed_sound(self, columns: Float[Array, "b 13 20"]) -> Float[Array, "b d"]:
        """a of windows of MFCC (`mfcc.py`)."""
        return self.sound(columns[..., None])

    def __call__(
        self, pictures: UInt8[Array, "b 5 224 224 3"], columns: Float[Array, "b 13 20"]
    ) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        """v and a."""
        return self.embed_lips(pictures), self.embed_sound(columns)


def init(settings: SyncNetSettings, key: jax.Array) -> Any:
    """Random weights, for shapes and tests."""
    pictures, columns = jnp.zeros((1, FRAMES, SIDE, SIDE, 3), jnp.uint8), jnp.zeros((1, COEFFICIENTS, COLUMNS))
    return SyncNet(settings).init(key, pictures, columns)["params"]


@functools.partial(jax.jit, static_argnums=0)
def embed_lips(settings: SyncNetSettings, params: Any, pictures: UInt8[Array, "b 5 224 224 3"]) -> Float[Array, "b d"]:
    """See `SyncNet.embed_lips`."""
    return applied(SyncNet(settings), params, pictures, method="embed_lips")


@functools.partial(jax.jit, static_argnums=0)
def embed_sound(settings: SyncNetSettings, params: Any, columns: Float[Array, "b 13 20"]) -> Float[Array, "b d"]:
    """See `SyncNet.embed_sound`."""
    return applied(SyncNet(settings), params, columns, method="embed_sound")
