"""What a stage must say so that the one trainer can train it.

A task is a frozen description: settings in, pure functions out. It holds no parameters. The loop knows nothing of a stage
beyond this protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax

from xactor_jax.variables import Batch, LossOutput, Rules, Tree, Variables


@runtime_checkable
class Task(Protocol):
    """One stage of X-Actor as the trainer sees it."""

    stage: str
    """Name of the stage, written into every checkpoint: `motion`, `actor`, `autoencoder` or `video`."""

    partition_rules: Rules
    """Ordered (regex over the parameter's path "a/b/kernel", PartitionSpec); first match wins; the shape rule for the rest."""

    frame_entries: tuple[str, ...]
    """Entries of a batch whose second dimension is the frames of an example; none where the stage has single pictures alone."""

    folds_frames: bool
    """Whether frames are folded into rows on the way, [batch × frames, ...]; such a stage can split the frames of single rows
    alone."""

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of one batch, as the stage's data pipeline yields it."""
        ...

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables; pure, so that it can be traced, sharded and compiled."""
        ...

    def pretrained_buffers(self) -> Mapping[str, Tree]:
        """Host-side top-level entries of `buffers` to replace after `init` (frozen networks read from checkpoints)."""
        ...

    def loss(self, variables: Variables, batch: Batch, key: jax.Array, train: bool) -> LossOutput:
        """Loss of one batch; pure. `train=False` turns augmentation, dropout and buffer updates off."""
        ...

    def param_labels(self, params: Tree) -> Tree:
        """A label per parameter, which chooses its optimiser: `"default"`, `"discriminator"` or `"frozen"`."""
        ...

    def preview(self, variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        """What the stage has learned: name → a picture, uint8 [H, W, 3], or a score, a scalar."""
        ...
