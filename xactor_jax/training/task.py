"""The interface between a stage and the trainer.

A task is an immutable description of a stage: it is made from settings and provides pure functions. It holds no parameters. The
loop knows nothing else about a stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax

from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables


@runtime_checkable
class Task(Protocol):
    """One stage of X-Actor as the trainer uses it."""

    stage: str
    """Name of the stage, written into every checkpoint: `motion`, `actor`, `autoencoder` or `video`."""

    partition_rules: Rules
    """Ordered (regex for the parameter's path "a/b/kernel", PartitionSpec). The first match counts, else the shape rule."""

    frame_entries: tuple[str, ...]
    """Entries of a batch whose second dimension is the frames of an example; empty if the stage uses single pictures."""

    folds_frames: bool
    """Whether the stage reshapes frames into rows, [batch × frames, ...]. Devices can then split frames only if each has a
    single row."""

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of one batch from the stage's data pipeline. Pictures are bytes, 0 … 255.

        The step converts them on the device, so `loss` and `preview` take float32 in [-1, 1].
        """
        ...

    def init(self, key: jax.Array) -> Variables:
        """New variables. A pure function, so that it can be traced, sharded and compiled."""
        ...

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        """Top-level entries of `buffers` that replace those of `init`, as host arrays: frozen networks from checkpoints."""
        ...

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Loss of one batch. A pure function. `train=False` turns off augmentation, dropout and updates of buffers."""
        ...

    def param_labels(self, params: Tree) -> Tree:
        """A label for each parameter, which selects its optimiser: `"default"`, `"discriminator"` or `"frozen"`."""
        ...

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """Shows what the stage has learned: name → a picture, uint8 [H, W, 3], or a score, a scalar."""
        ...
