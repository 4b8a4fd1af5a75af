"""Which token may see which in the actor.

(1)  frame i sees frame j  iff  c(i) - W <= c(j) < c(i),   or c(j) = c(i) and j <= i + l        c(i) = floor(i / C)
(2)  every frame sees the reference token, which sees itself alone
(3)  frame i sees the first chunk (frames 0 … C - 1) without position  iff  c(i) > W
(4)  no frame but itself sees one that is padding, or one from before the beginning (j < 0)

C is the chunk length and W the context, in chunks. Without l a frame sees its whole chunk: full attention inside a chunk,
causal across chunks (X-Actor, 2508.02944, project page). With a look-ahead of l frames it sees no further than these inside its
chunk (Avatar Forcing, 2601.00664). (2) and (3) are attention sinks (Xiao et al. 2023): the first chunk stays when the context
has left it behind, at no distance.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def block_causal(
    frames: Int[Array, "q"], others: Int[Array, "k"], *, chunk: int, context: int, look_ahead: int = -1
) -> Bool[Array, "q k"]:
    """(1) and the second half of (4): whether `frames` see `others`, both numbered from the beginning; -1: no look-ahead limit.

    `chunk`, `context` and `look_ahead` are in frames; a frame always sees itself.
    """
    i, j = frames[:, None], others[None, :]
    c_i, c_j = i // chunk, j // chunk
    inside = (c_j == c_i) & ((look_ahead < 0) | (j <= i + look_ahead))
    before = (c_j < c_i) & (c_j >= c_i - context // chunk)
    return ((inside | before) & (j >= 0)) | (i == j)


def left_behind(frames: Int[Array, "q"], *, chunk: int, context: int) -> Bool[Array, "q"]:
    """(3): whether the context of `frames` has left the first chunk."""
    return frames // chunk > context // chunk


def without_padding(allowed: Bool[Array, "n n"], valid: Bool[Array, "batch n"]) -> Bool[Array, "batch n n"]:
    """The first half of (4); a frame that is padding still sees itself, so that its softmax exists."""
    return (allowed[None] & valid[:, None, :]) | jnp.eye(allowed.shape[0], dtype=bool)[None]
