"""Attention over time: among tokens under a mask, and from each token to a few aligned neighbours.

(1)  self:      o_i = sum_j softmax_j(<R q_i, R k_j> / sqrt(d) where mask_ij) v_j        Vaswani et al. 2017, rotary R
(2)  windowed:  o_i = sum_{|n| <= r} softmax_n(<q_i, k_{i+n} + e_n> / sqrt(d)) v_{i+n}    2 r + 1 frame-aligned neighbours

(2) is computed as 2 r + 1 shifted products, so that nothing outside the window exists for a token.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.rotary import rotate, without_position

Heads = Float[Array, "batch tokens heads features"]


def split_heads(x: Float[Array, "batch tokens width"], heads: int) -> Heads:
    """The features of a token as `heads` equal parts."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def masked_attention(query: Heads, key: Heads, value: Heads, mask: Bool[Array, "b tokens keys"]) -> Heads:
    """(1) after rotation; softmax in float32. `b` is 1 or the batch; every query must see at least one key."""
    return jax.nn.dot_product_attention(query, key, value, mask=mask[:, None])


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
    """(1) with the first `sinks` tokens without position. [batch, sinks + frames, width], mask [b, tokens, tokens].

    Half of each head's features carry the rotary position. Keys before rotation depend on nothing but the token itself, as a
    cache of keys whose positions move needs them.
    """

    heads: int
    sinks: int = 0
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch tokens width"], positions: Int[Array, "tokens"], mask: Bool[Array, "b tokens tokens"]
    ) -> Float[Array, "batch tokens width"]:
        width = x.shape[-1]
        query, key, value = (
            split_heads(nn.Dense(width, use_bias=False, dtype=self.dtype, name=name)(x), self.heads)
            for name in ("query", "key", "value")
        )
        out = masked_attention(self.place(query, positions, 0), self.place(key, positions, self.sinks), value, mask)
        return nn.Dense(width, dtype=self.dtype, name="out")(out.reshape(x.shape))

    def place(self, x: Heads, positions: Int[Array, "tokens"], sinks: int) -> Heads:
        """Queries or keys at their positions, the first `sinks` of them at none."""
        rotary_dim = x.shape[-1] // 4 * 2
        turned = rotate(x, positions, rotary_dim)
        return jnp.concatenate([without_position(x[:, :sinks], rotary_dim), turned[:, sinks:]], axis=1)


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
