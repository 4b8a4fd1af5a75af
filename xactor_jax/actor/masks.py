"""Attention masks of the actor: which token attends to which.

(1)  frame i attends to frame j  iff  c(i) - W <= c(j) < c(i),   or c(j) = c(i) and j <= i + l        c(i) = floor(i / C)
(2)  every frame attends to the reference token, which attends only to itself
(3)  frame i attends to the first chunk (frames 0 … C - 1) without position  iff  c(i) > W
(4)  a frame that is padding, or lies before the beginning (j < 0), is attended to only by itself
(5)  with a bidirectional window, frame i also attends to frame j  if  both are in chunks in flight

C is the chunk length in frames and W the context in chunks. Without l a frame attends to its whole chunk: full attention inside
a chunk, causal across chunks (X-Actor, 2508.02944, project page). With a look-ahead l it attends to at most l later frames of
its chunk (Avatar Forcing, 2601.00664). (2) and (3) are attention sinks (Xiao et al. 2023): once the first chunk has left the
context, it stays visible, without a position. (5): FloodDiffusion (2512.03520). A chunk's noise is removed over several network
calls, and in each of them it can use what later chunks, further from clean, already show.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def block_causal(
    frames: Int[Array, "q"], others: Int[Array, "k"], *, chunk: int, context: int, look_ahead: int = -1
) -> Bool[Array, "q k"]:
    """Whether `frames` attend to `others`, both numbered from the beginning (equation 1 and the second half of equation 4).

    `chunk`, `context` and `look_ahead` are in frames; a `look_ahead` of -1 has no limit. A frame always attends to itself.
    """
    i, j = frames[:, None], others[None, :]
    c_i, c_j = i // chunk, j // chunk
    inside = (c_j == c_i) & ((look_ahead < 0) | (j <= i + look_ahead))
    before = (c_j < c_i) & (c_j >= c_i - context // chunk)
    return ((inside | before) & (j >= 0)) | (i == j)


def both_ways(frames: Bool[Array, "*batch q"], others: Bool[Array, "*batch k"]) -> Bool[Array, "*batch q k"]:
    """Whether both of two frames are in flight (equation 5), from whether each of them is."""
    return frames[..., :, None] & others[..., None, :]


def left_behind(frames: Int[Array, "q"], *, chunk: int, context: int) -> Bool[Array, "q"]:
    """Whether the first chunk is no longer in the context of `frames` (equation 3)."""
    return frames // chunk > context // chunk


def without_padding(allowed: Bool[Array, "#batch n n"], valid: Bool[Array, "batch n"]) -> Bool[Array, "batch n n"]:
    """Removes padding from the mask of each clip, or from one mask of all clips (first half of equation 4).

    A padding frame still attends to itself, because a softmax over no tokens is not defined.
    """
    return (allowed & valid[:, None, :]) | jnp.eye(valid.shape[1], dtype=bool)
