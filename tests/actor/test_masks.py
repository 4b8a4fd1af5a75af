"""Masks by brute force."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.actor.masks import block_causal, token_chunks, without_padding


@pytest.mark.parametrize(("frames", "chunk", "context"), [(11, 3, 6), (8, 4, 0), (5, 1, 2), (10, 5, 50)])
def test_every_pair_is_as_the_rule_says(frames: int, chunk: int, context: int) -> None:
    chunks = token_chunks(frames, chunk)
    allowed = np.asarray(block_causal(chunks, chunks, context // chunk))
    assert allowed[0].tolist() == [True] + [False] * frames
    assert allowed[:, 0].all()
    for i in range(frames):
        for j in range(frames):
            start = i // chunk * chunk
            assert allowed[i + 1, j + 1] == (start - context <= j < start + chunk)


def test_padding_is_seen_by_nobody_but_itself() -> None:
    chunks = token_chunks(6, 3)
    allowed = block_causal(chunks, chunks, 1)
    valid = jnp.array([[True] * 7, [True] * 5 + [False] * 2])
    mask = np.asarray(without_padding(allowed, valid))
    np.testing.assert_array_equal(mask[0], allowed)
    np.testing.assert_array_equal(mask[1, :5, :5], allowed[:5, :5])
    assert not mask[1, :5, 5:].any() and mask[1, 5, 5] and not mask[1, 5, 6]
    assert mask.any(axis=-1).all()
