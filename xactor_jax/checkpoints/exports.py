"""Loads a trained stage for its users: its config and its averaged parameters.

They are read from a run's folder (its newest good checkpoint) or from an export, which holds only:

    EXPORT/config.json     {"stage": ..., "config": {...}, "fingerprints": {"variables": ..., "config": ...}}; written last, so
                           an export is complete if this file exists
    EXPORT/variables       {"params": averaged parameters, "buffers": ...}

If the numbers differ from those that were exported, the export is damaged. If the settings differ, a warning says so. Exports
of older versions have no fingerprints and are not checked.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import logging
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.config_file import FILE, read_config
from xactor_jax.checkpoints.older import completed
from xactor_jax.checkpoints.trees import FOLDER, digest, fingerprint, read_arrays, saved_steps, saved_tree, write_arrays
from xactor_jax.errors import UserError, first_line
from xactor_jax.paths import absolute, is_remote
from xactor_jax.scratch import scratch
from xactor_jax.unfinished import write_whole
from xactor_jax.variables import Tree, Variables

log = logging.getLogger(__name__)

ARRAYS = "variables"
TRAINING = "training"
"""Top-level entry of buffers that only training needs, such as a teacher; neither exports nor users of a run get it."""
DTYPES = ("float32", "float16")
COMMITTED = "commit_success.txt"
FOLDERS = (
    ("init_from",),
    ("data", "path"),
    ("data", "encoded_path"),
    ("data", "audio", "checkpoint"),
    ("pretrained", "motion"),
    ("pretrained", "autoencoder"),
    ("pretrained", "clip"),
    ("pretrained", "perceptual"),
)


def load_variables(path: epath.PathLike, stage: str) -> tuple[ConfigDict, Variables]:
    """(config, averaged parameters and buffers as float32 host arrays) of a stage, from the folder of a run or an export.

    Raises `UserError` if there is no checkpoint, if it is damaged, or if it belongs to another stage.
    """
    config, variables = _load(absolute(path), f"configs/{stage}.py")
    if config.stage != stage:
        raise UserError(f"{path} holds a checkpoint of the stage {config.stage}, not {stage}: name a folder of that stage.")
    return config, variables


def peek(path: epath.PathLike, stage: str) -> tuple[ConfigDict, Tree]:
    """(config, names, shapes and types of its "params" and "buffers") of a stage, without reading any array.

    Raises `UserError` like `load_variables`.
    """
    folder = absolute(path)
    saved, steps = _saved(folder, f"configs/{stage}.py")
    config = completed(saved.config if "config" in saved else saved)
    if config.stage != stage:
        raise UserError(f"{path} holds a checkpoint of the stage {config.stage}, not {stage}: name a folder of that stage.")
    try:
        tree = saved_tree(folder / ARRAYS if "config" in saved else folder / FOLDER / str(steps[0]) / "state")
    except Exception as error:  # readers of damaged files raise errors of any kind
        raise UserError(f"the checkpoint in {folder} is damaged ({first_line(error)}): make or fetch it again.") from None
    return config, {"params": tree.get("ema") or tree.get("params"), "buffers": tree.get("buffers") or {}}


def checkpoint_hash(path: epath.PathLike) -> str:
    """Twelve hexadecimal digits that identify the parameters, independent of the folder and of their precision."""
    return variables_hash(_load(absolute(path), "a file in configs")[1])


def variables_hash(variables: Variables) -> str:
    """The same for variables in memory. Numbers are rounded to float16, so that a run and its exports have the same hash."""
    return digest(_cast(variables._asdict(), np.float16))


def export(source: epath.PathLike, target: epath.PathLike, dtype: str = "float32") -> None:
    """Writes an export of a run (or of an export) into a new folder. An older export of the same stage there is replaced.

    Raises `UserError` if there is no checkpoint, if `target` holds anything else, or if float16 cannot represent a number.
    """
    config, variables = _load(absolute(source), "a file in configs")
    write_export(target, config, variables, dtype)


def write_export(target: epath.PathLike, config: ConfigDict, variables: Variables, dtype: str = "float32") -> None:
    """Writes an export of variables in memory. On a local disk, it is written completely or not at all.

    Raises `UserError` if `target` holds anything but an older export of the stage, or if float16 cannot represent a number.
    """
    check_target(target, config.stage)
    folder, tree = absolute(target), narrow(variables._asdict(), dtype)
    if is_remote(folder):
        _write_export(folder, config, tree)
        return
    with scratch(folder) as place:
        _write_export(place / folder.name, config, tree)
        _put(place / folder.name, folder, place)


def _put(new: epath.Path, target: epath.Path, aside: epath.Path) -> None:
    """Moves a folder to the place of another. If several processes do so at once, the last one's folder stays."""
    for attempt in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside / f"old{attempt}")
        try:
            new.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def narrow(tree: Tree, dtype: str) -> Tree:
    """Converts floating point numbers of the tree to `dtype`."""
    if dtype not in DTYPES:
        raise UserError(f"--dtype {dtype} is not known: use {' or '.join(DTYPES)}.")
    result = _cast(tree, np.dtype(dtype))
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(result) if np.issubdtype(x.dtype, np.floating)):
        raise UserError(f"a parameter is too large for {dtype}: use --dtype float32.")
    return result


def _cast(tree: Tree, dtype: Any) -> Tree:
    """Converts floating point leaves to another type. An overflow gives infinity."""
    with np.errstate(over="ignore"):
        return jax.tree.map(lambda x: x.astype(dtype) if jax.numpy.issubdtype(x.dtype, jax.numpy.floating) else x, tree)


def check_target(target: epath.PathLike, stage: str) -> None:
    """Raises `UserError` unless an export of the stage may be written there."""
    folder = absolute(target)
    if not folder.exists() or not any(folder.iterdir()):
        return
    old = read_config(folder)
    if old is None or "config" not in old or old.stage != stage:
        raise UserError(f"{folder} holds something else than an export of the stage {stage}: give a new folder.")


def _remove(folder: epath.Path) -> None:
    if folder.exists():
        folder.rmtree()


def _write_export(folder: epath.Path, config: ConfigDict, tree: Tree) -> None:
    try:
        _remove(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be written to ({error}): give another one.") from None
    write_arrays(folder / ARRAYS, tree)
    for note in (folder / ARRAYS).glob(COMMITTED):
        note.write_text("committed\n")  # Orbax writes the name of the temporary folder, which is not the final one
    settings = without_folders(config)
    about = {"stage": config.stage, "config": settings, "fingerprints": fingerprints(settings, tree)}
    write_whole(folder / FILE, json.dumps(about, indent=2))


def fingerprints(settings: Mapping[str, Any], tree: Tree) -> dict[str, str]:
    """Fingerprints of the two parts of an export, as in its config.json."""
    text = json.dumps(settings, sort_keys=True)
    return {"variables": digest(tree), "config": hashlib.sha256(text.encode()).hexdigest()[:12]}


def without_folders(config: ConfigDict) -> dict[str, Any]:
    """The settings without the folders that a run read, because these do not exist on another machine.

    A renderer's settings contain those of its motion stage, whose folders are removed too.
    """
    settings = config.to_dict()
    if isinstance(stage := config.get("motion"), ConfigDict):
        settings["motion"] = without_folders(stage)
    for *sections, name in FOLDERS:
        inner = functools.reduce(lambda outer, section: outer.get(section, {}), sections, settings)
        if name in inner:
            inner[name] = ""
    return settings


def _load(folder: epath.Path, hint: str) -> tuple[ConfigDict, Variables]:
    """Config and variables of a folder with any stage."""
    saved, steps = _saved(folder, hint)
    return _load_export(folder, saved) if "config" in saved else _load_run(folder, saved, steps)


def _saved(folder: epath.Path, hint: str) -> tuple[ConfigDict, list[int]]:
    """Content of config.json, and the steps of a run, newest first. An export has its config under "config", and no steps."""
    saved = read_config(folder)
    steps = saved_steps(folder / FOLDER)
    if saved is None or not (steps or "config" in saved):
        raise UserError(f"there is no checkpoint in {folder}: name a run's or an export's folder, or train one with {hint}.")
    return saved, steps


def _load_export(folder: epath.Path, saved: ConfigDict) -> tuple[ConfigDict, Variables]:
    config, written = saved.config, saved.get("fingerprints", {})
    try:
        tree = read_arrays(folder / ARRAYS, saved_tree(folder / ARRAYS))
        found = fingerprints(config.to_dict(), tree)
        if written and found["variables"] != written["variables"]:
            raise ValueError("its numbers are not those that were exported")
    except Exception as error:  # readers of damaged files raise errors of any kind
        raise UserError(f"the checkpoint in {folder} is damaged ({first_line(error)}): make or fetch it again.") from None
    if written and found["config"] != written["config"]:
        log.warning("%s has other settings than were exported: expect other results, or nonsense", folder / FILE)
    return completed(config), Variables(_cast(tree["params"], np.float32), _cast(tree.get("buffers") or {}, np.float32))


def _load_run(folder: epath.Path, config: ConfigDict, steps: list[int]) -> tuple[ConfigDict, Variables]:
    for step in steps:
        try:
            variables = _read_step(folder / FOLDER / str(step))
            kept = {name: tree for name, tree in variables.buffers.items() if name != TRAINING}
            return completed(config), variables._replace(buffers=kept)
        except Exception as error:  # readers of damaged files raise errors of any kind
            log.warning("checkpoint %s in %s is damaged and passed over (%s)", step, folder, first_line(error))
    raise UserError(f"every checkpoint in {folder} is damaged: train it again or name another folder.")


def _read_step(folder: epath.Path) -> Variables:
    """Averaged parameters and buffers of one checkpoint. Raises ValueError if they are not those that were saved."""
    tree = saved_tree(folder / "state")
    wanted = {name: tree[name] for name in ("ema", "buffers") if tree.get(name)}
    arrays = read_arrays(folder / "state", wanted)
    variables = Variables(arrays["ema"], arrays.get("buffers", {}))
    check = json.loads((folder / "check" / "metadata").read_text())
    if fingerprint(variables) != check["averaged"]:
        raise ValueError("its numbers are not those that were saved")
    return variables
