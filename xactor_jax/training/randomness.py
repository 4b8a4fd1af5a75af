"""Randomness of training: key = fold_in(fold_in(key(seed), crc32(stream name)), step).

A key depends only on the seed, its use and the step. So checkpoints need not contain random state, and a resumed run draws the
same numbers as an uninterrupted one.
"""

from __future__ import annotations

import zlib

import jax


def stream_key(seed: int, stream: str, step: jax.typing.ArrayLike = 0) -> jax.Array:
    """Random key of one use (`init`, `train`, `eval`, `preview`) at one step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode())), step)
