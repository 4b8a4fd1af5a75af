"""What all stages share: parameter trees, networks applied to them, batches and partition rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.sharding import PartitionSpec

Tree = Any
"""Nested dicts of arrays."""
Batch = Mapping[str, jax.Array]
"""Name of an entry → array whose first axis is the examples."""
Rules = tuple[tuple[str, PartitionSpec], ...]
"""Ordered pairs (regex for a parameter's path such as "a/b/kernel", mesh axes of its dimensions)."""


class Variables(NamedTuple):
    """All arrays of a stage: `params` are learned by gradients, `buffers` are not.

    Buffers are running statistics (mean and standard deviation of latents) and frozen networks (an autoencoder inside a
    denoiser's checkpoint). They have no gradients and no optimiser state, and are saved with every checkpoint.
    """

    params: Tree
    buffers: Tree


class LossOutput(NamedTuple):
    """The scalar to minimise, scalars to report (means over the batch), and the buffers after this step."""

    loss: jax.Array
    metrics: Mapping[str, jax.Array]
    buffers: Tree


def applied(network: nn.Module, params: Tree, *inputs: Any, method: str | None = None, **named_inputs: Any) -> Any:
    """The output of a network, or of its method with that name, for these parameters.

    Flax declares that `apply` may also return changed variables. Without `mutable` it never does.
    """
    return network.apply({"params": params}, *inputs, method=method, **named_inputs)
