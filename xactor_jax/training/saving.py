"""Checkpoints of a run: Orbax saves state and data iterator together in the background, and restores them onto any mesh.

    workdir/config.json                 stage and settings
    workdir/checkpoints/STEP/state      TrainState
    workdir/checkpoints/STEP/data       position of every process's data iterator
    workdir/checkpoints/STEP/check      fingerprints of the state, compared after restoring

A checkpoint that cannot be read, or whose fingerprint differs, is skipped, and the one before it is used.
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
"""File in a run's folder that is locked while the run lasts."""

PATIENCE = 5.0
"""Seconds to wait for the lock."""

SLICE_BYTES = 2**20
"""Smallest slice that a device writes of an array that several devices hold."""

log = logging.getLogger(__name__)


def check_workdir(workdir: epath.Path, config: ConfigDict) -> None:
    """Raises `UserError` if the folder holds a run of another stage. Warns of changed settings."""
    old = config_file.read_config(workdir)
    if old is None:
        return
    if old.get("stage") != config.stage:
        raise UserError(f"{workdir} holds a run of the stage {old.get('stage')}, not {config.stage}: give another --workdir.")
    for key, (before, now) in config_file.differences(old, config).items():
        log.warning("%s was %s in this workdir and is %s now", key, before, now)


def make_workdir(workdir: epath.Path) -> None:
    """Creates the folder. Raises `UserError` if it cannot be created or written to."""
    if readable(workdir) != str(workdir):
        raise UserError(f"the name {readable(workdir)} is no UTF-8, which saving needs: give another --workdir.")
    try:
        if not is_remote(workdir):  # stores have no folders, and a request to an unreachable store takes a minute
            workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".write_test_{jax.process_index()}"
        probe.write_text("")
        probe.unlink()
    except Exception as error:  # object stores have errors of their own
        raise UserError(f"the folder {workdir} cannot be written to ({first_line(error)}): give another --workdir.") from None


@contextlib.contextmanager
def sole_use(workdir: epath.Path) -> Iterator[None]:
    """Makes the folder and prevents other runs from saving into it. The first process holds a lock.

    An object store cannot be locked; there, each run must be given its own folder. Raises `UserError` in every process if the
    folder is in use or cannot be written to.
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
    """Removes the folder of a run that failed before it wrote anything."""
    if [path.name for path in workdir.iterdir()] == [LOCK]:
        (workdir / LOCK).unlink()
        workdir.rmdir()


def _take(stack: contextlib.ExitStack, path: pathlib.Path) -> bool:
    """Tries to hold the lock until the stack is closed, and returns whether it did. A killed process needs a moment to end."""
    file = stack.enter_context(path.open("ab"))
    try:
        return try_to_lock(file, PATIENCE)
    except OSError as error:
        log.warning("%s cannot be locked (%s): make sure that no other run saves there", path.parent, error.strerror)
        return True


class _Manager(ocp.CheckpointManager):
    """Orbax's manager, without its queries of JAX's preemption service. The loop makes them, with its own numbering."""

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The checkpoints of one run: a thin layer over Orbax's manager. Use it as a context, which waits for the last save."""

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
        """Step of the newest complete checkpoint."""
        self._manager.wait_until_finished()
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, iterator: grain.DatasetIterator) -> None:
        """Starts saving. The state may be donated once this returns. A step that is already saved is skipped."""
        if step == self._manager.latest_step():
            return
        args = ocp.args.Composite(
            state=ocp.args.PyTreeSave(state),
            data=grain.checkpoint.CheckpointSave(iterator),
            check=ocp.args.JsonSave({"state": fingerprint(state), "averaged": fingerprint(state.averaged())}),
        )
        self._manager.save(step, args=args, force=True)

    def restore(self, abstract: TrainState, iterator: grain.DatasetIterator) -> TrainState:
        """The newest good state, laid out as `abstract`. Also sets the iterator to its position.

        Raises `UserError` if the saved arrays have other shapes than this config's, or if no checkpoint is good.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for index, step in enumerate(steps):
            state = self._try_restore(step, abstract, iterator)
            if state is not None:
                self._drop(steps[:index])
                return state
        raise UserError(f"every checkpoint in {self._folder} is damaged: delete the folder to start from the beginning.")

    def _drop(self, steps: list[int]) -> None:
        """Deletes damaged checkpoints newer than the restored one, so that their steps can be saved again."""
        for step in steps:
            self._manager.delete(step)

    def _try_restore(self, step: int, abstract: TrainState, iterator: grain.DatasetIterator) -> TrainState | None:
        """The state; None, with a warning, if any process cannot read a part of the checkpoint."""
        state, problem = None, ""
        try:
            check_shapes(saved_tree(self._folder / str(step) / "state"), abstract, self._folder)
            state = self._read(step, abstract)
            restore_iterator(self._folder / str(step) / "data", iterator)
        except UserError:
            raise
        except Exception as error:  # readers of damaged files raise errors of any kind
            problem = first_line(error)
        good = multihost_utils.process_allgather(np.asarray(not problem)).all()
        if not good:
            log.warning("checkpoint %s in %s is damaged and passed over (%s)", step, self._folder, problem or "elsewhere")
        return state if good else None

    def _read(self, step: int, abstract: TrainState) -> TrainState:
        layout = ocp.args.PyTreeRestore(abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract))
        args = ocp.args.Composite(state=layout, check=ocp.args.JsonRestore())
        restored: Any = self._manager.restore(step, args=args)
        if fingerprint(restored.state) != restored.check["state"]:
            raise ValueError("its numbers are not those that were saved")
        return restored.state


def item_handlers() -> dict[str, Any]:
    """Writer and reader of each part of a checkpoint. Every leaf of the state is a `jax.Array`.

    If several devices hold an array, each writes a slice, provided that slices have at least `SLICE_BYTES`. Cutting thousands
    of small arrays takes longer than writing them.
    """
    arrays = ocp.type_handlers.ArrayHandler(min_slice_bytes_for_replica_parallel=SLICE_BYTES)
    registry = ocp.type_handlers.create_type_handler_registry((jax.Array, arrays))
    state = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    return {"state": state, "data": grain.checkpoint.CheckpointHandler(), "check": ocp.JsonCheckpointHandler()}


def warn_of_cut_off(folder: epath.Path) -> None:
    """Warns of checkpoints that were cut off while they were written. The next save deletes them."""
    for step in cut_off(folder) if jax.process_index() == 0 else []:
        log.warning("checkpoint %s in %s was cut off while it was written and is passed over", step, folder)


def check_shapes(saved: Tree, abstract: TrainState, folder: epath.Path) -> None:
    """Raises `UserError` that names the first parameter whose shape differs between the checkpoint and the config."""
    there, here = shapes(saved), shapes(abstract)
    odd = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if odd:
        raise UserError(
            f"the checkpoints in {folder} belong to another network or optimiser ({odd[0]} is {there.get(odd[0], 'absent')} "
            f"there and {here.get(odd[0], 'absent')} in this config): give back its settings or another --workdir."
        )


def restore_iterator(folder: epath.Path, iterator: grain.DatasetIterator) -> None:
    """Sets the iterator to its saved position.

    If the number of processes has changed, the first process's position is used. It counts batches, which is the same number in
    every process, and the parts of a batch are its rows in order, for any number of processes.
    """
    own = folder / f"process_{jax.process_index()}-of-{jax.process_count()}.json"
    if not own.exists():
        own = sorted(folder.glob("process_0-of-*.json"))[0]
        log.warning("the checkpoint was saved by another number of processes; reading its data position from %s", own.name)
    iterator.set_state(json.loads(own.read_text()))
