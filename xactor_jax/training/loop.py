"""The training loop of all stages.

The order is fixed and must not change: evaluate the state, save (state, data iterator), take the next batch, step, write
metrics. The data iterator moves only after the save, so that state and iterator in a checkpoint belong together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.config_file import write_config
from xactor_jax.checkpoints.trees import FOLDER, all_finite, saved_steps
from xactor_jax.errors import UserError
from xactor_jax.parallel.flops import model_flops
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.paths import absolute
from xactor_jax.run_settings import SECTIONS
from xactor_jax.settings import check_config
from xactor_jax.training import metrics as m
from xactor_jax.training.interruption import interruption
from xactor_jax.training.journal import DivergedError, Journal
from xactor_jax.training.profiling import profiler
from xactor_jax.training.programs import Programs, check_layout, make_programs
from xactor_jax.training.progress import progress
from xactor_jax.training.saving import Checkpoints, check_workdir, sole_use
from xactor_jax.training.state import TrainState
from xactor_jax.training.task import Task
from xactor_jax.training.throughput import Clock, earlier_seconds, work_of
from xactor_jax.variables import Variables

MakeIterator = Callable[[str, int, int], grain.DatasetIterator | None]
"""(split, index, count) → iterator. None: there is no such split; allowed only for "validation"."""
Validation = Callable[[], grain.DatasetIterator]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run in progress: everything that the loop needs besides state and data."""

    config: ConfigDict
    folder: epath.Path
    """The workdir."""
    programs: Programs
    validation: Validation | None
    """None: there is nothing to evaluate and to draw."""
    checkpoints: Checkpoints
    writers: m.Writers
    journal: Journal
    stop: Callable[[], bool]
    """Whether to end before the next step."""
    profile: Callable[[int, Any], None]
    """Called with step and state before every step."""


def train(config: ConfigDict, task: Task, make_iterator: MakeIterator, workdir: epath.PathLike) -> TrainState:
    """Trains a task up to `config.steps`, starting from the newest checkpoint in `workdir` if there is one.

    make_iterator(split, index, count) returns part `index` of `count` of the batches of "train" or "validation", as a Grain
    iterator of dicts of NumPy arrays. Without "validation", there are no evaluations and no pictures. SIGTERM and Ctrl-C save
    and return early. Returns the last state. Raises `UserError` for settings that cannot work, and `DivergedError` if a number
    is not finite; earlier checkpoints are kept.
    """
    check_config(config, SECTIONS)
    clock, folder, mesh = Clock(), absolute(workdir), make_mesh(config.mesh)
    check_layout(config, task, mesh)
    with sole_use(folder):
        check_workdir(folder, config)
        programs = make_programs(config, task, mesh)
        iterator = batches_of("train", make_iterator, programs.share)
        validation = validation_of(config, make_iterator, programs.share)
        fresh = None if saved_steps(folder / FOLDER) else programs.init()
        with interruption() as stop, Checkpoints(folder, config.checkpoint.keep) as checkpoints:
            state = fresh or checkpoints.restore(programs.abstract, iterator)
            if fresh is None:
                log.warning("%s: going on at step %d", folder, int(state.step))
            with opened_run(config, programs, validation, checkpoints, stop, folder, int(state.step), clock) as run:
                return run_loop(run, state, iterator)


def validation_of(config: ConfigDict, make_iterator: MakeIterator, share: tuple[int, int]) -> Validation | None:
    """Returns a function that iterates over the validation split from its start; None, with a warning, without such a split."""
    if (config.eval_every or config.preview_every) and make_iterator("validation", *share) is None:
        log.warning(
            "the data has no validation split: training goes on without evaluation and pictures; for them prepare clips of "
            "at least three people, with --validation above 0"
        )
        return None
    return lambda: batches_of("validation", make_iterator, share)


def batches_of(split: str, make_iterator: MakeIterator, share: tuple[int, int]) -> grain.DatasetIterator:
    """The batches of a split from its start. Raises ValueError if there is no such split."""
    iterator = make_iterator(split, *share)
    if iterator is None:
        raise ValueError(f"make_iterator has no {split} split")
    return iterator


@contextlib.contextmanager
def opened_run(
    config: ConfigDict,
    programs: Programs,
    validation: Validation | None,
    checkpoints: Checkpoints,
    stop: Callable[[], bool],
    folder: epath.Path,
    step: int,
    clock: Clock,
) -> Iterator[Run]:
    """Opens all outputs of a run that is at `step`, and closes them at the end. Only the first process writes."""
    first = jax.process_index() == 0
    if first:
        write_config(folder, config)
        clock.add(earlier_seconds(m.read_lines(folder / m.FILE), step) if step else {})
    with contextlib.ExitStack() as stack:
        writers = stack.enter_context(m.opened_writers(folder, step, first))
        show = stack.enter_context(progress(config.steps, first))
        journal = Journal(writers, show, config.log_every, clock)
        stack.callback(journal.close)
        run = Run(
            config=config,
            folder=folder,
            programs=programs,
            validation=validation,
            checkpoints=checkpoints,
            writers=writers,
            journal=journal,
            stop=stop,
            profile=stack.enter_context(profiler(config.profile, folder / "profile")),
        )
        stack.enter_context(naming_last_checkpoint(checkpoints, folder))
        yield run


@contextlib.contextmanager
def naming_last_checkpoint(checkpoints: Checkpoints, folder: epath.Path) -> Iterator[None]:
    """Adds the last good checkpoint to the message of a `DivergedError`."""
    try:
        yield
    except DivergedError as error:
        step = checkpoints.latest()
        last = f"the last good checkpoint is step {step} in {folder}" if step else "there is no checkpoint yet"
        raise DivergedError(f"{error}; {last}; lower optimizer.learning_rate or look at the data.") from None


def run_loop(run: Run, state: TrainState, iterator: grain.DatasetIterator) -> TrainState:
    """Trains until the last step or until it must stop. DO NOT change the order of the calls here."""
    start = int(state.step)
    run.journal.clock.charge("start")
    for step in range(start, run.config.steps + 1):
        stopping = run.stop()
        if step > start:
            between_steps(run, state, step, iterator, stopping)
        if stopping or step == run.config.steps:
            break
        run.profile(step, state)
        batch = take(run, iterator, step)
        with marked_step(step):
            state, metrics = first_step(run, state, batch) if step == start else run.programs.train_step(state, batch)
        run.journal.add(step + 1, metrics)
    return state


@contextlib.contextmanager
def marked_step(step: int) -> Iterator[None]:
    """Marks a step by its number in a profile. Implicit transfers are errors, because they would slow down every step."""
    with jax.profiler.StepTraceAnnotation("train", step_num=step), jax.transfer_guard("disallow"):
        yield


def first_step(run: Run, state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, Mapping[str, jax.Array]]:
    """The first step, which is traced and compiled. Counts the FLOPs from the trace while the step runs, and logs them."""
    with run.journal.compiling():
        traced = run.programs.train_step.trace(state, batch)
        result = run.programs.train_step(state, batch)
        flops = model_flops(traced.jaxpr.jaxpr)
    devices = run.programs.mesh.devices
    work = work_of(flops, run.config.batch_size, devices.size, devices.flat[0].device_kind)
    run.journal.begin(work)
    if jax.process_index() == 0:
        work.write(run.folder)
        log.warning("%s", work.denominator())
    return result


def take(run: Run, iterator: grain.DatasetIterator, step: int) -> dict[str, jax.Array]:
    """The next batch, on the devices. Raises `UserError` if the data has ended."""
    with run.journal.waiting():
        batch = next(iterator, None)
        if batch is None:
            raise UserError(f"the training data ended at step {step}: give fewer steps, or data that repeats without end.")
        return run.programs.put(batch)


def due(config: ConfigDict, step: int, every: int) -> bool:
    """Whether to do something at this step that is done every `every` steps (0: never) and at the last step."""
    return every > 0 and (step % every == 0 or step == config.steps)


def between_steps(run: Run, state: TrainState, step: int, iterator: grain.DatasetIterator, stopping: bool) -> None:
    """Evaluates, draws and saves, each if due. Remaining metrics are read first, so that no diverged state is saved."""
    c = run.config
    evaluating, drawing = (run.validation and due(c, step, n) for n in (c.eval_every, c.preview_every))
    saving = stopping or due(c, step, c.checkpoint.every) or step == c.steps
    if not (evaluating or saving or drawing):
        return
    run.journal.settle(step)
    doing = run.journal.clock.doing
    if evaluating and run.validation:
        with doing("evaluation"):
            run.writers.write(step, evaluate(run.programs, state.averaged(), run.validation(), c.eval_batches))
    if drawing and run.validation:
        with doing("preview"):
            draw(run, state, step, run.validation())
    if saving:
        with doing("checkpoint"):
            save(run, state, step, iterator)


def evaluate(programs: Programs, variables: Variables, batches: grain.DatasetIterator, count: int) -> dict[str, float]:
    """Mean metrics of the first `count` batches of an iterator of host batches, or of fewer if it ends."""
    averages: m.Averages = {}
    for index, batch in enumerate(itertools.islice(batches, count)):
        averages = m.accumulate(averages, m.to_host(programs.eval_step(variables, programs.put(batch), np.int32(index))))
    return m.compute(averages, "validation/")


def save(run: Run, state: TrainState, step: int, iterator: grain.DatasetIterator) -> None:
    """Saves the state. Raises `DivergedError` if it is not finite."""
    if not all_finite(state):
        raise DivergedError(f"training diverged at step {step}: parameters or optimiser state are not finite")
    run.writers.flush()
    run.checkpoints.save(step, state, iterator)


def draw(run: Run, state: TrainState, step: int, batches: grain.DatasetIterator) -> None:
    """Writes the task's pictures and scores for the first batch of an iterator of host batches."""
    batch = next(batches, None)
    if batch is None:
        return
    shown = jax.device_get(dict(run.programs.preview(state.averaged(), run.programs.put(batch))))
    run.writers.write(step, {f"preview/{name}": float(score) for name, score in shown.items() if np.ndim(score) == 0})
    run.writers.write_images(step, {name: np.asarray(image) for name, image in shown.items() if np.ndim(image) == 3})
