"""Presets. An experiment consists of the defaults of a stage, changed by a preset and then by --config.KEY=VALUE.

List of all settings, with values, allowed values and meanings: python launch/train.py --config=configs/motion.py --settings
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from configs.stages import default_config
from xactor_jax.errors import UserError

Presets = Mapping[str, Callable[[ConfigDict], ConfigDict]]


def preset_config(stage: str, presets: Presets, name: str) -> ConfigDict:
    """The defaults of a stage with the changes of a preset. The preset "default" changes nothing.

    Raises:
      UserError: there is no such preset.
    """
    known = {"default": lambda c: c, **presets}
    if name not in known:
        raise UserError(f"the {stage} stage has no preset {name!r}: choose one of {', '.join(known)}")
    return known[name](default_config(stage))
