"""Several runs of training, one after the other: the commands of each, and how many steps fit into a budget of minutes."""

from __future__ import annotations

import ast
import json
import pathlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.training import experiment

PROBE_STEPS = 30  # that say how fast a step of a plan is

Call = Callable[..., None]
"""Runs launch/train.py with these options."""


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

    @property
    def experiment(self) -> str:
        """As --config names it."""
        return f"configs/{self.config}.py:{self.preset}"


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

    def concerns(self, step: Step, config: ConfigDict) -> bool:
        """Whether it is one of the step's settings."""
        return self.step == step.name or (not self.step and has(config, self.key))


def parse_setting(text: str, steps: Sequence[Step]) -> Setting:
    """Raises `UserError` for what is no setting, or of a step that there is not."""
    key, equals, value = text.partition("=")
    step, colon, name = key.partition(":")
    if not equals or (colon and step not in [s.name for s in steps]):
        raise UserError(f"--set {text}: give KEY=VALUE or STEP:KEY=VALUE, with a step of {', '.join(s.name for s in steps)}.")
    return Setting(step, name, value) if colon else Setting("", key, value)


def has(config: ConfigDict, key: str) -> bool:
    """Whether a config has a setting of that name."""
    for part in key.split("."):
        if not (hasattr(config, "keys") and part in config):
            return False
        config = config[part]
    return True


def config_of(step: Step, settings: Sequence[Setting]) -> ConfigDict:
    """The preset of a step with its settings. Raises `UserError` for one that it does not have, or of a wrong type."""
    config = experiment.load_config(step.experiment)
    for setting in settings:
        if setting.step == step.name and not has(config, setting.key):
            raise experiment.unknown_setting(setting.key, config)
        if setting.concerns(step, config):
            try:
                config.update_from_flattened_dict({setting.key: setting.parsed})
            except (TypeError, ValueError) as error:
                raise UserError(f"--set {setting.key}={setting.value} does not fit: {error}.") from None
    return config


def options_of(
    step: Step,
    trained: Collection[str],
    needed: Mapping[str, Sequence[str]],
    out: pathlib.Path,
    settings: Sequence[Setting],
    precision: str,
) -> list[str]:
    """The options of launch/train.py for a step, but its number of steps.

    Of the stages that its config has `needed`, those `trained` by the same plan are named by their runs in `out`.
    """
    config = config_of(step, settings)
    options = [f"--config={step.experiment}", f"--workdir={out / step.name}"]
    options += [f"--config.pretrained.{name}={out / name}" for name in needed.get(step.config, ()) if name in trained]
    if step.start:
        options.append(f"--config.init_from={','.join(started(text, out) for text in step.start)}")
    options += [f"--config.precision={precision}"] if precision else []
    return options + [s.flag for s in settings if s.concerns(step, config)]


def started(text: str, out: pathlib.Path) -> str:
    """An entry of `Step.start` as `config.init_from` has it."""
    part, equals, name = text.rpartition("=")
    return f"{part}{equals}{out / name}"


class Budget:
    """Minutes of all steps, and the numbers of steps that were chosen, which a second start keeps."""

    def __init__(self, minutes: float, out: pathlib.Path, train: Call):
        self._deadline, self._file, self._train = time.monotonic() + 60 * minutes, out / "plan.json", train
        self.chosen: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def choose(self, step: Step, left: Sequence[Step], options: Sequence[str], workdir: pathlib.Path) -> int:
        """Steps that fit into the step's share of the time that is left; trains the first few."""
        if step.name not in self.chosen:
            begun = time.monotonic()
            seconds = (self._deadline - begun) * step.share / sum(s.share for s in left)
            few = (f"--config.steps={PROBE_STEPS}", f"--config.log_every={PROBE_STEPS // 3}", "--config.eval_every=0")
            self._train(*options, *few)
            rate, used = steps_per_second(workdir), time.monotonic() - begun
            again = used - PROBE_STEPS / rate  # to start once more
            self.chosen[step.name] = PROBE_STEPS + max(1, int((seconds - used - again) * rate))
            self._file.write_text(json.dumps(self.chosen))
        return self.chosen[step.name]


def steps_per_second(workdir: pathlib.Path) -> float:
    """As the run's last line of metrics says."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return float([line["train/steps_per_second"] for line in lines if "train/steps_per_second" in line][-1])
