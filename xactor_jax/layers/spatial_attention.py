"""Attention over the pixels and the frames of feature maps, in one shell (Guo et al. 2023, AnimateDiff; X-NeMo 2025).

A module is: group norm → linear → n × (layer norm → attention → + ) → layer norm → GEGLU → + → linear from zero → + input.
What the attention sees makes it one of three:
    over="space"              each frame's pixels see each other, and the bank of reference features if one is given;
    over="space", context     each frame's pixels see that frame's context tokens (motion), and nothing else;
    over="time"               each pixel sees itself in the other frames of the window.
With a bank, keys and values are those of concat([x, bank]) (Hu et al. 2023, Animate Anyone):
    (1) y = softmax(Q(x) [K(x), K(bank)]ᵀ / √d) [V(x), V(bank)]
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.convolution import Dtype, group_norm

Video = Float[Array, "b t h w c"]
HIDDEN = -1e30
"""Logit of what must not be seen."""


def sinusoidal_table(length: int, dim: int) -> Float[np.ndarray, "length dim"]:
    """Fixed positions: sines at even and cosines at odd columns, wavelengths from 2π to 10,000 · 2π (Vaswani et al. 2017)."""
    angles = np.arange(length)[:, None] / 10_000.0 ** (np.arange(0, dim, 2)[None] / dim)
    table = np.zeros((length, dim), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : dim // 2]
    return table


class BankAttention(nn.Module):
    """Multi-head attention of x to itself or a context, and to a bank shared by all groups of one example (equation 1)."""

    heads: int
    bias: bool = False
    """Of queries, keys and values."""
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b g q c"],
        context: Float[Array, "b g k d"] | None = None,
        bank: Float[Array, "b m c"] | None = None,
        bank_on: Bool[Array, "b"] | None = None,
        alone: Bool[Array, "b"] | None = None,
    ) -> Float[Array, "b g q c"]:
        """`bank_on` false hides the bank from that example; `alone` hides the tokens of x from each other."""
        source = x if context is None else context
        linear = lambda name: nn.Dense(x.shape[-1], use_bias=self.bias, dtype=self.dtype, name=name)
        to_key, to_value = linear("key"), linear("value")
        query = self._split(linear("query")(x))
        key, value = self._split(to_key(source)), self._split(to_value(source))
        logits = _logits("bgqhd,bgkhd->bghqk", query, key)
        if alone is not None:
            others = ~jnp.eye(logits.shape[-1], dtype=bool)
            logits = jnp.where(alone[:, None, None, None, None] & others, HIDDEN, logits)
        if bank is None:
            y = _mix("bghqk,bgkhd->bgqhd", jax.nn.softmax(logits), value)
        else:
            seen = _logits("bgqhd,bmhd->bghqm", query, self._split(to_key(bank)))
            if bank_on is not None:
                seen = jnp.where(bank_on[:, None, None, None, None], seen, HIDDEN)
            weights = jax.nn.softmax(jnp.concatenate([logits, seen], axis=-1))
            y = _mix("bghqk,bgkhd->bgqhd", weights[..., : key.shape[2]], value)
            y += _mix("bghqm,bmhd->bgqhd", weights[..., key.shape[2] :], self._split(to_value(bank)))
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(y.reshape(x.shape))

    def _split(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], self.heads, x.shape[-1] // self.heads)


def _logits(pattern: str, query: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.einsum(pattern, query, key, preferred_element_type=jnp.float32) / np.sqrt(query.shape[-1])


def _mix(pattern: str, weights: jax.Array, value: jax.Array) -> jax.Array:
    return jnp.einsum(pattern, weights.astype(value.dtype), value)


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
    """The shell around attention described at the head of this file."""

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
        alone: Bool[Array, "b"] | None = None,
    ) -> tuple[Video, Float[Array, "b n c"]]:
        """Returns the new feature map, and the first attention's normalised input (pixels of all frames in one row)."""
        h = nn.Dense(x.shape[-1], dtype=self.dtype, name="proj_in")(group_norm(self.groups, 1e-6, self.dtype, "norm")(x))
        h = self._to_tokens(h)
        feature = None
        for i in range(self.attentions):
            normed = nn.LayerNorm(dtype=self.dtype, name=f"norm{i}")(h)
            feature = normed if feature is None else feature
            if self.over == "time":
                normed = normed + jnp.asarray(sinusoidal_table(*normed.shape[-2:]), normed.dtype)
            h = h + BankAttention(self.heads, dtype=self.dtype, name=f"attention{i}")(normed, context, bank, bank_on, alone)
        if self.feed_forward:
            normed = nn.LayerNorm(dtype=self.dtype, name="norm_ff")(h)
            h = h + GatedFeedForward(self.feed_forward, self.dtype, name="feed_forward")(normed)
        out = nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros, dtype=self.dtype, name="proj_out")
        return x + self._from_tokens(out(h), x), feature.reshape(x.shape[0], -1, x.shape[-1])

    def _to_tokens(self, x: jax.Array) -> jax.Array:
        b, t, h, w, c = x.shape
        if self.over == "time":
            return jnp.swapaxes(x.reshape(b, t, h * w, c), 1, 2)
        return x.reshape(b, t, h * w, c)

    def _from_tokens(self, tokens: jax.Array, like: jax.Array) -> jax.Array:
        return (jnp.swapaxes(tokens, 1, 2) if self.over == "time" else tokens).reshape(like.shape)
