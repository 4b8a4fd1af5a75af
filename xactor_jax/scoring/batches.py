"""Applies a network to a stream of inputs, in batches over all local devices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Shaped

from xactor_jax.padding import filled
from xactor_jax.parallel.mesh import replicated
from xactor_jax.sampling.sharded import local_mesh

Apply = Callable[[Any, jax.Array], Any]
"""(parameters, batch) → outputs, arrays whose first axis is the batch."""


def batches(rows: Iterable[Shaped[np.ndarray, "*shape"]], size: int) -> Iterator[Shaped[np.ndarray, "b *shape"]]:
    """Stacks inputs of one shape; the last batch may be smaller."""
    rows = iter(rows)
    while batch := list(itertools.islice(rows, size)):
        yield np.stack(batch)


def apply_in_batches(apply: Apply, params: Any, rows: Iterable[Shaped[np.ndarray, "*shape"]], size: int) -> Iterator[Any]:
    """Yields the outputs of each batch as host arrays. A batch has `size` inputs on every device; memory does not grow.

    The last batch is padded to full size, so that only one program is compiled. `apply` must be jitted by the caller, who keeps
    it: a new function would be compiled again.
    """
    mesh = local_mesh()
    split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    params, whole = jax.device_put(params, replicated(mesh)), size * mesh.size
    for batch in batches(rows, whole):
        outputs, real = apply(params, jax.device_put(filled(batch, whole), split)), slice(len(batch))
        yield jax.tree.map(lambda x, real=real: np.asarray(x)[real], outputs)


def joined(outputs: Iterable[Any]) -> Any:
    """Joins the outputs of all batches along their first axis."""
    return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)
