"""An experiment's config on paper: as JSON beside the checkpoints, compared with another, named for its folder."""

from __future__ import annotations

import difflib
import itertools
import json
import pathlib
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.unfinished import write_whole

Settings = ConfigDict | Mapping[str, Any]

FILE = "config.json"


def flatten(config: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("a.b", value) of every setting."""
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuples(value)


def differences(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Setting → (old value, new value) wherever they differ; None where one side has no such setting."""
    left, right = dict(flatten(old)), dict(flatten(new))
    keys = sorted(left.keys() | right.keys())
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def write_config(folder: epath.Path, config: ConfigDict) -> None:
    """The config as JSON; tuples become lists."""
    write_whole(folder / FILE, json.dumps(config.to_dict(), indent=2))


def tuples(value: Any) -> Any:
    """Lists, which JSON made of tuples, back into tuples."""
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def read_config(folder: epath.Path) -> ConfigDict | None:
    """Config saved in a folder; None where there is none. Raises `UserError` when it is not JSON, or another kind of it."""
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
    """Whether JSON is settings with a stage, as of a run, or has such under "config", as that of an export."""
    settings = content.get("config", content) if isinstance(content, Mapping) else None
    return isinstance(settings, Mapping) and isinstance(settings.get("stage"), str) and "stage" in content


def nearest_key(name: str, config: Settings) -> str:
    """The setting whose name looks most like `name`, "" when none does."""
    keys = [key for key, _ in flatten(config)]
    last = {key.rsplit(".", 1)[-1]: key for key in keys}
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    short = difflib.get_close_matches(name.rsplit(".", 1)[-1], list(last), n=1, cutoff=0.6)
    return close[0] if close else last[short[0]] if short else ""


def default_workdir(config_flag: str) -> str:
    """runs/motion-base for configs/motion.py:base."""
    path, _, preset = config_flag.partition(":")
    name = pathlib.PurePath(path).stem
    return f"runs/{name}-{preset}" if preset and preset != "default" else f"runs/{name}"


def split_flags(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """(value of --config, names of the settings given as --config.KEY) among command line arguments."""
    names = [(argument.lstrip("-").partition("="), argument) for argument in arguments]
    files = [value for (name, given, value), _ in names if name == "config" and given]
    files += [after for before, after in itertools.pairwise(arguments) if before in ("--config", "-config")]
    keys = [name.removeprefix("no").removeprefix("config.") for (name, _, _), a in names if re.match(r"--?(no)?config\.", a)]
    return (files or [""])[-1], keys


def unknown_setting(key: str, config: Settings) -> UserError:
    """The error for a setting that the config does not have."""
    nearest = nearest_key(key, config)
    hint = f"did you mean --config.{nearest}?" if nearest else "the file in configs/ lists what there is."
    return UserError(f"the config has no setting {key if key.isprintable() else repr(key)}: {hint}")


def load_config(flag: str) -> ConfigDict:
    """`get_config` of a config file, NAME.py or NAME.py:PRESET. Raises `UserError` when there is no such file or preset."""
    path, _, preset = flag.partition(":")
    if not path:
        raise UserError("no config is given: add --config=configs/motion.py, or another file in configs/.")
    if not pathlib.Path(path).is_file():
        raise UserError(f"the config file {path} does not exist: the files are in configs/.")
    module = runpy.run_path(path)
    try:
        return module["get_config"](*[preset] if preset else [])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} gives no config for the preset {preset or 'default'} ({error}).") from None


def parse_flags(flag_values: flags.FlagValues, arguments: Sequence[str]) -> list[str]:
    """What absl leaves of the arguments. Raises `UserError` for an unknown setting, a value of a wrong type, no config."""
    flag, keys = split_flags(arguments)
    if not any(argument.lstrip("-") in ("help", "helpfull", "helpshort") for argument in arguments):
        known = dict(flatten(config := load_config(flag)))
        for key in keys:
            if key not in known:
                raise unknown_setting(key, config)
        if "stage" in keys:
            raise UserError(
                f"{flag} is of the stage {config.stage}: leave out --config.stage and name another file in configs/."
            )
    try:
        return flag_values(list(arguments))
    except flags.Error as error:
        raise UserError(f"{str(error).splitlines()[0]}: look at the command line.") from None
