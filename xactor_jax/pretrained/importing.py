"""Released weights become a checkpoint folder as the project's own stages have them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from etils import epath
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.pretrained import autoencoder, clip, wav2vec2
from xactor_jax.pretrained.files import open_weights
from xactor_jax.pretrained.name_map import Shapes, Table, convert
from xactor_jax.training.checkpoints import check_target, write_export
from xactor_jax.training.task import Variables

PREPROCESSOR = "preprocessor_config.json"


class Kind(NamedTuple):
    """What is needed to import one kind of network."""

    read_config: Callable[[Mapping[str, Any], Mapping[str, Any]], ConfigDict]
    parameter_shapes: Callable[[ConfigDict], Shapes]
    table: Table
    buffers: Callable[[ConfigDict], Mapping[str, Any]] = lambda config: {}


KINDS = {
    wav2vec2.STAGE: Kind(wav2vec2.read_config, wav2vec2.parameter_shapes, wav2vec2.TABLE),
    clip.STAGE: Kind(clip.read_config, clip.parameter_shapes, clip.TABLE),
    **{
        what: Kind(functools.partial(autoencoder.read_config, what), autoencoder.parameter_shapes, table, autoencoder.buffers)
        for what, table in autoencoder.TABLES.items()
    },
}


def import_weights(
    what: str, source: epath.PathLike, target: epath.PathLike, config_file: epath.PathLike = "", dtype: str = "float32"
) -> None:
    """Writes the checkpoint folder `target`, whole or not at all; an older one of the same kind there is replaced.

    Args:
        what: of `KINDS`.
        source: a .safetensors or PyTorch file.
        config_file: the config.json that was released with it; by default the one beside it.

    Raises:
        UserError: a file is missing, damaged or of another network, or `target` holds something else.
    """
    kind, beside = KINDS[what], epath.Path(source).parent
    config = kind.read_config(_read_json(config_file or beside / "config.json"), _preprocessor(config_file, beside))
    check_target(target, config.stage)
    with open_weights(source) as weights:
        params = convert(weights, kind.table, kind.parameter_shapes(config))
    write_export(target, config, Variables(params, dict(kind.buffers(config))), dtype)


def _preprocessor(config_file: epath.PathLike, beside: epath.Path) -> Mapping[str, Any]:
    """Of the file beside config.json; {} where there is none."""
    file = (epath.Path(config_file).parent if config_file else beside) / PREPROCESSOR
    return _read_json(file) if file.exists() else {}


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
