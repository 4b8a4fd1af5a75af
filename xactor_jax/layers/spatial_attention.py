"""Attention over the pixels and the frames of feature maps, in a common module (Guo et al. 2023, AnimateDiff; X-NeMo 2025).

A module is: group norm → linear → n × (layer norm → attention → + ) → layer norm → GEGLU → + → linear from zero → + input.
There are three kinds of it:
    over="space"              pixels of a frame attend to each other, and to the bank of reference features if one is given;
                              with an embedding, one more attention to its tokens follows (Stable Diffusion's to its text);
    over="space", context     pixels of a frame attend only to the context tokens (motion) of that frame;
    over="time"               each pixel attends to the same pixel in the other frames of the window.
With a bank, keys and values are those of concat([x, bank]) (Hu et al. 2023, Animate Anyone):
    (1) y = softmax(Q(x) [K(x), K(bank)]ᵀ / √d) [V(x), V(bank)]
If there would be many logits, (1) is computed for one block of queries after another, and again in the backward pass, so that
memory grows with the number of keys, not with its square. cuDNN does the same in one kernel, on devices where it is available.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xactor_jax.layers.attention import implementation
from xactor_jax.layers.convolution import Dtype, group_norm

Video = Float[Array, "b t h w c"]
Heads = Float[Array, "rows q h d"]
LAYER_NORM_EPSILON = 1e-5
HIDDEN = -1e30
"""Logit of masked keys."""
MANY_KEYS = 128
"""Number of keys from which on cuDNN is used."""
BLOCK_LOGITS = 2**23
"""Largest number of logits of one example and one frame that are computed at once."""


def sinusoidal_table(length: int, dim: int, halves: bool = False) -> Float[np.ndarray, "length dim"]:
    """Fixed positions: sines in even and cosines in odd columns, wavelengths from 2π to 10,000 · 2π (Vaswani et al. 2017).

    `halves`: all sines before all cosines.
    """
    angles = np.arange(length)[:, None] / 10_000.0 ** (np.arange(0, dim, 2)[None] / dim)
    table = np.zeros((length, dim), np.float32)
    sines, cosines = (slice(dim - dim // 2), slice(dim - dim // 2, None)) if halves else (slice(0, None, 2), slice(1, None, 2))
    table[:, sines] = np.sin(angles)
    table[:, cosines] = np.cos(angles)[:, : dim // 2]
    return table


class BankAttention(nn.Module):
    """Multi-head attention of x to itself or a context, and to a bank that all groups of an example share (equation 1)."""

    heads: int
    bias: bool = False
    """Whether queries, keys and values have a bias."""
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b g q c"],
        context: Float[Array, "b g k d"] | None = None,
        bank: Float[Array, "b m c"] | None = None,
        bank_on: Bool[Array, "b"] | None = None,
        isolated: Bool[Array, "b"] | None = None,
    ) -> Float[Array, "b g q c"]:
        """`bank_on` false hides the bank in an example; `isolated` stops its tokens from attending to each other."""
        source, groups = x if context is None else context, x.shape[1]
        linear = lambda name: nn.Dense(x.shape[-1], use_bias=self.bias, dtype=self.dtype, name=name)
        maps = linear("key"), linear("value")
        query = self._rows(linear("query")(x))
        key, value = (self._rows(_with_bank(to(source), None if bank is None else to(bank))) for to in maps)
        own, lengths, seen = source.shape[2], None, None
        if bank is not None and bank_on is not None:
            lengths = jnp.repeat(jnp.where(bank_on, key.shape[1], own), groups, axis=0).astype(jnp.int32)
        if isolated is not None:
            seen = jnp.repeat(~isolated[:, None, None] | jnp.eye(own, dtype=bool), groups, axis=0)
        y = attend(query, key, value, lengths, seen)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(y.reshape(x.shape))

    def _rows(self, x: Float[Array, "b g n c"]) -> Heads:
        """Makes groups into examples, and splits features into heads."""
        return x.reshape(-1, x.shape[2], self.heads, x.shape[-1] // self.heads)


def _with_bank(own: Float[Array, "b g n c"], bank: Float[Array, "b m c"] | None) -> Float[Array, "b g k c"]:
    """Each group's own tokens, followed by those of the bank."""
    if bank is None:
        return own
    return jnp.concatenate([own, jnp.broadcast_to(bank[:, None], (*own.shape[:2], *bank.shape[1:]))], axis=2)


def attend(
    query: Heads,
    key: Float[Array, "rows k h d"],
    value: Float[Array, "rows k h d"],
    lengths: Int[Array, "rows"] | None = None,
    seen: Bool[Array, "rows q k"] | None = None,
) -> Heads:
    """softmax(Q Kᵀ / √d) V of each head, over the first `lengths` keys of an example, or over the keys that are `seen`."""
    if seen is None and key.shape[1] >= MANY_KEYS and implementation(query) == "cudnn":
        return jax.nn.dot_product_attention(query, key, value, key_value_seq_lengths=lengths, implementation="cudnn")
    if lengths is not None:
        seen = jnp.broadcast_to(jnp.arange(key.shape[1]) < lengths[:, None], (len(lengths), key.shape[1]))[:, None]
    query, key, value = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    return jnp.swapaxes(_by_blocks(query, key, value, None if seen is None else seen[:, None]), 1, 2)


def _by_blocks(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array | None) -> jax.Array:
    """Attention in blocks of queries, on arrays [b, h, q or k, d]. With a mask for each query, there must be few queries."""
    block = block_length(query.shape[2], key.shape[1] * key.shape[2])
    if block == query.shape[2]:
        return _attend(query, key, value, seen)
    blocks = jnp.moveaxis(query.reshape(*query.shape[:2], -1, block, query.shape[3]), 2, 0)
    one = jax.checkpoint(lambda part: _attend(part, key, value, seen))
    return jnp.moveaxis(jax.lax.map(one, blocks), 0, 2).reshape(query.shape)


def block_length(queries: int, logits: int) -> int:
    """The largest divisor of `queries` whose blocks have at most `BLOCK_LOGITS`, for `logits` per query; at least 1."""
    return next(n for n in range(queries, 0, -1) if queries % n == 0 and (n * logits <= BLOCK_LOGITS or n == 1))


def _attend(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array | None) -> jax.Array:
    """Attention with exponentials in float32. It divides by the sum of weights last, when fewer numbers are left."""
    logits = jnp.einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=jnp.float32) / np.sqrt(query.shape[-1])
    if seen is not None:
        logits = jnp.where(seen, logits, HIDDEN)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    y = jnp.einsum("bhqk,bhkd->bhqd", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
    return (y / weights.sum(axis=-1, keepdims=True)).astype(value.dtype)


class GatedFeedForward(nn.Module):
    """GEGLU (Shazeer 2020): (x A) · gelu(x B), then linear back to x's width."""

    multiplier: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        inner = self.multiplier * x.shape[-1]
        value, gate = jnp.split(nn.Dense(2 * inner, dtype=self.dtype, name="in")(x), 2, axis=-1)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(value * jax.nn.gelu(gate, approximate=False))


class AttentionModule(nn.Module):
    """The attention module that the docstring of this file describes."""

    over: str
    heads: int
    groups: int = 32
    attentions: int = 1
    feed_forward: int = 4
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: Video,
        context: Float[Array, "b t k d"] | None = None,
        bank: Float[Array, "b m c"] | None = None,
        bank_on: Bool[Array, "b"] | None = None,
        isolated: Bool[Array, "b"] | None = None,
        embedding: Float[Array, "b n e"] | None = None,
    ) -> tuple[Video, Float[Array, "b p c"]]:
        """Returns the feature map, and the normalised input of the first attention (pixels of all frames along one axis)."""
        sees = [(context, bank, bank_on, isolated)] * self.attentions
        if embedding is not None:
            sees.append((jnp.broadcast_to(embedding[:, None], (*x.shape[:2], *embedding.shape[1:])), None, None, None))
        h = nn.Dense(x.shape[-1], dtype=self.dtype, name="proj_in")(group_norm(self.groups, 1e-6, self.dtype, "norm")(x))
        h = self._to_tokens(h)
        inputs = []
        for i, seen in enumerate(sees):
            normed = nn.LayerNorm(LAYER_NORM_EPSILON, self.dtype, name=f"norm{i}")(h)
            inputs.append(normed)
            if self.over == "time":
                normed = normed + jnp.asarray(sinusoidal_table(normed.shape[-2], normed.shape[-1]), normed.dtype)
            h = h + BankAttention(self.heads, dtype=self.dtype, name=f"attention{i}")(normed, *seen)
        if self.feed_forward:
            normed = nn.LayerNorm(LAYER_NORM_EPSILON, self.dtype, name="norm_ff")(h)
            h = h + GatedFeedForward(self.feed_forward, self.dtype, name="feed_forward")(normed)
        out = nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros, dtype=self.dtype, name="proj_out")
        return x + self._from_tokens(out(h), x), inputs[0].reshape(x.shape[0], -1, x.shape[-1])

    def _to_tokens(self, x: jax.Array) -> jax.Array:
        b, t, h, w, c = x.shape
        if self.over == "time":
            return jnp.swapaxes(x.reshape(b, t, h * w, c), 1, 2)
        return x.reshape(b, t, h * w, c)

    def _from_tokens(self, tokens: jax.Array, like: jax.Array) -> jax.Array:
        return (jnp.swapaxes(tokens, 1, 2) if self.over == "time" else tokens).reshape(like.shape)
