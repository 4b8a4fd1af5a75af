"""Trains one stage: python launch/train.py --config=configs/motion.py[:preset] [--config.steps=200] [--workdir=DIR].

With --settings it only lists all settings: value, allowed values and meaning.

The same command again continues where the run stopped. SIGTERM and Ctrl-C save first. Exit statuses:

    0    the last step is done
    75   the run stopped before the last step without an error: start the same command again. This happens after SIGTERM or
         Ctrl-C, or when another process of the run was lost
    2    an error that a person can correct; one sentence says how
    1    an error of the program

Several processes are configured by JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and JAX_PROCESS_ID. Under SLURM
(launch/slurm.sh) and on Cloud TPU (launch/tpu_pod.sh) they are detected. A run may continue with another number of processes.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from absl import app, flags, logging
from ml_collections import config_flags

from launch import _root  # noqa: F401
from launch._flags import CONFIG, parse
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes, supervision
from xactor_jax.training import experiment

SETTINGS = flags.DEFINE_bool("settings", False, "only list all settings: value, allowed values and meaning")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run, local or gs://; default: runs/NAME-PRESET")


def run(arguments: list[str]) -> None:
    """Trains the stage of --config, or lists its settings."""
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]} is not an option: settings are given as --config.KEY=VALUE.")
    from configs.stages import build, describe, ensure_data
    from data.embedded import fill_in_networks
    from xactor_jax.training.loop import train

    if SETTINGS.value:
        with contextlib.suppress(BrokenPipeError):  # a reader such as `head` has seen enough
            print(*describe(CONFIG.value), sep="\n", flush=True)
        return
    processes.initialize(preemption=True)  # after the imports, because their duration differs between processes
    config = CONFIG.value
    workdir = WORKDIR.value or experiment.default_workdir(config_flags.get_config_filename(flags.FLAGS["config"]))
    fill_in_networks(config)
    task, make_iterator = build(config)  # checks all settings before data is made, which may take hours
    ensure_data(config)
    state = train(config, task, make_iterator, workdir)
    if int(state.step) < config.steps:
        logging.warning("%s: stopped and saved at step %d; the same command goes on from there", workdir, int(state.step))
        sys.exit(supervision.RESTART)


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    with exit_on_user_error(), supervision.leaving_at_once(several := processes.several()):
        supervision.guard(several)
        app.run(run, flags_parser=parse)


if __name__ == "__main__":
    main()
