"""The compiled functions of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from xactor_jax.parallel import mesh as layout
from xactor_jax.training import step as steps
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.state import TrainState, abstract_state, init_state, make_init
from xactor_jax.training.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Programs:
    """Pure functions of state and batch, compiled for one mesh, and the shapes of their arguments."""

    mesh: Mesh
    frame_entries: tuple[str, ...]
    """Those of the task."""
    abstract: TrainState
    """Shapes, dtypes and shardings of the state."""
    share: tuple[int, int]
    """(index, count) of this process's part of every batch."""
    local_batch: Mapping[str, jax.ShapeDtypeStruct]
    """Shapes of this process's part of a batch."""
    init: Callable[[], TrainState]
    train_step: Callable[..., Any]
    eval_step: Callable[..., Any]
    preview: Callable[..., Any]

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Makes global arrays from this process's part of a batch. Raises ValueError if it is not what the task expects."""
        check_batch(batch, self.local_batch)
        return layout.put_batch(batch, self.mesh, self.frame_entries, self.share[1])


def check_batch(batch: Mapping[str, np.ndarray], expected: Mapping[str, jax.ShapeDtypeStruct]) -> None:
    """Raises ValueError if the batch from the data pipeline is not what the task expects."""
    given = {name: (tuple(x.shape), str(x.dtype)) for name, x in batch.items()}
    wanted = {name: (tuple(x.shape), str(x.dtype)) for name, x in expected.items()}
    odd = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
    if odd:
        raise ValueError(f"the task wants {odd[0]}: {wanted.get(odd[0])} and the data gives {given.get(odd[0])}")


def check_layout(config: ConfigDict, task: Task, mesh: Mesh) -> None:
    """Raises `UserError` unless rows and frames of every microbatch divide over the mesh."""
    layout.check_batch_size(config.batch_size, config.grad_accumulation, mesh, task.frame_entries)
    layout.check_frames(task.example_batch(config.batch_size), mesh, task.frame_entries)
    if task.folds_frames:
        layout.check_one_row(config.batch_size, config.grad_accumulation, mesh)


def make_programs(config: ConfigDict, task: Task, mesh: Mesh) -> Programs:
    """All compiled functions of a run. Nothing is allocated before `init` is called."""
    optimizer = make_optimizer(config, task)
    abstract = abstract_state(config, task, optimizer, mesh)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    share = layout.process_share(mesh, config.batch_size, task.frame_entries)
    make = make_init(config, task, optimizer, abstract)
    return Programs(
        mesh=mesh,
        frame_entries=task.frame_entries,
        abstract=abstract,
        share=share,
        local_batch=task.example_batch(config.batch_size // share[1]),
        init=lambda: init_state(config, task, make, abstract),
        train_step=steps.make_train_step(config, task, optimizer, mesh, shardings),
        eval_step=steps.make_eval_step(config, task, mesh),
        preview=steps.make_preview(config, task, mesh),
    )
