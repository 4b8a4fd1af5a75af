"""Checkpoints of a run: state and data iterator together, saved by Orbax in the background, restored onto any mesh.

    workdir/config.json                 stage and settings
    workdir/checkpoints/STEP/state      TrainState
    workdir/checkpoints/STEP/data       position of every process's data iterator
    workdir/checkpoints/STEP/check      fingerprints of the state, compared after restoring

A checkpoint that cannot be read, or whose numbers are not those that were saved, is passed over for the one before.
"""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from xactor_jax.checkpoints import config_file
from xactor_jax.checkpoints.trees import FOLDER, cut_off, fingerprint, saved_tree, shapes
from xactor_jax.errors import UserError, first_line
from xactor_jax.locks import try_to_lock
from xactor_jax.paths import is_remote, readable
from xactor_jax.training.state import TrainState
from xactor_jax.variables import Tree

LOCK = ".lock"
"""File in a run's folder, locked as long as the run lasts."""

PATIENCE = 5.0
"""Seconds for which the lock is waited for."""

SLICE_BYTES = 2**20
"""Of an array that several devices hold, smaller slices are not written by each of them."""

log = logging.getLogger(__name__)


def check_workdir(workdir: epath.Path, config: ConfigDict) -> None:
    """Raises `UserError` when the folder holds a run of another stage; warns of settings that have changed."""
    old = config_file.read_config(workdir)
    if old is None:
        return
    if old.get("stage") != config.stage:
        raise UserError(f"{workdir} holds a run of the stage {old.get('stage')}, not {config.stage}: give another --workdir.")
    for key, (before, now) in config_file.differences(old, config).items():
        log.warning("%s was %s in this workdir and is %s now", key, before, now)


def make_workdir(workdir: epath.Path) -> None:
    """Raises `UserError` when the folder cannot be made or written to."""
    if readable(workdir) != str(workdir):
        raise UserError(f"the name {readable(workdir)} is no UTF-8, which saving needs: give another --workdir.")
    try:
        if not is_remote(workdir):  # where there are no folders, and each question to a store out of reach takes a minute
            workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".write_test_{jax.process_index()}"
        probe.write_text("")
        probe.unlink()
    except Exception as error:  # object stores have errors of their own
        raise UserError(f"the folder {workdir} cannot be written to ({first_line(error)}): give another --workdir.") from None


@contextlib.contextmanager
def sole_use(workdir: epath.Path) -> Iterator[None]:
    """A folder that no other run saves into meanwhile. It is made; the first process holds its lock.

    In an object store nothing can be locked: there it is up to whoever starts runs to give each a folder of its own. Raises
    `UserError` in every process when the folder is in use or cannot be written to.
    """
    make_workdir(workdir)
    with contextlib.ExitStack() as stack:
        locks = jax.process_index() == 0 and not is_remote(workdir)
        free = not locks or _take(stack, pathlib.Path(workdir) / LOCK)
        if not multihost_utils.process_allgather(np.asarray(free)).all():
            raise UserError(f"another run saves into {workdir} at this moment: let it end, or give another --workdir.")
        if locks:
            stack.callback(_remove_unused, pathlib.Path(workdir))
        yield


def _remove_unused(workdir: pathlib.Path) -> None:
    """Of a run that failed before it wrote anything, nothing is left."""
    if [path.name for path in workdir.iterdir()] == [LOCK]:
        (workdir / LOCK).unlink()
        workdir.rmdir()


def _take(stack: contextlib.ExitStack, path: pathlib.Path) -> bool:
    """Whether a lock could be had, until the stack is closed. A process that was killed needs a moment to end."""
    file = stack.enter_context(path.open("ab"))
    try:
        return try_to_lock(file, PATIENCE)
    except OSError as error:
        log.warning("%s cannot be locked (%s): make sure that no other run saves there", path.parent, error.strerror)
        return True


class _Manager(ocp.CheckpointManager):
    """Orbax's, which does not ask JAX's preemption service: the loop does, whose questions have numbers of their own."""

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The checkpoints of one run. A thin layer over Orbax's manager; use as a context, which waits for the last save."""

    def __init__(self, workdir: epath.Path, keep: int) -> None:
        self._folder = workdir / FOLDER
        warn_of_cut_off(self._folder)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, cleanup_tmp_directories=True)
        self._manager = _Manager(self._folder, options=options, item_handlers=item_handlers())

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def latest(self) -> int | None:
        """Step of the newest checkpoint that is whole on disk."""
        self._manager.wait_until_finished()
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, iterator: grain.DatasetIterator) -> None:
        """Starts saving; the state may be donated once this returns. Skips a step that is saved already."""
        if step == self._manager.latest_step():
            return
        args = ocp.args.Composite(
            state=ocp.args.PyTreeSave(state),
            data=grain.checkpoint.CheckpointSave(iterator),
            check=ocp.args.JsonSave({"state": fingerprint(state), "averaged": fingerprint(state.averaged())}),
        )
        self._manager.save(step, args=args, force=True)

    def restore(self, abstract: TrainState, iterator: grain.DatasetIterator) -> TrainState | None:
        """Newest good state, laid out as `abstract`, with the iterator set to its position; None where nothing is saved.

        Raises `UserError` when the saved arrays have other shapes than this config's, or every checkpoint is damaged.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for index, step in enumerate(steps):
            state = self._try_restore(step, abstract, iterator)
            if state is not None:
                self._drop(steps[:index])
                return state
        if steps:
            raise UserError(f"every checkpoint in {self._folder} is damaged: delete the folder to start anew.")
        return None

    def _drop(self, steps: list[int]) -> None:
        """Deletes damaged checkpoints newer than the one in use, so that their steps can be saved again."""
        for step in steps:
            self._manager.delete(step)

    def _try_restore(self, step: int, abstract: TrainState, iterator: grain.DatasetIterator) -> TrainState | None:
        """The state, or None with a warning when anything about the checkpoint cannot be read on any process."""
        state, problem = None, ""
        try:
            check_shapes(saved_tree(self._folder / str(step) / "state"), abstract, self._folder)
            state = self._read(step, abstract)
            restore_iterator(self._folder / str(step) / "data", iterator)
        except UserError:
            raise
        except Exception as error:  # whatever the readers of damaged files come up with
            problem = first_line(error)
        good = multihost_utils.process_allgather(np.asarray(not problem)).all()
        if not good:
            log.warning("checkpoint %s in %s is damaged and passed over (%s)", step, self._folder, problem or "elsewhere")
        return state if good else None

    def _read(self, step: int, abstract: TrainState) -> TrainState:
        layout = ocp.args.PyTreeRestore(abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract))
        args = ocp.args.Composite(state=layout, check=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        if fingerprint(restored.state) != restored.check["state"]:
            raise ValueError("its numbers are not those that were saved")
        return restored.state


def item_handlers() -> dict[str, Any]:
    """What writes and reads each part of a checkpoint; every leaf of the state is a `jax.Array`.

    Of an array that several devices hold, each writes a slice if that makes slices of at least `SLICE_BYTES`: to cut some
    thousand small arrays takes longer than to write them.
    """
    arrays = ocp.type_handlers.ArrayHandler(min_slice_bytes_for_replica_parallel=SLICE_BYTES)
    registry = ocp.type_handlers.create_type_handler_registry((jax.Array, arrays))
    state = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    return {"state": state, "data": grain.checkpoint.CheckpointHandler(), "check": ocp.JsonCheckpointHandler()}


def warn_of_cut_off(folder: epath.Path) -> None:
    """Names the checkpoints that a run was ended while it wrote: they are deleted when the next one is saved."""
    for step in cut_off(folder) if jax.process_index() == 0 else []:
        log.warning("checkpoint %s in %s was cut off while it was written and is passed over", step, folder)


def check_shapes(saved: Tree, abstract: TrainState, folder: epath.Path) -> None:
    """Raises `UserError` naming the first parameter whose shape in the checkpoint is not the config's."""
    there, here = shapes(saved), shapes(abstract)
    odd = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if odd:
        raise UserError(
            f"the checkpoints in {folder} belong to another network or optimiser ({odd[0]} is {there.get(odd[0], 'absent')} "
            f"there and {here.get(odd[0], 'absent')} in this config): give back its settings or another --workdir."
        )


def restore_iterator(folder: epath.Path, iterator: grain.DatasetIterator) -> None:
    """Sets the iterator to its saved position.

    When the number of processes has changed, the first process's position is taken: it counts batches, every process has read
    its part of the same number of them, and the parts of a batch are its rows in their order, however many there are.
    """
    own = folder / f"process_{jax.process_index()}-of-{jax.process_count()}.json"
    if not own.exists():
        own = sorted(folder.glob("process_0-of-*.json"))[0]
        log.warning("the checkpoint was saved by another number of processes; reading its data position from %s", own.name)
    iterator.set_state(json.loads(own.read_text()))
