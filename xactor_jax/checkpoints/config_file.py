"""Writes the config of an experiment as JSON beside its checkpoints, reads it, and compares configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.unfinished import write_whole

Settings = ConfigDict | Mapping[str, Any]

FILE = "config.json"


def flatten(config: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields ("a.b", value) for every setting."""
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuples(value)


def differences(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Setting → (old value, new value) for all settings that differ. None means that the config has no such setting."""
    left, right = dict(flatten(old)), dict(flatten(new))
    keys = sorted(left.keys() | right.keys())
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def write_config(folder: epath.Path, config: ConfigDict) -> None:
    """Writes the config as JSON, where tuples become lists."""
    write_whole(folder / FILE, json.dumps(config.to_dict(), indent=2))


def tuples(value: Any) -> Any:
    """Converts lists into tuples, because JSON has only lists."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def read_config(folder: epath.Path) -> ConfigDict | None:
    """The config saved in a folder; None if there is none. Raises `UserError` if the file is not JSON or not a config."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        content = tuples(json.loads(file.read_text()))
        config = ConfigDict(content) if _is_config(content) else None
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{file} is not readable as JSON: restore it or name another folder.") from None
    if config is None:
        raise UserError(f"{file} is no config of a run or an export: restore it or name another folder.")
    return config


def _is_config(content: Any) -> bool:
    """Whether JSON holds settings with a stage: at its top, as for a run, or under "config", as for an export."""
    settings = content.get("config", content) if isinstance(content, Mapping) else None
    return isinstance(settings, Mapping) and isinstance(settings.get("stage"), str) and "stage" in content
