"""Activations around linear maps, kept split by rows: examples stay on their devices, and kernels travel.

Left to itself, the compiler gathers the rows of activations on every device of `fsdp` where it finds a kernel's gradient
cheaper to compute so. Networks know nothing of this: it is said around them. Where features are split over `tensor` it is not
said: on data × fsdp × tensor = 2 × 2 × 2 gradients of the actor then were wrong by two per cent (jaxlib 0.10.2, on the CPU).
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
    """The same array, rows (first axis) split as a batch's and the rest as it comes; unchanged where they do not divide."""
    if x.ndim < 2 or x.shape[0] % batch_shards(mesh, frame_entries):
        return x
    spec = PartitionSpec(row_axes(frame_entries), *[PartitionSpec.UNCONSTRAINED] * (x.ndim - 1))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))


@contextlib.contextmanager
def rows_kept(mesh: Mesh, frame_entries: Collection[str] = ()) -> Iterator[None]:
    """Every linear map that is traced inside has the rows of its input and output kept, unless frames or features are split."""

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
