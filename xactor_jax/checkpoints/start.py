"""Start of a run from imported or earlier checkpoints, for all parameters or some parts of them. Other parameters are new.

`config.init_from` is a list of folders, separated by commas. If several have the same parameter, the last one counts:
    runs/imported                 everything: parameters, running statistics, frozen networks
    trunk=runs/imported           only the parameters below trunk
    runs/sd,runs/animatediff      the parameters of both
A task may have `start_copies`, pairs (from, to): if a checkpoint has parameters below `from` and none below `to`, the first are
also used for the second (Stable Diffusion's trunk starts the denoiser and its reference network). A task may have
`start_stages`, PART → (another stage, its part): PART=FOLDER then reads this part of a checkpoint of that stage.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from ml_collections import ConfigDict

from xactor_jax.checkpoints.exports import load_variables, peek
from xactor_jax.checkpoints.trees import flat
from xactor_jax.errors import UserError
from xactor_jax.variables import Tree, Variables

FROM_START = "init_from"
"""Value in place of a frozen network's folder: uses the network in the checkpoint of `config.init_from`."""

Shapes = Mapping[str, tuple[int, ...]]

log = logging.getLogger(__name__)


@runtime_checkable
class Startable(Protocol):
    """The attributes of a task that this module reads. `start_stages`, `start_copies`, `start_buffers` are optional.

    `start_buffers`: part of the parameters → beginning of the names of the buffers that were measured with this part.
    """

    stage: str


class Source(NamedTuple):
    """An entry of `config.init_from`. An empty part means everything in the folder."""

    part: str
    folder: str


class Start(NamedTuple):
    """Parameters and buffers that a run starts from."""

    params: dict[str, np.ndarray]
    """Path → array."""
    buffers: dict[str, Tree]
    """Top-level entry → tree."""


def sources(init_from: str) -> list[Source]:
    """The entries of `config.init_from`."""
    entries = (entry.strip() for entry in init_from.split(",") if entry.strip())
    split = (entry.split("=", 1) if "=" in entry else ("", entry) for entry in entries)
    return [Source(part.strip("/"), folder) for part, folder in split]


def last_with_buffer(init_from: str, stage: str, buffer: str) -> tuple[str, ConfigDict] | None:
    """(folder, config) of the last checkpoint in `config.init_from` whose buffers have this entry; None if none has."""
    for source in reversed([s for s in sources(init_from) if not s.part]):
        config, tree = peek(source.folder, stage)
        if buffer in (tree.get("buffers") or {}):
            return source.folder, config
    return None


def read_start(config: ConfigDict, task: Startable, wanted: Shapes) -> Start:
    """Reads the parameters `wanted` that `config.init_from` provides, as host arrays. Logs which come from where.

    Raises:
        UserError: a folder has no checkpoint of the stage, no parameters of a part, or parameters that do not fit.
    """
    start = Start({}, {})
    for source in sources(config.init_from):
        stage, inside = getattr(task, "start_stages", {}).get(source.part, (task.stage, source.part))
        saved, variables = load_variables(source.folder, stage)
        _warn_of_motion(config, saved, source)
        found = _parameters(source, inside, variables, wanted, getattr(task, "start_copies", ()))
        _check(source, found, wanted)
        start.params.update(found)
        start.buffers.update(_buffers(source, variables.buffers, getattr(task, "start_buffers", {})))
        log.warning("%s: %s start from there", source.folder, _counted(found, wanted))
    if start.params and len(start.params) < len(wanted):
        log.warning("%s start afresh", _counted(wanted.keys() - start.params.keys(), wanted))
    return start


def _parameters(
    source: Source, inside: str, variables: Variables, wanted: Shapes, copies: tuple[tuple[str, str], ...]
) -> dict[str, np.ndarray]:
    """The parameters from a source, which are below `inside` there, with their copies."""
    taken = {path: array for path, array in flat(variables.params).items() if _below(path, inside)}
    found = {source.part + path.removeprefix(inside): array for path, array in taken.items()}
    for before, after in copies:
        if not source.part and not any(_below(path, after) for path in found):
            moved = {after + path.removeprefix(before): array for path, array in found.items() if _below(path, before)}
            found |= {path: array for path, array in moved.items() if path in wanted}
    return found


def _buffers(source: Source, saved: Mapping[str, Tree], measured: Mapping[str, str]) -> dict[str, Tree]:
    """The buffers from a source: all of a whole checkpoint; of a part, those that were measured with it."""
    prefixes = tuple(name for part, name in measured.items() if _below(part, source.part))
    return {name: tree for name, tree in saved.items() if not source.part or name.startswith(prefixes)}


def _below(path: str, part: str) -> bool:
    """Whether a path of parameters belongs to a part. Every path belongs to the empty part."""
    return not part or path == part or path.startswith(f"{part}/")


def _check(source: Source, found: Mapping[str, np.ndarray], wanted: Shapes) -> None:
    if not found:
        raise UserError(f"{source.folder} has no parameters below {source.part}: name another part, or none.")
    odd = sorted(path for path, array in found.items() if wanted.get(path) != array.shape)
    if odd:
        there, here = found[odd[0]].shape, wanted.get(odd[0], "absent")
        hint = "give the settings it was made with, or name the part that fits by init_from=PART=FOLDER"
        raise UserError(f"{source.folder} does not fit this config ({odd[0]} is {there} there and {here} here): {hint}.")


def _counted(paths: Any, wanted: Shapes) -> str:
    """A text such as "12 of 40 arrays of trunk, 3 of 3 arrays of reference"."""
    counts, totals = (Counter(path.split("/")[0] for path in names) for names in (paths, wanted))
    return ", ".join(f"{n} of {totals[part]} arrays of {part}" for part, n in sorted(counts.items()))


def _warn_of_motion(config: ConfigDict, saved: ConfigDict, source: Source) -> None:
    here, there = (c.pretrained.motion_hash for c in (config, saved))
    if here and there and here != there:
        log.warning("%s was made for another motion stage than the encoded records; expect to train for longer", source.folder)
