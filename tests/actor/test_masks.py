"""Masks by brute force."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.actor.masks import block_causal, left_behind, without_padding


@pytest.mark.parametrize("look_ahead", [-1, 0, 2])
@pytest.mark.parametrize(("frames", "chunk", "context"), [(11, 3, 6), (8, 4, 0), (5, 1, 2), (10, 5, 50)])
def test_every_pair_is_as_the_rule_says(frames: int, chunk: int, context: int, look_ahead: int) -> None:
    numbers = np.arange(-chunk, frames)
    rule = partial(block_causal, chunk=chunk, context=context, look_ahead=look_ahead)
    allowed = np.asarray(jax.jit(rule)(numbers, numbers))
    for i in range(frames):
        for j in range(-chunk, frames):
            start = i // chunk * chunk
            end = start + chunk if look_ahead < 0 else min(start + chunk, i + look_ahead + 1)
            assert allowed[i + chunk, j + chunk] == (max(start - context, 0) <= j < end), (i, j)
    assert allowed.any(axis=1).all()


def test_the_first_chunk_is_left_behind_when_no_frame_of_it_is_in_the_context() -> None:
    frames = np.arange(20)
    left = np.asarray(left_behind(jnp.asarray(frames), chunk=3, context=6))
    allowed = np.asarray(block_causal(jnp.asarray(frames), jnp.asarray(frames), chunk=3, context=6))
    np.testing.assert_array_equal(left, ~allowed[:, :3].any(axis=1))


def test_padding_is_seen_only_by_itself() -> None:
    frames = jnp.arange(6)
    allowed = block_causal(frames, frames, chunk=3, context=3)
    valid = jnp.array([[True] * 6, [True] * 4 + [False] * 2])
    mask = np.asarray(without_padding(allowed[None], valid))
    np.testing.assert_array_equal(mask[0], allowed)
    np.testing.assert_array_equal(mask[1, :4, :4], allowed[:4, :4])
    assert not mask[1, :4, 4:].any() and mask[1, 4, 4] and not mask[1, 4, 5]
    assert mask.any(axis=-1).all()
