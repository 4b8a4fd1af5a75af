"""The flag --config of programs that run an experiment, and the parser of their command lines."""

from __future__ import annotations

from absl import flags, logging
from ml_collections import config_flags

from xactor_jax.training import experiment

CONFIG = config_flags.DEFINE_config_file("config", lock_config=True, help_string="configs/NAME.py or configs/NAME.py:PRESET")


def parse(arguments: list[str], verbosity: int = logging.WARNING) -> list[str]:
    """Parses absl's flags; every mistake is a `UserError`. Libraries log only messages of level `verbosity` or higher."""
    left = experiment.parse_flags(flags.FLAGS, arguments)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = verbosity
    return left
