from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from absl import flags
from etils import epath
from ml_collections import ConfigDict, config_flags

from tests.training.toy import toy_config
from xactor_jax.errors import UserError
from xactor_jax.training import experiment

CONFIG = "--config=tests/training/toy_experiment.py"


def parsed(monkeypatch: pytest.MonkeyPatch, repository: pathlib.Path, *arguments: str) -> Any:
    """(config, arguments left) as launch/train.py gets them."""
    monkeypatch.chdir(repository)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    command = ["train.py", *arguments]
    monkeypatch.setattr("sys.argv", command)
    left = experiment.parse_flags(values, command)
    return values.config, left


def test_settings_from_the_command_line(monkeypatch: pytest.MonkeyPatch, repository: pathlib.Path) -> None:
    arguments = (CONFIG, "--config.steps=5", "--config.optimizer.name", "adam", "--workdir=/tmp/x")
    config, left = parsed(monkeypatch, repository, *arguments)
    assert (config.steps, config.optimizer.name, config.seed) == (5, "adam", 0) and left == ["train.py"]
    assert parsed(monkeypatch, repository, "--config", "tests/training/toy_experiment.py:long")[0].steps == 100_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CONFIG, "--config.stepz=3"], r"^the config has no setting stepz: did you mean --config\.steps\?$"),
        ([CONFIG, "--config.learning_rte=3"], r"did you mean --config\.optimizer\.learning_rate\?"),
        ([CONFIG, "--config.checkpoint.evry", "3"], r"no setting checkpoint\.evry: did you mean --config\.checkpoint\.every\?"),
        ([CONFIG, "--config.q\nq=3"], r"^the config has no setting 'q\\nq': [^\n]*$"),
        ([CONFIG, "--config.qqq=3"], r"the config has no setting qqq: launch/train\.py lists what there is with --settings\.$"),
        ([CONFIG, "--config.steps=many"], r"steps=many"),
        ([CONFIG, "--batch=3"], r"Unknown command line flag 'batch'"),
        ([], r"^no config is given: add --config=configs/motion\.py"),
        (["--config=configs/emotion.py"], r"^the config file configs/emotion\.py does not exist"),
        ([f"{CONFIG}:huge"], r"toy_experiment\.py gives no config for the preset huge"),
    ],
)
def test_mistakes(monkeypatch: pytest.MonkeyPatch, repository: pathlib.Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parsed(monkeypatch, repository, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "folder"),
    [
        ("configs/motion.py", "runs/motion"),
        ("configs/motion.py:default", "runs/motion"),
        ("/a/b/actor.py:base", "runs/actor-base"),
    ],
)
def test_default_workdir(flag: str, folder: str) -> None:
    assert experiment.default_workdir(flag) == folder
