"""The one training loop, for every stage.

The order is fixed and must stay: evaluate on the state, save (state, data iterator), take the next batch, step, write metrics.
The data iterator moves after the save alone, so what is saved together belongs together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable
from typing import Any

import grain
import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict

from xactor_jax.parallel.mesh import check_batch_size, make_mesh, process_share, put_batch
from xactor_jax.training import metrics as m
from xactor_jax.training import step as steps
from xactor_jax.training.interruption import interruption
from xactor_jax.training.journal import DivergedError, Journal
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.profiling import profiler
from xactor_jax.training.progress import progress
from xactor_jax.training.saving import Checkpoints, open_workdir
from xactor_jax.training.state import TrainState, abstract_state, init_state
from xactor_jax.training.task import Task, Variables

MakeIterator = Callable[[str, int, int], grain.DatasetIterator]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Programs:
    """The compiled functions of a run and what their arguments look like."""

    mesh: Mesh
    abstract: TrainState
    init: Callable[[], TrainState]
    train_step: Callable[..., Any]
    eval_step: Callable[..., Any]
    preview: Callable[..., Any]
    finite: Callable[..., Any]


def make_programs(config: ConfigDict, task: Task, mesh: Mesh) -> Programs:
    """Everything that can be compiled before there is data."""
    optimizer = make_optimizer(config, task)
    abstract = abstract_state(config, task, optimizer, mesh)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    return Programs(
        mesh=mesh,
        abstract=abstract,
        init=lambda: init_state(config, task, optimizer, abstract),
        train_step=steps.make_train_step(config, task, optimizer, mesh, shardings),
        eval_step=steps.make_eval_step(config, task, mesh),
        preview=steps.make_preview(config, task, mesh),
        finite=steps.make_finite(mesh),
    )


def evaluate(programs: Programs, variables: Variables, batches: Any, count: int) -> dict[str, float]:
    """Mean metrics of the first `count` batches of an iterator of host batches; fewer when it ends."""
    averages: dict[str, Any] = {}
    for index, batch in enumerate(itertools.islice(batches, count)):
        values = programs.eval_step(variables, put_batch(batch, programs.mesh), np.int32(index))
        averages = m.accumulate(averages, {k: float(v) for k, v in jax.device_get(dict(values)).items()})
    return m.compute(averages, "validation/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run in progress: what the loop needs beside state and data."""

    config: ConfigDict
    programs: Programs
    validation: Callable[[], grain.DatasetIterator]
    checkpoints: Checkpoints
    writers: m.Writers
    journal: Journal

    def due(self, step: int, every: int) -> bool:
        """Whether something done every so many steps (0: never) is done at this step; all of it at the last."""
        return every > 0 and (step % every == 0 or step == self.config.steps)

    def between_steps(self, state: TrainState, step: int, iterator: grain.DatasetIterator, stopping: bool) -> None:
        """Evaluate, save, draw, each when due."""
        c = self.config
        evaluating, drawing = self.due(step, c.eval_every), self.due(step, c.preview_every)
        saving = stopping or self.due(step, c.checkpoint.every) or step == c.steps
        if evaluating or saving or drawing:
            self.journal.settle(step)
        if evaluating:
            self.writers.write(step, evaluate(self.programs, state.averaged(), self.validation(), c.eval_batches))
        if saving:
            self.save(state, step, iterator)
        if drawing:
            self.draw(state, step)
        if evaluating or saving or drawing:
            self.journal.stopwatch.restart()

    def save(self, state: TrainState, step: int, iterator: grain.DatasetIterator) -> None:
        """Saves a state that is sound. Raises `DivergedError` for one that is not."""
        if not bool(self.programs.finite(state)):
            raise DivergedError(f"Training diverged at step {step}: parameters or optimiser state are not finite")
        self.writers.flush()
        self.checkpoints.save(step, state, iterator)

    def draw(self, state: TrainState, step: int) -> None:
        """Writes the task's pictures of the first validation batch."""
        batch = next(iter(self.validation()), None)
        if batch is not None:
            images = self.programs.preview(state.averaged(), put_batch(batch, self.programs.mesh))
            self.writers.write_images(step, {name: np.asarray(jax.device_get(x)) for name, x in images.items()})


def run_loop(
    run: Run, state: TrainState, iterator: grain.DatasetIterator, stop: Callable[[int], bool], profile: Callable[..., None]
) -> TrainState:
    """Steps until the last one or until `stop`. DO NOT change the order of what happens here."""
    start = int(state.step)
    for step in range(start, run.config.steps + 1):
        stopping = stop(step)
        if step > start:
            run.between_steps(state, step, iterator, stopping)
        if stopping or step == run.config.steps:
            break
        profile(step, state)
        with run.journal.stopwatch.waiting():
            batch = put_batch(next(iterator), run.programs.mesh)
        state, metrics = run.programs.train_step(state, batch)
        run.journal.add(step + 1, metrics)
    return state


def restore_or_init(programs: Programs, checkpoints: Checkpoints, iterator: grain.DatasetIterator, workdir: Any) -> TrainState:
    """The newest good checkpoint's state, or a fresh one."""
    state = checkpoints.restore(programs.abstract, iterator)
    if state is None:
        return programs.init()
    log.warning("%s: going on after step %d", workdir, int(state.step))
    return state


def train(config: ConfigDict, task: Task, make_iterator: MakeIterator, workdir: epath.PathLike) -> TrainState:
    """Trains a task up to `config.steps`, going on from the newest checkpoint in `workdir`; returns the last state.

    make_iterator(split, index, count) gives part `index` of `count` of the batches of "train" or "validation" as a Grain
    iterator of dicts of NumPy arrays. SIGTERM and Ctrl-C save and return early. Raises `UserError` for settings that cannot
    work and `DivergedError` when a number is not finite; the checkpoints before that are kept.
    """
    folder = epath.Path(workdir)
    mesh = make_mesh(config.mesh)
    check_batch_size(config.batch_size, config.grad_accumulation, mesh)
    programs = make_programs(config, task, mesh)
    share = process_share(mesh, config.batch_size)
    open_workdir(folder, config)
    iterator = make_iterator("train", *share)
    with contextlib.ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(folder, config.checkpoint.keep))
        state = restore_or_init(programs, checkpoints, iterator, folder)
        writers = stack.enter_context(m.opened_writers(folder, int(state.step), jax.process_index() == 0))
        show = stack.enter_context(progress(config.steps, jax.process_index() == 0))
        profile = stack.enter_context(profiler(config.profile, folder / "profile"))
        stop = stack.enter_context(interruption())
        run = Run(
            config=config,
            programs=programs,
            validation=lambda: make_iterator("validation", *share),
            checkpoints=checkpoints,
            writers=writers,
            journal=Journal(writers, show, config.log_every),
        )
        return guarded_loop(run, state, iterator, stop, profile, folder)


def guarded_loop(run: Run, *arguments: Any) -> TrainState:
    """`run_loop`, whose message on divergence names the checkpoint to go back to."""
    *arguments, folder = arguments
    try:
        return run_loop(run, *arguments)
    except DivergedError as error:
        step = run.checkpoints.latest()
        last = f"the last good checkpoint is step {step} in {folder}" if step else "there is no checkpoint yet"
        raise DivergedError(f"{error}; {last}; lower optimizer.learning_rate or look at the data.") from None
