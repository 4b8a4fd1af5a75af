"""Plans of several training runs in sequence: the options of each, and how many steps fit into a budget of minutes."""

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

PROBE_STEPS = 30  # steps that measure the speed of a run

Call = Callable[..., None]
"""Runs launch/train.py with the given options."""


class Step(NamedTuple):
    """One run of launch/train.py."""

    name: str
    """Name of its folder."""
    config: str
    preset: str
    share: float
    """Share of the budget, relative to the sum over all steps."""
    start: tuple[str, ...] = ()
    """Earlier steps whose parameters it starts from. PART=NAME starts from a part of them."""

    @property
    def experiment(self) -> str:
        """The value of --config that trains this step."""
        return f"configs/{self.config}.py:{self.preset}"


class Setting(NamedTuple):
    """One --set option."""

    step: str
    key: str
    value: str

    @property
    def flag(self) -> str:
        return f"--config.{self.key}={self.value}"

    @property
    def parsed(self) -> object:
        """The value as a Python literal; if it is none, the text."""
        try:
            return ast.literal_eval(self.value)
        except (SyntaxError, ValueError):
            return self.value

    def concerns(self, step: Step, config: ConfigDict) -> bool:
        """Whether the setting applies to the step."""
        return self.step == step.name or (not self.step and has(config, self.key))


def parse_setting(text: str, steps: Sequence[Step]) -> Setting:
    """Parses a --set option. Raises `UserError` if the text is not a setting, or if there is no such step."""
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
    """The preset of a step with its settings. Raises `UserError` if a setting does not exist or has a wrong type."""
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
    """The options of launch/train.py for a step, without its number of steps.

    If a stage that the config has `needed` is `trained` by the same plan, the options name its run in `out`.
    """
    config = config_of(step, settings)
    options = [f"--config={step.experiment}", f"--workdir={out / step.name}"]
    options += [f"--config.pretrained.{name}={out / name}" for name in needed.get(step.config, ()) if name in trained]
    if step.start:
        options.append(f"--config.init_from={','.join(started(text, out) for text in step.start)}")
    options += [f"--config.precision={precision}"] if precision else []
    return options + [s.flag for s in settings if s.concerns(step, config)]


def started(text: str, out: pathlib.Path) -> str:
    """Converts an entry of `Step.start` into the form of `config.init_from`."""
    part, equals, name = text.rpartition("=")
    return f"{part}{equals}{out / name}"


class Budget:
    """The minutes for all steps, and the numbers of training steps that were chosen. A restarted plan keeps these numbers."""

    def __init__(self, minutes: float, out: pathlib.Path, train: Call):
        self._deadline, self._file, self._train = time.monotonic() + 60 * minutes, out / "plan.json", train
        self.chosen: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def choose(self, step: Step, left: Sequence[Step], options: Sequence[str], workdir: pathlib.Path) -> int:
        """Number of training steps that fit into the step's share of the remaining time. Trains the first few to find out."""
        if step.name not in self.chosen:
            begun = time.monotonic()
            seconds = (self._deadline - begun) * step.share / sum(s.share for s in left)
            few = (f"--config.steps={PROBE_STEPS}", f"--config.log_every={PROBE_STEPS // 3}", "--config.eval_every=0")
            self._train(*options, *few)
            rate, used = steps_per_second(workdir), time.monotonic() - begun
            again = used - PROBE_STEPS / rate  # seconds to start once more
            self.chosen[step.name] = PROBE_STEPS + max(1, int((seconds - used - again) * rate))
            self._file.write_text(json.dumps(self.chosen))
        return self.chosen[step.name]


def steps_per_second(workdir: pathlib.Path) -> float:
    """Speed according to the last line of the run's metrics."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return float([line["train/steps_per_second"] for line in lines if "train/steps_per_second" in line][-1])
