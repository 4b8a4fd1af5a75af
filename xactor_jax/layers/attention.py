"""Attention over time: among tokens under a mask, and from each token to a few aligned neighbours.

(1)  self:      o_i = sum_j softmax_j(<R q_i, R k_j> / sqrt(d) where mask_ij) v_j        Vaswani et al. 2017, rotary R
(2)  windowed:  o_i = sum_{|n| <= r} softmax_n(<q_i, k_{i+n} + e_n> / sqrt(d)) v_{i+n}    2 r + 1 frame-aligned neighbours

The tokens j of (1) may be cached from earlier calls. Their keys are cached before rotation, where they do not depend on the
position, so that each call can count positions from 0. Tokens without position (sinks) have R = 0 on the rotated features.

(2) is computed as 2 r + 1 shifted products, so that it never computes anything outside the window.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.rotary import rotate, without_position

Heads = Float[Array, "batch tokens heads features"]


class KeyValue(NamedTuple):
    """Keys before rotation, and values."""

    key: Float[Array, "*layers batch tokens heads features"]
    value: Float[Array, "*layers batch tokens heads features"]


def joined(*parts: KeyValue) -> KeyValue:
    """Concatenates the tokens of all parts."""
    return KeyValue(*(jnp.concatenate(x, axis=-3) for x in zip(*parts, strict=True)))


def cut(kept: KeyValue, start: int, stop: int) -> KeyValue:
    """The tokens from `start` to `stop` (exclusive)."""
    return KeyValue(*(x[..., start:stop, :, :] for x in kept))


def split_heads(x: Float[Array, "batch tokens width"], heads: int) -> Heads:
    """Splits the features of each token into `heads` equal parts."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def rotary_dim(x: Heads) -> int:
    """Number of a head's features that carry the rotary position: half of them, rounded down to an even number."""
    return x.shape[-1] // 4 * 2


def rotated(x: Heads, start: int) -> Heads:
    """Rotates queries or keys to positions from `start` on."""
    return rotate(x, start + jnp.arange(x.shape[1]), rotary_dim(x))


def implementation(query: Heads) -> Literal["cudnn", "xla"]:
    """The fastest attention on the default device for these heads: cuDNN's on GPUs in half precision, else XLA's."""
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
    return "cudnn" if jax.default_backend() == "gpu" and half and fits else "xla"


def masked_attention(
    query: Heads,
    key: Float[Array, "batch keys heads features"],
    value: Float[Array, "batch keys heads features"],
    mask: Bool[Array, "b tokens keys"],
) -> Heads:
    """Attention after rotation, with softmax in float32 (equation 1). `b` is 1 or the batch.

    Every query must attend to at least one key.
    """
    return jax.nn.dot_product_attention(query, key, value, mask=mask[:, None], implementation=implementation(query))


def windowed_attention(
    query: Heads,
    key: Float[Array, "batch wide heads features"],
    value: Float[Array, "batch wide heads features"],
    offsets: Float[Array, "window heads features"],
) -> Heads:
    """Windowed attention, with softmax in float32 (equation 2).

    `key` and `value` have r frames more than `query` on either side; `offsets` is e.
    """
    tokens, window = query.shape[1], offsets.shape[0]
    scaled = (query * query.shape[-1] ** -0.5).astype(jnp.float32)
    logits = [jnp.sum(scaled * (key[:, n : n + tokens] + offsets[n]), axis=-1) for n in range(window)]
    weights = jax.nn.softmax(jnp.stack(logits), axis=0)
    return reduce(add, (weights[n][..., None].astype(value.dtype) * value[:, n : n + tokens] for n in range(window)))


class SelfAttention(nn.Module):
    """Self-attention (equation 1) of tokens [batch, tokens, width] to sinks, to earlier tokens, and to each other.

    The mask has the keys in this order. Half of each head's features carry the rotary position. Also returns keys and values of
    the tokens.
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
        """`first`: number of the tokens that also act as sinks, for the queries that the mask allows."""
        query, key, value = (
            split_heads(nn.Dense(x.shape[-1], use_bias=False, dtype=self.dtype, name=name)(x), self.heads)
            for name in ("query", "key", "value")
        )
        own = KeyValue(key, value)
        nothing = cut(own, 0, 0)
        unpositioned = joined(sinks or nothing, cut(own, 0, first))
        positioned = joined(past or nothing, own)
        start = positioned.key.shape[1] - x.shape[1]
        keys = jnp.concatenate(
            [without_position(unpositioned.key, rotary_dim(unpositioned.key)), rotated(positioned.key, 0)], axis=1
        )
        values = jnp.concatenate([unpositioned.value, positioned.value], axis=1)
        out = masked_attention(rotated(query, start), keys, values, mask)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(out.reshape(x.shape)), own


class WindowedCrossAttention(nn.Module):
    """Windowed attention (equation 2) from tokens [batch, frames, width] to features [batch, frames + 2 radius, width]."""

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
