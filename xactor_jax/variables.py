"""What every stage passes around: trees of arrays, batches, and how they are split over devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import PartitionSpec

Tree = Any
"""Nested dicts of arrays."""
Batch = Mapping[str, jax.Array]
"""Name of an entry → array whose first dimension is the examples."""
Rules = tuple[tuple[str, PartitionSpec], ...]
"""Ordered (regex over a parameter's path "a/b/kernel", how its dimensions lie on the mesh)."""


class Variables(NamedTuple):
    """All arrays of a stage: `params` learned by gradients, `buffers` come by otherwise.

    Buffers are running statistics (latent mean and deviation) and frozen networks (an autoencoder inside a denoiser's
    checkpoint); no gradient and no optimiser state belongs to them, and they are saved with every checkpoint.
    """

    params: Tree
    buffers: Tree


class LossOutput(NamedTuple):
    """The scalar to minimise, scalars to report (means over the batch), and the buffers after this step."""

    loss: jax.Array
    metrics: Mapping[str, jax.Array]
    buffers: Tree
