"""Trains one stage: python launch/train.py --config=configs/motion.py[:preset] [--config.steps=200] [--workdir=DIR].

The same command again goes on where the run stopped. SIGTERM and Ctrl-C save first; the exit status is 0 then.
"""

from __future__ import annotations

import _root  # noqa: F401  (puts the project on the path)
from absl import app, flags
from ml_collections import config_flags

from launch._flags import CONFIG, parse
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes
from xactor_jax.training import experiment

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run, local or gs://; default: runs/NAME-PRESET")


def run(arguments: list[str]) -> None:
    """Trains what the flags say."""
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]} is not an option: settings are given as --config.KEY=VALUE.")
    processes.initialize()
    from data.embedded import ensure_data
    from launch.stages import build
    from xactor_jax.training.loop import train

    config = CONFIG.value
    workdir = WORKDIR.value or experiment.default_workdir(config_flags.get_config_filename(flags.FLAGS["config"]))
    ensure_data(config)
    task, make_iterator = build(config)
    train(config, task, make_iterator, workdir)


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    with exit_on_user_error():
        app.run(run, flags_parser=parse)


if __name__ == "__main__":
    main()
