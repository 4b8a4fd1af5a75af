from __future__ import annotations

import itertools
import json
import logging
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath

from tests.training import checks
from tests.training.shared import programs_of
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.checkpoints.trees import FOLDER, flat, read_arrays, saved_steps, saved_tree
from xactor_jax.errors import UserError, verdict
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training import saving
from xactor_jax.training.loop import train
from xactor_jax.training.programs import Programs
from xactor_jax.training.saving import Checkpoints, restore_iterator

QUIET = {"eval_every": 0, "preview_every": 0}


def run(workdir: Any, **overrides: Any) -> Any:
    config = toy_config(**QUIET, **overrides)
    return train(config, ToyTask(), make_iterator_of(config), workdir)


def programs_on(shape: tuple[int, int, int]) -> Programs:
    config = toy_config(mesh__data=shape[0], mesh__fsdp=shape[1], mesh__tensor=shape[2])
    return programs_of(config, ToyTask(), make_mesh(config.mesh))


def state_file(workdir: pathlib.Path, step: int) -> pathlib.Path:
    """The largest file of a checkpoint's state."""
    files = [path for path in (workdir / FOLDER / str(step) / "state").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


SLOW = pytest.mark.slow  # those of the same test without it are quick


@pytest.mark.parametrize("shape", [(2, 2, 2), *(pytest.param(shape, marks=SLOW) for shape in ((8, 1, 1), (1, 8, 1)))])
def test_a_state_is_restored_onto_any_mesh(tmp_path: pathlib.Path, shape: tuple[int, int, int]) -> None:
    saved = run(tmp_path, mesh__data=2, mesh__fsdp=4)
    programs, iterator = programs_on(shape), make_iterator_of(toy_config())("train", 0, 1)
    with Checkpoints(epath.Path(tmp_path), keep=3) as checkpoints:
        restored = checkpoints.restore(programs.abstract, iterator)
    assert restored is not None
    for array, wanted in zip(jax.tree.leaves(restored), jax.tree.leaves(programs.abstract), strict=True):
        assert array.sharding.is_equivalent_to(wanted.sharding, array.ndim)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), jax.device_get(saved))


@pytest.mark.parametrize("slice_bytes", [1, saving.SLICE_BYTES])
def test_only_large_arrays_are_cut_among_the_devices_that_hold_them(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, slice_bytes: int
) -> None:
    """Those of the toy are small; cut or not, they come back the same."""
    cuts, cut = [], jax.lax.slice_in_dim
    monkeypatch.setattr(saving, "SLICE_BYTES", slice_bytes)
    monkeypatch.setattr(jax.lax, "slice_in_dim", lambda *args, **kwargs: cuts.append(args) or cut(*args, **kwargs))
    saved = run(tmp_path, mesh__data=8)
    assert bool(cuts) == (slice_bytes == 1)
    folder = epath.Path(tmp_path) / FOLDER / "8" / "state"
    found, expected = flat(read_arrays(folder, saved_tree(folder))), flat(jax.device_get(saved))
    assert found.keys() == expected.keys()
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def truncate(workdir: pathlib.Path) -> None:
    file = state_file(workdir, 8)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_bytes(workdir: pathlib.Path) -> None:
    """A run of them in every kilobyte: parts of a file may be left unused by its format, or superseded and never read again."""
    file = state_file(workdir, 8)
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[np.arange(len(content)) % 1024 < 64] ^= 0xFF
    file.write_bytes(content.tobytes())


def lose_the_metadata(workdir: pathlib.Path) -> None:
    (workdir / FOLDER / "8" / "state" / "_METADATA").unlink()


def lose_the_data_position(workdir: pathlib.Path) -> None:
    shutil.rmtree(workdir / FOLDER / "8" / "data")


def change_the_fingerprint(workdir: pathlib.Path) -> None:
    """As if every file were readable and held other numbers."""
    file = workdir / FOLDER / "8" / "check" / "metadata"
    file.write_text(file.read_text().replace(":", ": 1"))


DAMAGES = [flip_bytes, lose_the_data_position, change_the_fingerprint]
DAMAGES += [pytest.param(damage, marks=SLOW) for damage in (truncate, lose_the_metadata)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, damage: Callable[[pathlib.Path], None]
) -> None:
    """The run goes on from the one before, saves the damaged step again, and ends as if nothing had happened."""
    run(tmp_path, steps=8)
    whole = checks.final_arrays(tmp_path)
    damage(tmp_path)
    with caplog.at_level(logging.WARNING):
        run(tmp_path, steps=8)
    assert "checkpoint 8 in" in caplog.text and "is damaged and passed over" in caplog.text
    assert "going on at step 4" in caplog.text
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [8, 4]
    checks.assert_identical(checks.final_arrays(tmp_path), whole)


def test_when_every_checkpoint_is_damaged_nothing_is_overwritten(tmp_path: pathlib.Path) -> None:
    run(tmp_path, steps=8)
    for step in (4, 8):
        state_file(tmp_path, step).write_bytes(b"")
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged: delete the folder to start from the beginning"):
        run(tmp_path, steps=8)
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [8, 4]


def test_only_the_newest_are_kept(tmp_path: pathlib.Path) -> None:
    run(tmp_path, steps=10, checkpoint__every=2, checkpoint__keep=2)
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [10, 8]


@pytest.mark.parametrize("name", ["9.orbax-checkpoint-tmp-1732450000", pytest.param("9.orbax-checkpoint-tmp", marks=SLOW)])
def test_a_save_broken_off_is_not_a_checkpoint(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    run(tmp_path, steps=8)
    shutil.copytree(tmp_path / FOLDER / "8", tmp_path / FOLDER / name)
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [8, 4]
    with caplog.at_level(logging.WARNING):
        run(tmp_path, steps=10)
    assert f"checkpoint 9 in {tmp_path / FOLDER} was cut off while it was written and is passed over" in caplog.text
    assert "going on at step 8" in caplog.text and "checkpoint 8 in" not in caplog.text
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [10, 8, 4]


def test_a_position_saved_by_more_processes(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two processes had read three batches each: one process goes on with the fourth."""
    make_iterator, one = make_iterator_of(toy_config()), make_iterator_of(toy_config())("train", 0, 1)
    for index in (0, 1):
        half = make_iterator("train", index, 2)
        for _ in range(3):
            next(half)
        (tmp_path / f"process_{index}-of-2.json").write_text(str(half.get_state()).replace("'", '"'))
    for _ in range(3):
        next(one)
    resumed = make_iterator("train", 0, 1)
    with caplog.at_level(logging.WARNING):
        restore_iterator(epath.Path(tmp_path), resumed)
    assert "another number of processes" in caplog.text
    checks.assert_identical(next(resumed), next(one))


def test_settings_that_changed_are_named(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, steps=4)
    with caplog.at_level(logging.WARNING):
        run(tmp_path, steps=6)
    assert "steps was 4 in this workdir and is 6 now" in caplog.text and "seed was" not in caplog.text


HOLD = """
import pathlib, sys
from xactor_jax.locks import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_does_not_save_into_the_folder_of_a_first(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would delete what the other has saved. A run that was killed is no longer in the way."""
    monkeypatch.setattr(saving, "PATIENCE", 0.0)
    command = [sys.executable, "-c", HOLD, str(tmp_path / saving.LOCK)]
    first = subprocess.Popen(command, cwd=checks.REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=r"another run saves into .* at this moment: let it end, or give another --workdir"):
        run(tmp_path, steps=2)
    assert [path.name for path in tmp_path.iterdir()] == [saving.LOCK]
    first.kill()
    first.wait()
    run(tmp_path, steps=2)
    assert saved_steps(epath.Path(tmp_path) / FOLDER) == [2]


def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on(tmp_path: pathlib.Path) -> None:
    """Neither the threads that write checkpoints and curves nor the loop wait for room for ever."""
    config, counted, folder = toy_config(**QUIET, steps=12), itertools.count(1), epath.Path(tmp_path) / FOLDER
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        if next(counted) == 6:
            while not saved_steps(folder):
                time.sleep(0.01)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))

    try:
        with pytest.raises((OSError, ValueError)) as raised:
            train(config, ToyTask(), make_iterator_of(config, on_batch=fill), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verdict(raised.value)[0] == 1 and saved_steps(folder) == [4]
    assert int(run(tmp_path, steps=12).step) == 12 and saved_steps(folder) == [12, 8, 4]
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [2, 4, 6, 8, 10, 12]


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"caf\\xe9 is no UTF-8"):
        run(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
