"""Networks applied to streams of inputs, in batches over all devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.scoring.batches import apply_in_batches, joined


@pytest.mark.parametrize("count", [1, 16, 21])
def test_rows_come_back_in_order_and_without_padding(count):
    rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    traced = []

    @jax.jit
    def apply(params, x):
        traced.append(x.shape)
        return {"sum": (params * x).sum(-1), "same": x}

    outputs = joined(apply_in_batches(apply, jnp.float32(2.0), iter(rows), size=2))
    np.testing.assert_array_equal(outputs["same"], rows)
    np.testing.assert_allclose(outputs["sum"], 2 * rows.sum(-1))
    assert traced == [(2 * jax.local_device_count(), 3)]
