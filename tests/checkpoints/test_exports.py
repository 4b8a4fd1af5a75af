from __future__ import annotations

import json
import logging
import pathlib
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from tests.launch.programs import run_here
from tests.training.test_saving import QUIET, run
from tests.training.toy import DIM, ToyTask, make_iterator_of, toy_config
from xactor_jax.checkpoints import exports
from xactor_jax.checkpoints.config_file import read_config, write_config
from xactor_jax.checkpoints.exports import (
    TRAINING,
    checkpoint_hash,
    export,
    load_variables,
    narrow,
    variables_hash,
    without_folders,
    write_export,
)
from xactor_jax.checkpoints.trees import FOLDER
from xactor_jax.errors import UserError
from xactor_jax.training.loop import train
from xactor_jax.variables import Variables


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Any]:
    """(folder, last state) of a run on eight devices."""
    folder = tmp_path_factory.mktemp("run")
    return folder, jax.device_get(run(folder, mesh__fsdp=4))


def test_a_run_gives_its_average_and_its_config(trained: tuple[pathlib.Path, Any]) -> None:
    folder, state = trained
    config, variables = load_variables(folder, "toy")
    jax.tree.map(np.testing.assert_array_equal, variables, Variables(state.ema, state.buffers))
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(variables))
    assert config.hidden == 64 and config.mesh.fsdp == 4
    difference = np.abs(variables.params["hidden"]["kernel"] - state.params["hidden"]["kernel"])
    assert difference.max() > 0


def test_the_network_runs_on_what_was_loaded(trained: tuple[pathlib.Path, Any]) -> None:
    config, variables = load_variables(trained[0], "toy")
    assert ToyTask(hidden=config.hidden).predict(variables.params, np.ones((2, DIM), np.float32)).shape == (2, DIM)


def test_an_export_holds_the_same_and_is_smaller(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    folder, _ = trained
    export(folder, tmp_path / "export")
    config, variables = load_variables(tmp_path / "export", "toy")
    jax.tree.map(np.testing.assert_array_equal, variables, load_variables(folder, "toy")[1])
    assert config.to_dict() == without_folders(load_variables(folder, "toy")[0])
    assert not [
        path for path in (tmp_path / "export").rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()
    ]
    assert checkpoint_hash(tmp_path / "export") == checkpoint_hash(folder) == variables_hash(variables)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export"]


class Distilled(ToyTask):
    """With a buffer that only training needs."""

    def init(self, key: jax.Array) -> Variables:
        params, buffers = super().init(key)
        return Variables(params, {**buffers, TRAINING: {"teacher": buffers["mean"]}})


def test_what_only_training_needs_stays_in_the_run(tmp_path: pathlib.Path) -> None:
    config = toy_config(**QUIET)
    state = train(config, Distilled(), make_iterator_of(config), tmp_path / "run")
    assert TRAINING in state.buffers
    export(tmp_path / "run", tmp_path / "export")
    for folder in ("run", "export"):
        assert load_variables(tmp_path / folder, "toy")[1].buffers.keys() == state.buffers.keys() - {TRAINING}


def size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_half_precision_halves_the_size(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    export(trained[0], tmp_path / "whole")
    export(trained[0], tmp_path / "half", "float16")
    whole, half = load_variables(tmp_path / "whole", "toy")[1], load_variables(tmp_path / "half", "toy")[1]
    assert {x.dtype for x in jax.tree.leaves(half)} == {np.dtype("float32")}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), half, whole)
    assert size(tmp_path / "half" / "variables") < 0.75 * size(tmp_path / "whole" / "variables")
    assert checkpoint_hash(tmp_path / "half") == checkpoint_hash(tmp_path / "whole")


def test_an_export_replaces_only_an_older_one_of_its_stage(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        export(trained[0], tmp_path / "export")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds something else than an export of the stage toy: give a new folder"):
        export(trained[0], tmp_path / "other")
    assert (tmp_path / "other" / "thesis.txt").read_text() == "precious"


def test_of_two_exports_at_once_the_last_stays_whole(
    trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process writes to the same place all the time while the first one writes."""
    write, target = exports._write_export, tmp_path / "export"

    def write_with_company(*arguments: Any) -> None:
        monkeypatch.setattr(exports, "_write_export", write)
        write(*arguments)
        export(trained[0], target)

    monkeypatch.setattr(exports, "_write_export", write_with_company)
    export(trained[0], target)
    assert checkpoint_hash(target) == checkpoint_hash(trained[0])
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_tuples_of_a_config_come_back_as_tuples(tmp_path: pathlib.Path) -> None:
    with toy_config().unlocked() as config:
        config.widths = (48, 96)
        write_config(epath.Path(tmp_path), config)
    read = read_config(epath.Path(tmp_path))
    assert read is not None and read.widths == (48, 96)


def ruin(folder: pathlib.Path) -> None:
    """Every file there holds nonsense afterwards."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"nothing")


def test_a_damaged_checkpoint_is_passed_over(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, steps=4)
    before = load_variables(tmp_path, "toy")[1]
    run(tmp_path, steps=8)
    ruin(tmp_path / FOLDER / "8" / "state")
    with caplog.at_level(logging.WARNING):
        after = load_variables(tmp_path, "toy")[1]
    jax.tree.map(np.testing.assert_array_equal, after, before)
    assert "checkpoint 8 in" in caplog.text
    ruin(tmp_path / FOLDER / "4" / "state")
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        load_variables(tmp_path, "toy")


def test_a_damaged_export(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    export(trained[0], tmp_path / "export")
    ruin(tmp_path / "export" / "variables")
    with pytest.raises(UserError, match="is damaged"):
        load_variables(tmp_path / "export", "toy")


@pytest.fixture
def exported(tmp_path: pathlib.Path) -> pathlib.Path:
    """An export of random numbers, in half precision as small ones are."""
    rng, params = np.random.default_rng(0), {}
    for name in "abc":
        params[name] = {"kernel": rng.normal(size=(64, 64)).astype(np.float32)}
    write_export(tmp_path / "export", toy_config(), Variables(params, {"mean": np.ones(8, np.float32)}), "float16")
    return tmp_path / "export"


def test_one_flipped_bit_of_an_export_is_noticed(exported: pathlib.Path) -> None:
    """Wherever it is: what is loaded is what was exported, or nothing."""
    before = variables_hash(load_variables(exported, "toy")[1])
    largest = max(
        (path for path in (exported / "variables").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    whole, refused = largest.read_bytes(), 0
    for place in np.random.default_rng(1).integers(len(whole), size=20):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        largest.write_bytes(damaged)
        try:
            assert variables_hash(load_variables(exported, "toy")[1]) == before
        except UserError as error:
            assert "is damaged" in str(error)
            refused += 1
    assert refused >= 15
    largest.write_bytes(whole)
    assert variables_hash(load_variables(exported, "toy")[1]) == before


def test_settings_that_were_changed_after_the_export_are_said(exported: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    load_variables(exported, "toy")
    assert not caplog.text
    file = exported / "config.json"
    file.write_text(file.read_text().replace('"hidden": 64', '"hidden": 96'))
    assert load_variables(exported, "toy")[0].hidden == 96
    assert "has other settings than were exported" in caplog.text


def test_an_export_without_fingerprints_loads(exported: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    file = exported / "config.json"
    about = json.loads(file.read_text())
    assert set(about.pop("fingerprints")) == {"variables", "config"}
    file.write_text(json.dumps(about))
    assert load_variables(exported, "toy")[1].params["a"]["kernel"].shape == (64, 64) and not caplog.text


def test_no_checkpoint(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"there is no checkpoint in .*/none: .* train one with configs/actor\.py"):
        load_variables(tmp_path / "none", "actor")


def test_another_stage(trained: tuple[pathlib.Path, Any]) -> None:
    with pytest.raises(UserError, match="holds a checkpoint of the stage toy, not motion: name a folder of that stage"):
        load_variables(trained[0], "motion")


def test_numbers_too_large_for_half_precision(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="too large for float16: use --dtype float32"):
        narrow({"a": np.array([1e6], np.float32)}, "float16")


def test_the_program(trained: tuple[pathlib.Path, Any], tmp_path: pathlib.Path, repository: pathlib.Path) -> None:
    command = [sys.executable, "launch/export.py", "--from", trained[0], "--to", tmp_path / "export", "--dtype", "float16"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0 and checkpoint_hash(tmp_path / "export") in done.stdout
    assert json.loads((tmp_path / "export" / "config.json").read_text())["stage"] == "toy"
    missing = run_here("export.py", "--from", tmp_path / "none", "--to", tmp_path / "second")
    assert missing.returncode == 2 and missing.stderr.startswith("error: there is no checkpoint in")
    assert not (tmp_path / "second").exists()


def test_an_export_does_not_say_where_things_lay():
    audio = {"kind": "wav2vec2", "checkpoint": "/home/me/w2v", "hash": "0123"}
    config = ConfigDict({"stage": "actor", "data": {"path": "/home/me/clips", "seed": 1, "audio": audio}})
    inside = ConfigDict({"stage": "video", "motion": config.copy_and_resolve_references()})
    assert without_folders(inside)["motion"] == without_folders(config)
    assert without_folders(config) == {
        "stage": "actor",
        "data": {"path": "", "seed": 1, "audio": {"kind": "wav2vec2", "checkpoint": "", "hash": "0123"}},
    }
    assert config.data.audio.checkpoint == "/home/me/w2v"
