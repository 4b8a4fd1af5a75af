"""Many streams in one program against the same function called for each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.live.slots import Slots, in_groups


def halved(item: dict) -> dict:
    return {"x": item["x"] / 2 + item["n"], "n": item["n"] + 1}


@pytest.mark.parametrize("together", [1, 2])
def test_taken_slots_have_their_own_result_and_free_groups_none(together):
    slots = Slots(count=3, together=together)
    items = [{"x": np.full((1, 2), i, np.float32), "n": np.int32(10 * i)} for i in range(2)]
    taken, inputs = slots.filled(items[:1] if together == 2 else items)
    done = jax.jit(in_groups, static_argnums=(0, 1))(halved, together, taken, inputs)
    assert len(done) == slots.size == (4 if together == 2 else 3)
    np.testing.assert_array_equal(done[0]["x"], [[0.0, 0.0]])
    if together == 1:
        np.testing.assert_array_equal(done[1]["x"], [[10.5, 10.5]])
        assert done[1]["n"] == 11
    assert not np.any(done[-1]["x"]) and done[-1]["n"] == 0


def test_empty_arrays_pass():
    """Portraits of networks without an embedding have arrays without numbers."""
    done = in_groups(lambda x: x, 1, jnp.array([True, False]), (jnp.zeros((1, 0)), jnp.zeros((1, 0))))
    assert done[0].shape == (1, 0)
