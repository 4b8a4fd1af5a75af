"""Pictures between convolutions, kept split by rows and frames alone.

Left to itself, the compiler may split the channels between two convolutions, and on some meshes what it then computes is wrong:
on data × fsdp × tensor = 2 × 2 × 2, gradients of the first of two convolutions whose kernels are split over fsdp and tensor
(jaxlib 0.10.2, on the CPU; tests/parallel/test_constrain.py). Networks know nothing of this: it is said around them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from xactor_jax.parallel.mesh import BATCH_AXES, FRAME_AXIS
from xactor_jax.parallel.partition import fit_spec

LEADS = {1: PartitionSpec((*BATCH_AXES, FRAME_AXIS)), 2: PartitionSpec(BATCH_AXES, FRAME_AXIS)}
"""By the number of axes before height: rows, or rows that frames are folded into; rows and frames."""


def constrain(x: Float[Array, "*b h w c"], mesh: Mesh) -> Float[Array, "*b h w c"]:
    """The same pictures: rows split over `data` and `fsdp`, frames over `context`, pixels and channels whole."""
    spec = LEADS.get(x.ndim - 3)
    if spec is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, fit_spec(spec, x.shape, mesh)))


@contextlib.contextmanager
def split_over(mesh: Mesh) -> Iterator[None]:
    """Every convolution of pictures that is traced inside has its input and its output constrained."""

    def around(
        call: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if not of_pictures(context):
            return call(*arguments, **named)
        x, *rest = arguments
        return constrain(call(constrain(x, mesh), *rest, **named), mesh)

    with nn.intercept_methods(around):
        yield


def of_pictures(context: nn.module.InterceptorContext) -> bool:
    """Whether a call is one of a convolution over two axes."""
    module = context.module
    return isinstance(module, nn.Conv) and context.method_name == "__call__" and len(module.kernel_size) == 2
