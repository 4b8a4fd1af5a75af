"""Finds the config of an experiment from a command line, and its default folder."""

from __future__ import annotations

import difflib
import itertools
import pathlib
import re
import runpy
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from xactor_jax.checkpoints.config_file import Settings, flatten
from xactor_jax.errors import UserError


def nearest_key(name: str, config: Settings) -> str:
    """The setting whose name is most similar to `name`; "" if none is similar."""
    keys = [key for key, _ in flatten(config)]
    last = {key.rsplit(".", 1)[-1]: key for key in keys}
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    short = difflib.get_close_matches(name.rsplit(".", 1)[-1], list(last), n=1, cutoff=0.6)
    return close[0] if close else last[short[0]] if short else ""


def default_workdir(config_flag: str) -> str:
    """The default folder of a run: runs/motion-base for configs/motion.py:base."""
    path, _, preset = config_flag.partition(":")
    name = pathlib.PurePath(path).stem
    return f"runs/{name}-{preset}" if preset and preset != "default" else f"runs/{name}"


def split_flags(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """(value of --config, names of the settings given as --config.KEY) of command line arguments."""
    names = [(argument.lstrip("-").partition("="), argument) for argument in arguments]
    files = [value for (name, given, value), _ in names if name == "config" and given]
    files += [after for before, after in itertools.pairwise(arguments) if before in ("--config", "-config")]
    keys = [name.removeprefix("no").removeprefix("config.") for (name, _, _), a in names if re.match(r"--?(no)?config\.", a)]
    return (files or [""])[-1], keys


def unknown_setting(key: str, config: Settings) -> UserError:
    """The error for a setting that is not in the config."""
    nearest = nearest_key(key, config)
    hint = f"did you mean --config.{nearest}?" if nearest else "launch/train.py lists what there is with --settings."
    return UserError(f"the config has no setting {key if key.isprintable() else repr(key)}: {hint}")


def load_config(flag: str) -> ConfigDict:
    """`get_config` of a config file, NAME.py or NAME.py:PRESET. Raises `UserError` if the file or the preset does not exist."""
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
    """Parses the flags and returns the other arguments.

    Raises:
        UserError: no config is given, a setting is unknown, or a value has a wrong type.
    """
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
