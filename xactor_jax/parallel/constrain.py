"""Sharding constraints on images between convolutions: only rows and frames are split.

Without them the compiler may split the channels between two convolutions, and on some meshes its result is then wrong: on
data × fsdp × tensor = 2 × 2 × 2, gradients of the first of two convolutions whose kernels are split over fsdp and tensor
(jaxlib 0.10.2, on the CPU; tests/parallel/test_constrain.py). Interceptors add the constraints, so networks need no such code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from xactor_jax.layers.factored import DoublingConv, JoiningConv, each_repeated
from xactor_jax.parallel.mesh import BATCH_AXES, FRAME_AXIS
from xactor_jax.parallel.partition import fit_spec

LEADS = {1: PartitionSpec((*BATCH_AXES, FRAME_AXIS)), 2: PartitionSpec(BATCH_AXES, FRAME_AXIS)}
"""Number of axes before height → their split. One axis: rows (frames may be folded into them). Two axes: rows and frames."""


def constrain(x: Float[Array, "*b h w c"], mesh: Mesh) -> Float[Array, "*b h w c"]:
    """Constrains images: rows are split over `data` and `fsdp`, frames over `context`, pixels and channels are not split."""
    spec = LEADS.get(x.ndim - 3)
    if spec is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, fit_spec(spec, x.shape, mesh)))


@contextlib.contextmanager
def split_over(mesh: Mesh) -> Iterator[None]:
    """Within the body, constrains the input and the output of every traced convolution of images."""

    def around(
        call: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if not of_pictures(context):
            return call(*arguments, **named)
        wide = (each_repeated(x, len(arguments[0])) for x in arguments)  # so that no kernel is cut, which may be split itself
        return constrain(call(*(constrain(x, mesh) for x in wide), **named), mesh)

    with nn.intercept_methods(around):
        yield


def of_pictures(context: nn.module.InterceptorContext) -> bool:
    """Whether a call is that of a convolution over two axes."""
    module = context.module
    over_pictures = isinstance(module, nn.Conv) and len(module.kernel_size) == 2
    return context.method_name == "__call__" and (over_pictures or isinstance(module, (JoiningConv, DoublingConv)))
