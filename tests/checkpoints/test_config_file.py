from __future__ import annotations

import json
import pathlib

import pytest
from etils import epath
from ml_collections import ConfigDict

from tests.training.toy import toy_config
from xactor_jax.checkpoints import config_file
from xactor_jax.errors import UserError


def test_differences() -> None:
    old, new = {"a": 1, "b": {"c": (1, 2), "d": 3}}, ConfigDict({"a": 1, "b": {"c": [1, 2], "d": 4}, "e": 5})
    assert config_file.differences(old, new) == {"b.d": (3, 4), "e": (None, 5)}


def test_a_config_comes_back(tmp_path: pathlib.Path) -> None:
    folder = epath.Path(tmp_path)
    assert config_file.read_config(folder) is None
    config_file.write_config(folder, toy_config())
    read = config_file.read_config(folder)
    assert read is not None and read.to_dict() == toy_config().to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("text", ['{"stage": ', "[" * 100_000])
def test_a_config_that_is_not_json(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is not readable as JSON"):
        config_file.read_config(epath.Path(tmp_path))


@pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '{"config": 1}', '{"stage": "toy", "config": []}', '{"stage": 3}'])
def test_json_that_is_no_config(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is no config of a run or an export"):
        config_file.read_config(epath.Path(tmp_path))


def test_tuples() -> None:
    assert config_file.tuples(json.loads('{"a": [1, [2, 3]], "b": "x"}')) == {"a": (1, (2, 3)), "b": "x"}
