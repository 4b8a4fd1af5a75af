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
        ([CONFIG, "--config.qqq=3"], r"the config has no setting qqq: the file in configs/ lists what there is\.$"),
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


def test_differences() -> None:
    old, new = {"a": 1, "b": {"c": (1, 2), "d": 3}}, ConfigDict({"a": 1, "b": {"c": [1, 2], "d": 4}, "e": 5})
    assert experiment.differences(old, new) == {"b.d": (3, 4), "e": (None, 5)}


def test_a_config_comes_back(tmp_path: pathlib.Path) -> None:
    folder = epath.Path(tmp_path)
    assert experiment.read_config(folder) is None
    experiment.write_config(folder, toy_config())
    read = experiment.read_config(folder)
    assert read is not None and read.to_dict() == toy_config().to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("text", ['{"stage": ', "[" * 100_000])
def test_a_config_that_is_not_json(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is not readable as JSON"):
        experiment.read_config(epath.Path(tmp_path))


@pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '{"config": 1}', '{"stage": "toy", "config": []}', '{"stage": 3}'])
def test_json_that_is_no_config(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is no config of a run or an export"):
        experiment.read_config(epath.Path(tmp_path))


def test_tuples() -> None:
    assert experiment.tuples(json.loads('{"a": [1, [2, 3]], "b": "x"}')) == {"a": (1, (2, 3)), "b": "x"}
