"""Imports released weights as checkpoint folders like those of the project's stages, and exports them to files again."""

from __future__ import annotations

import contextlib
import functools
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from xactor_jax.checkpoints.exports import check_target, load_variables, narrow, write_export
from xactor_jax.errors import UserError
from xactor_jax.paths import absolute
from xactor_jax.pretrained import (
    arcface,
    autoencoder,
    clip,
    deep3d,
    i3d,
    inception,
    perceptual,
    syncnet,
    wav2vec2,
    xnemo_motion,
    xnemo_video,
)
from xactor_jax.pretrained.files import Weights, check_new, open_weights, write_weights
from xactor_jax.pretrained.name_map import FILE_MARK, Shapes, Table, convert, exported
from xactor_jax.variables import Tree, Variables

BUFFERS = "buffers"
"""Target paths that start with this are buffers; all others are parameters."""
PREPROCESSOR = "preprocessor_config.json"
NO_FILES: Mapping[str, str] = types.MappingProxyType({})
Source = epath.PathLike | Mapping[str, epath.PathLike]
ReadConfig = Callable[[epath.Path, epath.PathLike], ConfigDict]
"""(folder of the released file, value of --config or "") → the config to store with the weights."""


class Kind(NamedTuple):
    """What is needed to import one kind of network and to export it again."""

    stage: str
    table: Table | Callable[[ConfigDict], Table]
    """Table of names. For networks of several sizes: a function of the config that returns it."""
    read_config: ReadConfig
    parameter_shapes: Callable[[ConfigDict], Shapes]
    """Path → shape of everything in the files."""
    other_buffers: Callable[[ConfigDict], dict[str, Tree]] = lambda config: {}
    """Buffers that are in no file."""
    files: Mapping[str, str] = NO_FILES
    """Role → name of the released file, for a network in several files. In the table its names are `role:name`."""
    preset: str = ""
    """For a network without a config.json: the experiment with the released sizes, configs/NAME.py:PRESET."""
    adapt: Callable[[ConfigDict], ConfigDict] = lambda config: config
    """Config given by the caller → config of the network in the files."""
    complete: Callable[[ConfigDict, Iterable[str]], ConfigDict] = lambda config, names: config
    """Completes the config of `read_config` by the names in the files, for a network that is released in several sizes."""

    def names(self, config: ConfigDict) -> Table:
        """The table of a config."""
        return self.table if isinstance(self.table, Table) else self.table(config)


def from_json(read: Callable[[Mapping[str, Any], Mapping[str, Any]], ConfigDict]) -> ReadConfig:
    """For networks with a config.json. `read` also gets the preprocessor_config.json, {} if there is none."""

    def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
        file = epath.Path(given) if given else beside / "config.json"
        config, preprocessor = _read_json(file), file.parent / PREPROCESSOR
        return read(config, _read_json(preprocessor) if preprocessor.exists() else {})

    return read_config


def from_caller(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """For networks without a config.json: the caller must give the config. Raises `UserError`."""
    raise UserError("these weights come without a config.json: give a config of their sizes, such as the preset of their kind.")


KINDS = {
    "wav2vec2": Kind(wav2vec2.STAGE, wav2vec2.TABLE, from_json(wav2vec2.read_config), wav2vec2.parameter_shapes),
    "xnemo_video": Kind(
        xnemo_video.STAGE,
        functools.partial(xnemo_video.sized, xnemo_video.table),
        from_caller,
        xnemo_video.parameter_shapes,
        xnemo_video.other_buffers,
        xnemo_video.FILES,
        xnemo_video.PRESET,
    ),
    "sd_unet": Kind(
        xnemo_video.STAGE,
        functools.partial(xnemo_video.sized, xnemo_video.trunk_table),
        from_caller,
        xnemo_video.trunk_shapes,
        xnemo_video.other_buffers,
        xnemo_video.UNET_FILES,
        xnemo_video.PRESET,
    ),
    "animatediff": Kind(
        xnemo_video.STAGE,
        functools.partial(xnemo_video.sized, xnemo_video.animatediff_table),
        from_caller,
        xnemo_video.temporal_shapes,
        xnemo_video.other_buffers,
        xnemo_video.ANIMATEDIFF_FILES,
        xnemo_video.PRESET,
    ),
    "clip": Kind(clip.STAGE, clip.TABLE, from_json(clip.read_config), clip.parameter_shapes),
    "vgg16": Kind(
        perceptual.STAGE, perceptual.VGG16, functools.partial(perceptual.read_config, False), perceptual.parameter_shapes
    ),
    "lpips": Kind(
        stage=perceptual.STAGE,
        table=perceptual.LPIPS,
        read_config=functools.partial(perceptual.read_config, True),
        parameter_shapes=perceptual.parameter_shapes,
        files=perceptual.FILES,
    ),
    "syncnet": Kind(syncnet.STAGE, syncnet.TABLE, syncnet.read_config, syncnet.parameter_shapes),
    "inception": Kind(inception.STAGE, inception.TABLE, inception.read_config, inception.parameter_shapes),
    "i3d": Kind(i3d.STAGE, i3d.TABLE, i3d.read_config, i3d.parameter_shapes),
    "lpips_alex": Kind(
        stage=perceptual.STAGE,
        table=perceptual.LPIPS_ALEX,
        read_config=perceptual.read_alex_config,
        parameter_shapes=perceptual.parameter_shapes,
        files=perceptual.ALEX_FILES,
    ),
    "arcface": Kind(arcface.STAGE, arcface.TABLE, arcface.read_config, arcface.parameter_shapes, complete=arcface.with_depths),
    "deep3d": Kind(deep3d.STAGE, deep3d.TABLE, deep3d.read_config, deep3d.parameter_shapes),
    **{
        what: Kind(
            stage=autoencoder.STAGE,
            table=table,
            read_config=from_json(functools.partial(autoencoder.read_config, what)),
            parameter_shapes=autoencoder.parameter_shapes,
            other_buffers=autoencoder.buffers,
        )
        for what, table in autoencoder.TABLES.items()
    },
    "xnemo_motion": Kind(
        xnemo_motion.STAGE,
        xnemo_motion.TABLE,
        from_caller,
        xnemo_motion.parameter_shapes,
        xnemo_motion.other_buffers,
        preset=xnemo_motion.PRESET,
        adapt=xnemo_motion.as_released,
    ),
}


def import_weights(
    what: str, source: Source, target: epath.PathLike, config: epath.PathLike | ConfigDict = "", dtype: str = "float32"
) -> None:
    """Writes the checkpoint folder `target`, completely or not at all. It replaces an older checkpoint of the same kind.

    Args:
        what: one of `KINDS`.
        source: a .safetensors or PyTorch file. For a network in several files: their folder, or role → file.
        config: the config itself, or the config.json that was released with the weights (default: the one beside them).
            Networks without one (`Kind.preset`) need the config itself.

    Raises:
        UserError: a file is missing, damaged or of another network, or `target` contains something else.
    """
    check_target(target, kind_of(what).stage)
    write_export(target, *read_weights(what, source, config), dtype)


def read_weights(what: str, source: Source, config: epath.PathLike | ConfigDict = "") -> tuple[ConfigDict, Variables]:
    """The config, and the variables as host arrays, that `import_weights` writes. Raises the same errors."""
    kind = kind_of(what)
    files = _files(kind, source)
    given = isinstance(config, ConfigDict)
    config = kind.adapt(config) if given else kind.read_config(next(iter(files.values())).parent, config)
    with _open_all(files) as weights:
        config = config if given else kind.complete(config, weights)
        params = convert(weights, kind.names(config), kind.parameter_shapes(config))
    return config, Variables(params, kind.other_buffers(config) | params.pop(BUFFERS, {}))


def export_weights(what: str, source: epath.PathLike, target: epath.PathLike, dtype: str = "float32") -> None:
    """Writes a checkpoint (folder of a run or an export) in the released form that `import_weights` reads.

    What the released network does not have (a decoder, a variance head) is left out.

    Args:
        what: one of `KINDS`.
        target: a .safetensors file; for a network in several files: their folder.

    Raises:
        UserError: there is no such checkpoint, it lacks a part of the network, or the target cannot be written.
    """
    kind = kind_of(what)
    for file in _targets(kind, absolute(target)).values():
        check_new(file)
    config, variables = load_variables(source, kind.stage)
    flat = flatten_dict({**variables.params, BUFFERS: dict(variables.buffers)}, sep="/")
    shapes = kind.parameter_shapes(config)
    if odd := sorted(path for path, shape in shapes.items() if path not in flat or flat[path].shape != shape):
        raise UserError(f"{source} has no {odd[0]} of the shape that {what} has: it is a checkpoint of another network.")
    released = exported(unflatten_dict({path: flat[path] for path in shapes}, sep="/"), kind.names(config))
    _write_all(kind, narrow(released, dtype), absolute(target))


def kind_of(what: str) -> Kind:
    """The entry of `KINDS`. Raises `UserError` if there is no such kind of network."""
    if what not in KINDS:
        raise UserError(f"there is no kind of network {what!r}: use {', '.join(KINDS)}.")
    return KINDS[what]


def _files(kind: Kind, source: Source) -> dict[str, epath.Path]:
    """Role → file; a single file has the role "". Raises `UserError` if the roles are not those of the kind."""
    if not isinstance(source, Mapping):
        folder = epath.Path(source)
        return {role: folder / name for role, name in kind.files.items()} if kind.files else {"": folder}
    if set(source) != set(kind.files):
        raise UserError(f"the files must be named {' '.join(f'{role}=FILE' for role in kind.files) or 'without ='}.")
    return {role: epath.Path(path) for role, path in source.items()}


@contextlib.contextmanager
def _open_all(files: Mapping[str, epath.Path]) -> Iterator[Weights]:
    """Opens all files as one mapping. Names are `name` for a single file, `role:name` for several."""
    with contextlib.ExitStack() as stack:
        yield _Union({role: stack.enter_context(open_weights(path)) for role, path in files.items()})


class _Union(Weights):
    """Several open files as one mapping; an array is read when it is accessed."""

    def __init__(self, files: Mapping[str, Weights]):
        named = lambda role, name: f"{role}{FILE_MARK}{name}" if role else name
        self._places = {named(role, name): (file, name) for role, file in files.items() for name in file}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: str) -> np.ndarray:
        file, name = self._places[key]
        return file[name]


def _targets(kind: Kind, target: epath.Path) -> dict[str, epath.Path]:
    """Role → file to write. A single file has the role ""; several have their released names in a folder."""
    if not kind.files:
        return {"": target}
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file, and {len(kind.files)} files are to be written: give a folder.")
    return {role: target / epath.Path(file).with_suffix(".safetensors").name for role, file in kind.files.items()}


def _write_all(kind: Kind, weights: Mapping[str, np.ndarray], target: epath.Path) -> None:
    """Writes each file with the arrays of its role."""
    for role, file in _targets(kind, target).items():
        start = f"{role}{FILE_MARK}" if role else ""
        own = {name.removeprefix(start): x for name, x in weights.items() if name.startswith(start)}
        write_weights(file, own)


def _read_json(path: epath.PathLike) -> Mapping[str, Any]:
    try:
        content = json.loads(epath.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"the config {path} cannot be read ({error}): name the config.json that came with the weights."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"the config {path} is no JSON object: name the config.json that came with the weights.")
    return content
