"""Many streams in one program against the same function called for each."""

from __future__ import annotations

import concurrent.futures
import functools
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.live.slots import _each, in_groups


def halved(item: dict) -> dict:
    return {"x": item["x"] / 2 + item["n"], "n": item["n"] + 1}


@pytest.mark.parametrize(("together", "sizes"), [(1, [1, 1, 1]), (2, [2, 2])])
def test_every_stream_has_its_own_result_and_free_slots_none(together, sizes):
    calls = []

    def program(group):
        calls.append(len(group))
        return _each(halved, group)

    items = [{"x": np.full((1, 2), i, np.float32), "n": np.int32(10 * i)} for i in range(3)]
    done = in_groups(program, together, items)
    assert calls == sizes and [int(result["n"]) for result in done] == [1, 11, 21]
    np.testing.assert_array_equal(np.stack([result["x"] for result in done])[:, 0], [[0, 0], [10.5, 10.5], [21, 21]])


def test_groups_are_computed_side_by_side():
    """Each group waits for the other one, so groups that are computed one after another would never end."""
    both = threading.Barrier(2, timeout=30)

    def program(group):
        both.wait()
        return _each(halved, group)

    items = [{"x": jnp.zeros(1), "n": jnp.int32(i)} for i in range(2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert [int(result["n"]) for result in in_groups(program, 1, items, pool.map)] == [1, 2]


def test_empty_arrays_pass():
    """Portraits of networks without an embedding have arrays without numbers."""
    program = functools.partial(_each, lambda item: item)
    assert [result.shape for result in in_groups(program, 2, [jnp.zeros((1, 0))] * 3)] == [(1, 0)] * 3
