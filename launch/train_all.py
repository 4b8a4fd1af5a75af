"""Trains all stages, one after the other, and exports what sampling needs. data/assets was made in this way.

python launch/train_all.py --preset heads --out runs/heads                       # the steps of the presets: hours on two cores
python launch/train_all.py --preset heads --budget_minutes 12 --out runs/heads   # as many steps as fit: for one GPU
python launch/train_all.py --preset heads --out DIR --set data.persons=400 --set video:batch_size=8
python launch/train_all.py --preset tune --data runs/data/mine --out runs/mine --budget_minutes 60  # data/assets, on your clips

The data set is made first, on all cores. Every stage is a run of launch/train.py in OUT/STAGE; its command is printed. Weights
are exported to OUT/export/STAGE. The same command again continues where it stopped. On an accelerator activations are bfloat16.
With a budget each stage gets a share of the remaining minutes: its speed is measured in a few steps, then its number of steps
is fixed (OUT/plan.json), and its learning rate decreases until the last of them.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel.supervision import RESTART, run_child, status_of
from xactor_jax.settings import real
from xactor_jax.training.plan import Budget, Setting, Step, config_of, options_of, parse_setting

ROOT = Path(__file__).resolve().parent.parent
EXPORTED = ("motion", "autoencoder", "actor", "actor_fast", "video")
"""Steps whose weights are exported, in plans that have them."""

PRETRAINED = {"actor": ("motion",), "video": ("motion", "autoencoder")}
"""Stage → stages whose runs its config.pretrained names."""


PLANS = {
    "heads": (
        Step("encoder", "motion", "heads_encoder", 0.10),
        Step("rebuilding", "motion", "heads", 0.26, ("generator/encoder=encoder", "reader=encoder")),
        Step("motion", "motion", "heads_sharpen", 0.10, ("rebuilding",)),
        Step("autoencoder", "autoencoder", "heads", 0.12),
        Step("actor", "actor", "heads", 0.10),
        Step("actor_fast", "actor", "heads_fast", 0.06, ("actor",)),
        Step("latents", "video", "heads", 0.10),
        Step("video", "video", "heads_finish", 0.16, ("latents",)),
    ),
    "puppets": (
        Step("motion", "motion", "puppets", 0.25),
        Step("autoencoder", "autoencoder", "puppets", 0.05),
        Step("actor", "actor", "puppets", 0.30),
        Step("video", "video", "puppets", 0.40),
    ),
    "tune": (  # starts from the embedded checkpoints; the autoencoder is not trained
        Step("rebuilding", "motion", "tune", 0.42),
        Step("motion", "motion", "tune_sharpen", 0.14, ("rebuilding",)),
        Step("actor", "actor", "tune", 0.14),
        Step("actor_fast", "actor", "heads_fast", 0.06, ("actor",)),
        Step("video", "video", "tune", 0.24),
    ),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add(
        "--preset",
        choices=tuple(PLANS),
        default="heads",
        help="recipe; heads and puppets: synthetic people, tune: your own clips",
    )
    add("--data", default="", metavar="DIR", help="clips made by launch/prepare.py, instead of the people of the preset")
    add("--out", default="", metavar="DIR", help="folder of the runs, on this machine; default: runs/PRESET")
    add(
        "--budget_minutes",
        type=float,
        metavar="M",
        help="minutes for everything, including the data set; default: the numbers of steps of the presets",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="[STEP:]KEY=VALUE",
        help="a setting of all steps that have it, or of one step",
    )
    add(
        "--precision",
        choices=("float32", "bfloat16", "bf16"),
        help="number type of activations; default: bfloat16 on accelerators, else float32",
    )
    return about


def exported(steps: tuple[Step, ...]) -> list[str]:
    """The steps of a plan whose weights are exported."""
    names = [step.name for step in steps]
    return [name for name in EXPORTED if name in names]


def data_setting(arguments: argparse.Namespace) -> list[str]:
    """The setting for --data. Encoded records are made beside these clips.

    Raises:
        UserError: there are no clips, or --data is missing and the preset has no synthetic people.
    """
    from data import records, storage

    if arguments.data:
        storage.read_index(arguments.data, records.KIND)
        return [f"data.path={Path(arguments.data).absolute()}"]
    if arguments.preset == "tune":
        raise UserError("--preset tune learns from your own clips: name them with --data DIR, made by launch/prepare.py.")
    return []


def call(program: str, *options: str) -> None:
    """Runs a program of this folder and prints its command. If its status is not 0, this program ends with the same."""
    command = [sys.executable, f"launch/{program}.py", *options]
    print("$", "python", *command[1:], flush=True)
    status, sentence = status_of(run_child(command, folder=ROOT))
    if status == RESTART:
        sentence = "stopped and saved; the same command goes on from there"
    if sentence:
        print(sentence, file=sys.stderr)
    if status:
        sys.exit(status)


def make_data(steps: tuple[Step, ...], settings: list[Setting]) -> None:
    """Makes every embedded data set that the steps use, after the settings of all steps were checked."""
    from data.embedded import ensure_clips

    for config in [config_of(step, settings) for step in steps]:
        ensure_clips(config)


def has_accelerator() -> bool:
    """Whether JAX finds an accelerator. A separate process checks it, so that the device is free afterwards."""
    question = "import jax; print(jax.default_backend())"
    answer = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True)
    return answer.stdout.strip() not in ("", "cpu")


def run(arguments: argparse.Namespace) -> None:
    """Runs all steps, in order."""
    steps, out = PLANS[arguments.preset], Path(arguments.out or f"runs/{arguments.preset}").absolute()
    settings = [parse_setting(text, steps) for text in [*data_setting(arguments), *arguments.set]]
    check_numbers(arguments, {"budget_minutes": real(0.0, above=True)})
    budget = None if arguments.budget_minutes is None else Budget(arguments.budget_minutes, out, partial(call, "train"))
    out.mkdir(parents=True, exist_ok=True)
    precision = arguments.precision or ("bfloat16" if has_accelerator() else "")
    trained = [step.name for step in steps]
    options = {step.name: options_of(step, trained, PRETRAINED, out, settings, precision) for step in steps}
    make_data(steps, settings)
    for index, step in enumerate(steps):
        own, workdir = options[step.name], out / step.name
        chosen = [f"--config.steps={budget.choose(step, steps[index:], own, workdir)}"] if budget else []
        call("train", *own, *chosen)
    for stage in exported(steps):
        call("export", f"--from={out / stage}", f"--to={out / 'export' / stage}", "--dtype=float16")


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence; status 75: start it again."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        run(arguments)


if __name__ == "__main__":
    main()
