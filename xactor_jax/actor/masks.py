"""Which token may see which in the actor.

(1)  frame i sees frame j  iff  c(i) - W <= c(j) <= c(i),   c(i) = floor(i / C)        full inside a chunk, causal across chunks
(2)  every token sees the sink tokens, which see themselves alone
(3)  no token but itself sees a token that is padding

C is the chunk length in frames and W the context in chunks. X-Actor (2508.02944), project page; (2) after attention sinks
(Xiao et al. 2023).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

SINK = -1
"""Chunk number of a sink token."""


def token_chunks(frames: int, chunk: int, sinks: int = 1) -> Int[Array, "tokens"]:
    """c(i) of sink tokens, then of frames."""
    return jnp.concatenate([jnp.full((sinks,), SINK), jnp.arange(frames) // chunk])


def block_causal(queries: Int[Array, "q"], keys: Int[Array, "k"], context_chunks: int) -> Bool[Array, "q k"]:
    """(1) and (2) for tokens of the given chunk numbers; `SINK` marks sinks."""
    q, k = queries[:, None], keys[None, :]
    return jnp.where(k == SINK, True, (k <= q) & (k >= q - context_chunks))


def without_padding(allowed: Bool[Array, "n n"], valid: Bool[Array, "batch n"]) -> Bool[Array, "batch n n"]:
    """(3); a token that is padding still sees itself, so that its softmax exists."""
    return (allowed[None] & valid[:, None, :]) | jnp.eye(allowed.shape[0], dtype=bool)[None]
