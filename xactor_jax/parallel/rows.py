"""Sharding constraints on activations around linear maps: rows stay split, so kernels are gathered instead of activations.

Without them the compiler gathers the rows of activations on every device of `fsdp` if it estimates that a kernel's gradient is
cheaper to compute that way. Interceptors add the constraints, so networks need no such code. If features are split over
`tensor` there are no constraints: with them, on data × fsdp × tensor = 2 × 2 × 2, gradients of the actor were wrong by two per
cent (jaxlib 0.10.2, on the CPU).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xactor_jax.parallel.mesh import FRAME_AXIS, batch_shards, row_axes


def keep_rows(x: jax.Array, mesh: Mesh, frame_entries: Collection[str] = ()) -> jax.Array:
    """Constrains the rows (first axis) to be split like those of a batch; does nothing if they do not divide."""
    if x.ndim < 2 or x.shape[0] % batch_shards(mesh, frame_entries):
        return x
    spec = PartitionSpec(row_axes(frame_entries), *[PartitionSpec.UNCONSTRAINED] * (x.ndim - 1))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


@contextlib.contextmanager
def rows_kept(mesh: Mesh, frame_entries: Collection[str] = ()) -> Iterator[None]:
    """Within the body, keeps the rows of inputs and outputs of all traced linear maps, unless frames or features are split."""

    def around(
        call: Callable[..., Any], arguments: Any, named: Mapping[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
            return call(*arguments, **named)
        x, *rest = arguments
        return keep_rows(call(keep_rows(x, mesh, frame_entries), *rest, **named), mesh, frame_entries)

    if mesh.size == 1 or max(mesh.shape[FRAME_AXIS], mesh.shape["tensor"]) > 1:
        yield
        return
    with nn.intercept_methods(around):
        yield
