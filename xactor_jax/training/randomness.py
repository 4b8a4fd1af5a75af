"""Randomness of training: key = fold_in(fold_in(key(seed), crc32(stream name)), step).

A key depends on the seed, the use and the step alone, so nothing random is in a checkpoint and a resumed run draws what a
run that never stopped would have drawn.
"""

from __future__ import annotations

import zlib

import jax


def stream_key(seed: int, stream: str, step: jax.typing.ArrayLike = 0) -> jax.Array:
    """Key of one use (`init`, `train`, `eval`, `preview`) at one step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode())), step)
