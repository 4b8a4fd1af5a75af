"""Tests that a killed training run loses nothing: it resumes and ends with the same bits as a run without interruption.

    python launch/study/fault_run.py --kills=30 --steps=300 --config=configs/motion.py --config.checkpoint.every=10

It trains twice. The first run is not interrupted. The second run is killed several times and started again each time: in turn
while it starts and compiles, during its steps, and while it writes a checkpoint; by SIGTERM or SIGKILL, chosen at random. Then
the two runs are compared: every bit of parameters, averages, optimiser state and buffers, the position in the data, and the
curves of all metrics. The exit status is 0 if all are the same, else 1. Other options (--config.KEY=VALUE) go to
launch/train.py; choose them so that there are several checkpoints.

With --processes=N, both runs have N processes joined over the loopback interface, and one of them gets the signal. The others
have a minute to end by themselves. Then they get SIGTERM, as from a scheduler; this is needed if the killed process had not
joined yet.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Sequence
from functools import partial

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SEED, whole
from xactor_jax.training.faults import Job, Trial, differences, finish, last_step, log_of


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--config", required=True, help="as for launch/train.py")
    add("--steps", type=int, default=300, help="steps of each of the two runs")
    add("--kills", type=int, default=30)
    add("--processes", type=int, default=1, help="processes that train together; one of them is killed")
    add("--seed", type=int, default=0, help="seed of the moments and the signals")
    add("--workdir", default="runs/fault", help="a new local folder for both runs")
    add("--program", default="launch/train.py", help=argparse.SUPPRESS)
    return about


def starter(arguments: argparse.Namespace, rest: Sequence[str], workdir: pathlib.Path) -> Callable[[], Job]:
    """Returns a function that starts a run. Every step is logged, so that kills can target a step."""
    settings = [f"--config={arguments.config}", f"--config.steps={arguments.steps}", "--config.log_every=1", *rest]
    command = [sys.executable, arguments.program, *settings, f"--workdir={workdir}"]
    return lambda: Job(command, _root.ROOT, log_of(workdir), arguments.processes)


def run(arguments: argparse.Namespace, rest: Sequence[str]) -> list[str]:
    """Makes both runs and returns the differences at their ends."""
    folder = pathlib.Path(arguments.workdir).absolute()
    if folder.exists():
        raise UserError(f"{folder} exists: give another --workdir, or delete it.")
    whole, broken = folder / "whole", folder / "broken"
    finish(starter(arguments, rest, whole)(), whole)
    print(f"the run without interruption did {last_step(whole)} steps", flush=True)
    note = partial(print, flush=True)
    trial = Trial(starter(arguments, rest, broken), broken, arguments.steps, arguments.seed, note)
    trial.run(arguments.kills)
    for (moment, number), count in sorted(trial.kills.items()):
        print(f"{count:3d} × {number} at {moment}")
    return differences(whole, broken)


def main() -> None:
    """Ends with exit status 1 if the runs differ, and 2 with one sentence for an error that the user can fix."""
    arguments, rest = parser().parse_known_args()
    with exit_on_user_error():
        check_numbers(arguments, {"steps": whole(1), "kills": whole(0), "processes": whole(1, 1_000), "seed": whole(0, SEED)})
        odd = run(arguments, rest)
    print(
        f"{arguments.kills} kills: "
        + (f"these differ: {', '.join(sorted(odd))}" if odd else "the runs are the same to the last bit")
    )
    sys.exit(1 if odd else 0)


if __name__ == "__main__":
    main()
