"""Trains all stages, one after the other, and exports what sampling needs: how data/assets was made.

python launch/train_all.py --preset heads --out runs/heads                       # the steps of the presets: hours on two cores
python launch/train_all.py --preset heads --budget_minutes 12 --out runs/heads   # as many steps as fit: for one GPU
python launch/train_all.py --preset heads --out DIR --set data.persons=400 --set video:batch_size=8
python launch/train_all.py --preset tune --data runs/data/mine --out runs/mine --budget_minutes 60  # data/assets, on your clips

The data set is made first, on all cores. Every stage is a run of launch/train.py in OUT/STAGE, with the command that is
printed; weights go to OUT/export/STAGE. The same command again goes on where it stopped. On an accelerator activations are
bfloat16. With a budget each stage gets a share of the minutes that are left: a few steps say how fast it is, then the number
of its steps is fixed (OUT/plan.json) and its learning rate falls to the last of them.
"""

from __future__ import annotations

import argparse
import ast
import json
import pathlib
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel.supervision import RESTART, run_child, status_of
from xactor_jax.settings import real
from xactor_jax.training import experiment

ROOT = Path(__file__).resolve().parent.parent
PROBE_STEPS = 30  # that say how fast a stage is
EXPORTED = ("motion", "autoencoder", "actor", "video")
PRETRAINED = {"actor": ("motion",), "video": ("motion", "autoencoder")}
"""Config → stages whose runs it names."""


class Step(NamedTuple):
    """One run of launch/train.py."""

    name: str
    """Its folder."""
    config: str
    preset: str
    share: float
    """Of the budget, over the sum of all."""
    start: tuple[str, ...] = ()
    """Earlier steps whose parameters it starts with, or of them a part: PART=NAME."""


PLANS = {
    "heads": (
        Step("encoder", "motion", "heads_encoder", 0.10),
        Step("rebuilding", "motion", "heads", 0.28, ("generator/encoder=encoder", "reader=encoder")),
        Step("motion", "motion", "heads_sharpen", 0.10, ("rebuilding",)),
        Step("autoencoder", "autoencoder", "heads", 0.12),
        Step("actor", "actor", "heads", 0.12),
        Step("latents", "video", "heads", 0.10),
        Step("video", "video", "heads_finish", 0.18, ("latents",)),
    ),
    "puppets": (
        Step("motion", "motion", "puppets", 0.25),
        Step("autoencoder", "autoencoder", "puppets", 0.05),
        Step("actor", "actor", "puppets", 0.30),
        Step("video", "video", "puppets", 0.40),
    ),
    "tune": (  # from the embedded checkpoints, as their presets say; the autoencoder stays
        Step("rebuilding", "motion", "tune", 0.45),
        Step("motion", "motion", "tune_sharpen", 0.15, ("rebuilding",)),
        Step("actor", "actor", "tune", 0.15),
        Step("video", "video", "tune", 0.25),
    ),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--preset", choices=tuple(PLANS), default="heads", help="who is learned from")
    add("--data", default="", metavar="DIR", help="clips of launch/prepare.py to learn from, instead of the preset's people")
    add("--out", default="", metavar="DIR", help="folder of the runs, on this machine; default: runs/PRESET")
    add(
        "--budget_minutes", type=float, metavar="M", help="for everything, making the data set too; default: the presets' steps"
    )
    add("--set", action="append", default=[], metavar="[STEP:]KEY=VALUE", help="a setting of all steps that have it, or of one")
    add(
        "--precision",
        choices=("float32", "bfloat16", "bf16"),
        help="of activations; default: bfloat16 on accelerators",
    )
    return about


class Setting(NamedTuple):
    """One --set."""

    step: str
    key: str
    value: str

    @property
    def flag(self) -> str:
        return f"--config.{self.key}={self.value}"

    @property
    def parsed(self) -> object:
        """The value as Python writes it; else text."""
        try:
            return ast.literal_eval(self.value)
        except (SyntaxError, ValueError):
            return self.value

    def concerns(self, step: Step, config) -> bool:
        """Whether it is one of the step's settings."""
        return self.step == step.name or (not self.step and has(config, self.key))


def parse_setting(text: str, steps: tuple[Step, ...]) -> Setting:
    """Raises `UserError` for what is no setting, or of a step that there is not."""
    key, equals, value = text.partition("=")
    step, colon, name = key.partition(":")
    if not equals or (colon and step not in [s.name for s in steps]):
        raise UserError(f"--set {text}: give KEY=VALUE or STEP:KEY=VALUE, with a step of {', '.join(s.name for s in steps)}.")
    return Setting(step, name, value) if colon else Setting("", key, value)


def data_setting(arguments: argparse.Namespace) -> list[str]:
    """What --data sets; its encoded records are made beside it.

    Raises:
        UserError: there are no clips, or none are named and the preset has no people of its own.
    """
    from data import records, storage

    if arguments.data:
        storage.read_index(arguments.data, records.KIND)
        return [f"data.path={Path(arguments.data).absolute()}"]
    if arguments.preset == "tune":
        raise UserError("--preset tune learns from your own clips: name them with --data DIR, made by launch/prepare.py.")
    return []


def options_of(step: Step, steps: tuple[Step, ...], out: Path, settings: list[Setting], precision: str) -> list[str]:
    """The options of launch/train.py for a step, but its number of steps."""
    config, trained = config_of(step, settings), [other.name for other in steps]
    options = [f"--config=configs/{step.config}.py:{step.preset}", f"--workdir={out / step.name}"]
    options += [f"--config.pretrained.{stage}={out / stage}" for stage in PRETRAINED.get(step.config, ()) if stage in trained]
    if step.start:
        options.append(f"--config.init_from={','.join(started(text, out) for text in step.start)}")
    options += [f"--config.precision={precision}"] if precision else []
    return options + [s.flag for s in settings if s.concerns(step, config)]


def has(config, key: str) -> bool:
    """Whether a config has a setting of that name."""
    for part in key.split("."):
        if not (hasattr(config, "keys") and part in config):
            return False
        config = config[part]
    return True


def call(program: str, *options: str) -> None:
    """Runs a program of this folder, its command shown; a status that is not 0 ends this program with the same."""
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
    """Builds every embedded data set that the steps name, after all their settings are found to be right."""
    from data.embedded import ensure_clips

    for config in [config_of(step, settings) for step in steps]:
        ensure_clips(config)


def started(text: str, out: Path) -> str:
    """An entry of `Step.start` as `config.init_from` has it."""
    part, equals, name = text.rpartition("=")
    return f"{part}{equals}{out / name}"


def config_of(step: Step, settings: list[Setting]):
    """The preset of a step with its settings. Raises `UserError` for one that it does not have, or of a wrong type."""
    config = experiment.load_config(f"configs/{step.config}.py:{step.preset}")
    for setting in settings:
        if setting.step == step.name and not has(config, setting.key):
            raise experiment.unknown_setting(setting.key, config)
        if setting.concerns(step, config):
            try:
                config.update_from_flattened_dict({setting.key: setting.parsed})
            except (TypeError, ValueError) as error:
                raise UserError(f"--set {setting.key}={setting.value} does not fit: {error}.") from None
    return config


def has_accelerator() -> bool:
    """Asked in a process of its own, which gives the device back."""
    question = "import jax; print(jax.default_backend())"
    answer = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True)
    return answer.stdout.strip() not in ("", "cpu")


class Budget:
    """Minutes of all steps, and the numbers of steps that were chosen, which a second start keeps."""

    def __init__(self, minutes: float, out: Path):
        self._deadline, self._file = time.monotonic() + 60 * minutes, out / "plan.json"
        self.chosen: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def choose(self, step: Step, left: tuple[Step, ...], options: list[str], workdir: Path) -> int:
        """Steps that fit into the step's share of the time that is left; trains the first few."""
        if step.name not in self.chosen:
            begun = time.monotonic()
            seconds = (self._deadline - begun) * step.share / sum(s.share for s in left)
            few = (f"--config.steps={PROBE_STEPS}", f"--config.log_every={PROBE_STEPS // 3}", "--config.eval_every=0")
            call("train", *options, *few)
            rate, used = steps_per_second(workdir), time.monotonic() - begun
            again = used - PROBE_STEPS / rate  # to start once more
            self.chosen[step.name] = PROBE_STEPS + max(1, int((seconds - used - again) * rate))
            self._file.write_text(json.dumps(self.chosen))
        return self.chosen[step.name]


def steps_per_second(workdir: Path) -> float:
    """As the run's last line of metrics says."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line["train/steps_per_second"] for line in lines if "train/steps_per_second" in line][-1]


def run(arguments: argparse.Namespace) -> None:
    """Everything, in order."""
    steps, out = PLANS[arguments.preset], Path(arguments.out or f"runs/{arguments.preset}").absolute()
    settings = [parse_setting(text, steps) for text in [*data_setting(arguments), *arguments.set]]
    check_numbers(arguments, {"budget_minutes": real(0.0, above=True)})
    budget = None if arguments.budget_minutes is None else Budget(arguments.budget_minutes, out)
    out.mkdir(parents=True, exist_ok=True)
    precision = arguments.precision or ("bfloat16" if has_accelerator() else "")
    options = {step.name: options_of(step, steps, out, settings, precision) for step in steps}
    make_data(steps, settings)
    for index, step in enumerate(steps):
        own, workdir = options[step.name], out / step.name
        chosen = [f"--config.steps={budget.choose(step, steps[index:], own, workdir)}"] if budget else []
        call("train", *own, *chosen)
    for stage in (name for name in EXPORTED if name in options):
        call("export", f"--from={out / stage}", f"--to={out / 'export' / stage}", "--dtype=float16")


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right, and with 75 where the same command goes on."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        run(arguments)


if __name__ == "__main__":
    main()
