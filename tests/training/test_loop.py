from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import signal
from typing import Any

import cv2
import jax
import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training import checks
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.checkpoints.trees import FOLDER, saved_steps
from xactor_jax.errors import UserError
from xactor_jax.training import loop, metrics
from xactor_jax.training.journal import DivergedError
from xactor_jax.training.loop import train
from xactor_jax.training.programs import Programs, make_programs
from xactor_jax.training.saving import Checkpoints


def train_toy(workdir: pathlib.Path, task: ToyTask | None = None, poison: int = -1, **overrides: Any) -> Any:
    config = toy_config(**overrides)
    return train(config, task or ToyTask(), make_iterator_of(config, poison), workdir)


def steps_saved(workdir: pathlib.Path) -> list[int]:
    return saved_steps(epath.Path(workdir) / FOLDER)


def test_loss_decreases(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path, steps=60, log_every=10, eval_every=0, preview_every=0, checkpoint__every=60)
    losses = [line["train/error"] for line in checks.curve(tmp_path)]
    assert losses[-1] < 0.3 * losses[0]


def test_what_a_run_leaves_behind(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path, steps=10)
    lines = checks.curve(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    assert [line["step"] for line in lines if "validation/loss" in line] == [4, 8, 10]
    assert [line["step"] for line in lines if line.get("preview/brightness", 0.0) > 1.0] == [4, 8, 10]
    assert steps_saved(tmp_path) == [10, 8, 4]
    assert sorted(p.name for p in (tmp_path / "previews").iterdir()) == [f"prediction_{s:07d}.png" for s in (4, 8, 10)]
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 10


def test_tensorboard_shows_what_the_lines_say(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = {event.step: event.value for event in events.Scalars("train/loss")}
    assert points == pytest.approx({line["step"]: line["train/loss"] for line in checks.curve(tmp_path)})
    last = events.Images("prediction")[-1]
    shown = cv2.imdecode(np.frombuffer(last.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert last.step == 8
    assert np.array_equal(shown, cv2.imread(str(tmp_path / "previews" / "prediction_0000008.png")))


def test_the_next_batch_is_copied_while_a_step_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of a step, for which the loop waits, are read after the next batch is on its way to the devices."""
    events, put, read = [], Programs.put, metrics.to_host
    monkeypatch.setattr(Programs, "put", lambda *given: (events.append("copy"), put(*given))[1])
    monkeypatch.setattr(metrics, "to_host", lambda values: (events.append("read"), read(values))[1])
    train_toy(tmp_path, steps=4, eval_every=0, preview_every=0, checkpoint__every=4)
    assert events == ["copy", *3 * ["copy", "read"], "read"]


def test_logged_loss_is_the_mean_of_the_steps_between(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path / "each", log_every=1)
    train_toy(tmp_path / "fourth", log_every=4)
    each = [line["train/loss"] for line in checks.curve(tmp_path / "each")]
    fourth = [line["train/loss"] for line in checks.curve(tmp_path / "fourth")]
    np.testing.assert_allclose(fourth, np.reshape(each, (2, 4)).mean(1), rtol=1e-6)


def test_the_rate_follows_the_schedule(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path, steps=8, log_every=1)
    rates = [line["train/learning_rate"] for line in checks.curve(tmp_path)]
    cosine = [0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * n / 6)) for n in range(6)]
    np.testing.assert_allclose(rates, 0.03 * np.array([0.0, 0.5, *cosine]), rtol=1e-5)


def test_pretrained_buffers_are_used_only_at_a_fresh_start(tmp_path: pathlib.Path) -> None:
    first = train_toy(tmp_path, steps=4)
    np.testing.assert_array_equal(first.buffers["teacher"]["kernel"], np.eye(8))
    assert float(np.abs(first.buffers["mean"]).max()) > 0
    second = train_toy(tmp_path, ToyTask(pretrained={"teacher": {"kernel": np.zeros((8, 8))}}), steps=8)
    np.testing.assert_array_equal(second.buffers["teacher"]["kernel"], np.eye(8))


def test_pretrained_buffers_of_another_size_leave_nothing_behind(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"pretrained teacher does not fit this config \(kernel: \(4, 4\)"):
        train_toy(tmp_path / "run", ToyTask(pretrained={"teacher": {"kernel": np.eye(4)}}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_step_in_progress(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    """It comes while the sixth batch is being read."""
    config = toy_config(steps=100, checkpoint__every=50)
    read = itertools.count(1)
    make_iterator = make_iterator_of(config, on_batch=lambda: os.kill(os.getpid(), number) if next(read) == 6 else None)
    state = train(config, ToyTask(), make_iterator, tmp_path)
    assert int(state.step) == 6 and steps_saved(tmp_path) == [6]
    assert [line["step"] for line in checks.curve(tmp_path)] == [2, 4, 6]


def test_a_signal_does_not_cut_off_the_save_before_the_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler may repeat it; what it does outside of training would end the process here."""
    wait, events = Checkpoints.__exit__, []
    before = signal.signal(signal.SIGTERM, lambda *_: events.append("outside"))

    def interrupted(checkpoints: Checkpoints, *error: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        events.append("saving")
        wait(checkpoints, *error)

    monkeypatch.setattr(Checkpoints, "__exit__", interrupted)
    try:
        train_toy(tmp_path, steps=4)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert events == ["saving"] and steps_saved(tmp_path) == [4]


def test_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DivergedError, match=r"training diverged at step 7: loss=nan.* last good checkpoint is step 4 in"):
        train_toy(tmp_path, poison=6 * 16, steps=20, checkpoint__every=4)
    assert steps_saved(tmp_path) == [4]
    assert all(np.isfinite(line["train/loss"]) for line in checks.curve(tmp_path))


def test_nan_in_the_step_before_a_checkpoint_is_not_saved(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FloatingPointError, match="step 8"):
        train_toy(tmp_path, poison=7 * 16, steps=20, checkpoint__every=4)
    assert steps_saved(tmp_path) == [4]


def test_divergence_is_something_the_user_can_put_right() -> None:
    """So the program ends with one sentence and status 2, without a traceback."""
    assert issubclass(DivergedError, UserError) and issubclass(DivergedError, FloatingPointError)


def test_parameters_that_overflow_are_not_saved(tmp_path: pathlib.Path) -> None:
    """A finite loss and a finite gradient can still give a step to infinity."""
    with pytest.raises(DivergedError, match="step 1: parameters or optimiser state are not finite; there is no checkpoint yet"):
        overrides = {"optimizer__learning_rate": 3e38, "optimizer__warmup_steps": 0, "optimizer__weight_decay": 100.0}
        train_toy(tmp_path, checkpoint__every=1, **overrides)
    assert steps_saved(tmp_path) == []


def test_a_profile_is_recorded_and_shows_the_steps(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path, profile__start=3, profile__steps=2)
    (file,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert b"step_num" in file.read_bytes()


def test_a_step_makes_no_implicit_transfer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a batch from the host's memory, from the fourth step on."""

    class Leaking:
        def __init__(self, step: Any) -> None:
            self.trace, self._step = step.trace, step

        def __call__(self, state: Any, batch: Any) -> Any:
            return self._step(state, batch if int(state.step) < 3 else {name: np.asarray(x) for name, x in batch.items()})

    def leaking(*arguments: Any) -> Any:
        programs = make_programs(*arguments)
        return dataclasses.replace(programs, train_step=Leaking(programs.train_step))

    monkeypatch.setattr(loop, "make_programs", leaking)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        train_toy(tmp_path)
    assert [line["step"] for line in checks.curve(tmp_path)] == [2]


def test_a_workdir_of_another_stage(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text('{"stage": "motion"}')
    with pytest.raises(UserError, match="holds a run of the stage motion, not toy: give another --workdir"):
        train_toy(tmp_path)


def test_a_workdir_of_another_network(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path, steps=4)
    with pytest.raises(UserError, match=r"another network or optimiser \(ema/hidden/bias is \(64,\) there and \(32,\)"):
        train_toy(tmp_path, ToyTask(hidden=32), steps=8, hidden=32)
    assert json.loads((tmp_path / "config.json").read_text())["hidden"] == 64


def test_a_workdir_that_cannot_be_written_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        train_toy(tmp_path / "file" / "run")


def test_a_finished_run_does_nothing_more(tmp_path: pathlib.Path) -> None:
    train_toy(tmp_path)
    before = {path: os.stat(path).st_mtime_ns for path in (tmp_path / FOLDER).rglob("*")}
    assert int(jax.device_get(train_toy(tmp_path)).step) == 8
    assert {path: os.stat(path).st_mtime_ns for path in (tmp_path / FOLDER).rglob("*")} == before


def test_data_that_ends(tmp_path: pathlib.Path) -> None:
    config = toy_config()
    with pytest.raises(UserError, match="the training data ended at step 3"):
        train(config, ToyTask(), make_iterator_of(config, epochs=1, examples=48), tmp_path)


def test_data_of_another_kind_than_the_task_expects(tmp_path: pathlib.Path) -> None:
    config = toy_config()
    with pytest.raises(ValueError, match=r"the task wants x: \(\(16, 8\), 'float32'\) and the data gives \(\(8, 8\)"):
        train(config, ToyTask(), make_iterator_of(toy_config(batch_size=8)), tmp_path)


def test_data_without_a_validation_split_is_trained_on(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without evaluations and pictures, also where the run goes on, and with one warning each time."""
    make_iterator = lambda split, *part: make_iterator_of(toy_config())(split, *part) if split == "train" else None
    for steps in (4, 8):
        state = train(toy_config(steps=steps), ToyTask(), make_iterator, tmp_path)
    assert int(state.step) == 8 and steps_saved(tmp_path) == [8, 4]
    lines = checks.curve(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert not any(name.startswith(("validation/", "preview/")) for line in lines for name in line)
    assert caplog.text.count("the data has no validation split: training goes on without evaluation") == 2


@pytest.mark.parametrize(("key", "value"), [("checkpoint.keep", 0), ("checkpoint.keep", -1), ("log_every", 0), ("seed", -1)])
def test_settings_that_would_lose_the_work_are_refused_first(tmp_path: pathlib.Path, key: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"--config\.{key}={value} is not possible: use a whole number from"):
        train_toy(tmp_path / "run", **{key.replace(".", "__"): value})
    assert not (tmp_path / "run").exists()
