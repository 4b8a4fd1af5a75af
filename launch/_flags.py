"""The flag --config of programs that take a whole experiment, and how their command lines are read."""

from __future__ import annotations

from absl import flags, logging
from ml_collections import config_flags

from xactor_jax.training import experiment

CONFIG = config_flags.DEFINE_config_file("config", lock_config=True, help_string="configs/NAME.py or configs/NAME.py:PRESET")


def parse(arguments: list[str], verbosity: int = logging.WARNING) -> list[str]:
    """absl's flags, with every mistake as a `UserError`; of the libraries' own messages only those from `verbosity` on."""
    left = experiment.parse_flags(flags.FLAGS, arguments)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = verbosity
    return left
