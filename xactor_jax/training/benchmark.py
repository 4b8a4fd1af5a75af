"""Times the training step of any task without a run: no checkpoint, no log, no evaluation. The step is that of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.parallel.flops import model_flops
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training.journal import Journal
from xactor_jax.training.metrics import Writers
from xactor_jax.training.programs import Programs, check_layout, make_programs
from xactor_jax.training.state import TrainState
from xactor_jax.training.task import Task
from xactor_jax.training.throughput import Clock, Work, work_of

Batch = Mapping[str, jax.Array]


class Bench:
    """A compiled task on the available devices, with its own state. `seconds`: time of tracing and compiling."""

    def __init__(self, config: ConfigDict, task: Task) -> None:
        """Raises `UserError` if rows or frames do not divide over the mesh, or if pretrained weights do not fit."""
        mesh = make_mesh(config.mesh)
        check_layout(config, task, mesh)
        self.programs: Programs = make_programs(config, task, mesh)
        self._state: TrainState = self.programs.init()
        self._batch = self.programs.put(synthetic_batch(self.programs.local_batch))
        clock = Clock()
        traced = self.programs.train_step.trace(self._state, self._batch)
        self._state, _ = self.programs.train_step(self._state, self._batch)
        clock.charge("compile")
        self.seconds = clock.totals["compile"]
        kind = mesh.devices.flat[0].device_kind
        self.work: Work = work_of(model_flops(traced.jaxpr.jaxpr), config.batch_size, mesh.size, kind)

    def synthetic(self, steps: int) -> dict[str, float]:
        """Speed on one batch that is already on the devices, and the processor time of this process per step."""
        return self._timed(lambda: self._batch, steps)

    def on(self, batches: Any, steps: int) -> dict[str, float]:
        """Speed on an iterator of host batches. The first batch is not timed, because it waits for the pipeline to start."""
        next(batches)
        return self._timed(lambda: self.programs.put(next(batches)), steps)

    def _timed(self, take: Callable[[], Batch], steps: int) -> dict[str, float]:
        rows: list[Mapping[str, float]] = []
        jax.block_until_ready(self._state)
        journal = Journal(Writers(epath.Path()), lambda _, scalars: rows.append(scalars), steps + 1, Clock())
        journal.begin(self.work)
        busy = time.process_time()
        for step in range(steps):
            with journal.waiting():
                batch = take()
            self._state, metrics = self.programs.train_step(self._state, batch)
            journal.add(step + 1, metrics)
        journal.settle(steps)
        return {**rows[-1], "processor_seconds": (time.process_time() - busy) / steps}


def synthetic_batch(shapes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Random numbers, uniform in [0, 1); random pictures. Other integers and Boolean values are zero."""
    rng = np.random.default_rng(0)

    def drawn(x: Any) -> np.ndarray:
        if jax.numpy.issubdtype(x.dtype, np.floating):
            return rng.random(x.shape, np.float32).astype(x.dtype)
        return rng.integers(256, size=x.shape, dtype=np.uint8) if x.dtype == np.uint8 else np.zeros(x.shape, x.dtype)

    return {name: drawn(x) for name, x in shapes.items()}
