"""Attention over time: among tokens under a mask, and from each token to a few aligned neighbours.

(1)  self:      o_i = sum_j softmax_j(<R q_i, R k_j> / sqrt(d) where mask_ij) v_j        Vaswani et al. 2017, rotary R
(2)  windowed:  o_i = sum_{|n| <= r} softmax_n(<q_i, k_{i+n} + e_n> / sqrt(d)) v_{i+n}    2 r + 1 frame-aligned neighbours

The tokens j of (1) may be kept from earlier calls: as keys from before their rotation, which depend on no position, so that
positions can be counted anew in every call. Tokens without position (sinks) have R = 0 on the turned features.

(2) is computed as 2 r + 1 shifted products, so that nothing outside the window exists for a token.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.rotary import rotate, without_position

Heads = Float[Array, "batch tokens heads features"]


class KeyValue(NamedTuple):
    """What tokens are seen by: keys before rotation, and values."""

    key: Float[Array, "*layers batch tokens heads features"]
    value: Float[Array, "*layers batch tokens heads features"]


def joined(*parts: KeyValue) -> KeyValue:
    """The tokens of all parts, one after the other."""
    return KeyValue(*(jnp.concatenate(x, axis=-3) for x in zip(*parts, strict=True)))


def cut(kept: KeyValue, start: int, stop: int) -> KeyValue:
    """The tokens from `start` to before `stop`."""
    return KeyValue(*(x[..., start:stop, :, :] for x in kept))


def split_heads(x: Float[Array, "batch tokens width"], heads: int) -> Heads:
    """The features of a token as `heads` equal parts."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def rotary_dim(x: Heads) -> int:
    """Features of a head that carry the rotary position: half of them, an even number."""
    return x.shape[-1] // 4 * 2


def turned(x: Heads, start: int) -> Heads:
    """Queries or keys at positions from `start`."""
    return rotate(x, start + jnp.arange(x.shape[1]), rotary_dim(x))


def implementation(query: Heads) -> str:
    """The fastest attention that the default device has for such heads: cuDNN's on GPUs in half precision, else XLA's."""
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
    return "cudnn" if jax.default_backend() == "gpu" and half and fits else "xla"


def masked_attention(
    query: Heads,
    key: Float[Array, "batch keys heads features"],
    value: Float[Array, "batch keys heads features"],
    mask: Bool[Array, "b tokens keys"],
) -> Heads:
    """(1) after rotation; softmax in float32. `b` is 1 or the batch; every query must see at least one key."""
    return jax.nn.dot_product_attention(query, key, value, mask=mask[:, None], implementation=implementation(query))


def windowed_attention(
    query: Heads,
    key: Float[Array, "batch wide heads features"],
    value: Float[Array, "batch wide heads features"],
    offsets: Float[Array, "window heads features"],
) -> Heads:
    """(2): `key` and `value` are as long as `query` plus r frames on either side; `offsets` is e. Softmax in float32."""
    tokens, window = query.shape[1], offsets.shape[0]
    scaled = (query * query.shape[-1] ** -0.5).astype(jnp.float32)
    logits = [jnp.sum(scaled * (key[:, n : n + tokens] + offsets[n]), axis=-1) for n in range(window)]
    weights = jax.nn.softmax(jnp.stack(logits), axis=0)
    return sum(weights[n][..., None].astype(value.dtype) * value[:, n : n + tokens] for n in range(window))


class SelfAttention(nn.Module):
    """(1) from tokens [batch, tokens, width] to sinks, to tokens before them, and to each other, in this order in the mask.

    Half of each head's features carry the rotary position. Returns what the tokens are seen by later, too.
    """

    heads: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch tokens width"],
        mask: Bool[Array, "b tokens keys"],
        sinks: KeyValue | None = None,
        past: KeyValue | None = None,
        first: int = 0,
    ) -> tuple[Float[Array, "batch tokens width"], KeyValue]:
        """`first`: how many of the tokens are also sinks to those that the mask allows."""
        query, key, value = (
            split_heads(nn.Dense(x.shape[-1], use_bias=False, dtype=self.dtype, name=name)(x), self.heads)
            for name in ("query", "key", "value")
        )
        own = KeyValue(key, value)
        nothing = cut(own, 0, 0)
        unplaced = joined(sinks or nothing, cut(own, 0, first))
        placed = joined(past or nothing, own)
        start = placed.key.shape[1] - x.shape[1]
        keys = jnp.concatenate([without_position(unplaced.key, rotary_dim(unplaced.key)), turned(placed.key, 0)], axis=1)
        values = jnp.concatenate([unplaced.value, placed.value], axis=1)
        out = masked_attention(turned(query, start), keys, values, mask)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(out.reshape(x.shape)), own


class WindowedCrossAttention(nn.Module):
    """(2) from tokens [batch, frames, width] to features [batch, frames + 2 radius, width]."""

    heads: int
    radius: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch frames width"], features: Float[Array, "batch wide width"]
    ) -> Float[Array, "batch frames width"]:
        width, window = x.shape[-1], 2 * self.radius + 1
        dense = lambda name, bias=False: nn.Dense(width, use_bias=bias, dtype=self.dtype, name=name)
        query = split_heads(dense("query")(x), self.heads)
        key, value = (split_heads(dense(name)(features), self.heads) for name in ("key", "value"))
        shape = (window, self.heads, width // self.heads)
        offsets = self.param("offsets", nn.initializers.normal(1.0), shape).astype(key.dtype)
        return dense("out", bias=True)(windowed_attention(query, key, value, offsets).reshape(x.shape))
