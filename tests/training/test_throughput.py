"""Time and FLOPs of a run, against counts by hand and clocks that the test turns."""

from __future__ import annotations

import functools
import json
import math
import pathlib
import time
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from tests.training import checks
from tests.training.toy import FLOPS, ToyTask, make_iterator_of, toy_config
from xactor_jax.parallel.flops import count_flops, model_flops
from xactor_jax.training import metrics as m
from xactor_jax.training import throughput
from xactor_jax.training.journal import Journal
from xactor_jax.training.loop import train
from xactor_jax.training.step import loss_and_gradients
from xactor_jax.training.throughput import Clock, Work, device_memory, earlier_seconds, goodput, rates, work_of

WORK = Work(examples=16, flops=3e9, devices=2, device_kind="TPU v4", peak=275e12)


def lines_of(workdir: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


class Rematerialising(ToyTask):
    """The same task; its hidden layers are computed again in the backward pass."""

    def predict(self, params: Any, x: jax.Array) -> jax.Array:
        return jax.checkpoint(super().predict)(params, x)


@pytest.mark.parametrize("task", [ToyTask(), Rematerialising()])
def test_flops_of_the_toy_without_what_is_computed_again(task: ToyTask) -> None:
    arguments = jax.eval_shape(task.init, jax.random.key(0)), task.example_batch(16), jax.random.key(0)
    traced = jax.make_jaxpr(functools.partial(loss_and_gradients, task))(*arguments)
    assert model_flops(traced.jaxpr) == 16 * FLOPS


def test_every_moment_belongs_to_one_kind() -> None:
    now = [100.0]
    clock = Clock(lambda: now[0])
    now[0] = 103.0
    clock.charge("start")
    now[0] = 108.0
    with clock.doing("evaluation"):
        now[0] = 110.0
    now[0] = 117.0
    clock.charge("step", until=112.0)
    clock.charge("data")
    spent = {kind: seconds for kind, seconds in clock.totals.items() if seconds}
    assert spent == {"start": 3.0, "step": 7.0, "evaluation": 2.0, "data": 5.0}
    clock.charge("step", until=50.0)  # a moment that is past belongs to what it was given to
    assert sum(clock.totals.values()) == 17.0
    assert goodput(clock.totals) == 7.0 / 17.0


def test_rates() -> None:
    speed = rates(10, {"step": 3.0, "data": 2.0}, WORK)
    assert speed["steps_per_second"] == 2.0 and speed["examples_per_second"] == 32.0 and speed["data_wait"] == 0.4
    assert speed["flops_per_second"] == 6e9 and speed["utilisation"] == 6e9 / 275e12
    assert "utilisation" not in rates(10, {"step": 1.0, "data": 0.0}, work_of(6e9, 16, 2, "cpu"))


def test_flops_are_split_over_devices_and_the_denominator_is_described() -> None:
    work = work_of(8e12, 64, 4, "TPU v5 lite")
    assert (work.flops, work.peak) == (2e12, 197e12)
    assert "4 × TPU v5 lite, utilisation of 1.97e+14 FLOPs per second (bfloat16)" in work.denominator()
    assert "no peak is published" in work_of(8e12, 64, 8, "cpu").denominator()


def test_memory_of_the_fullest_device() -> None:
    stats = [{"bytes_in_use": 2**30, "peak_bytes_in_use": 3 * 2**30}, {"bytes_in_use": 2 * 2**30, "peak_bytes_in_use": 2**31}]
    devices = [SimpleNamespace(memory_stats=lambda one=one: one) for one in stats]
    assert device_memory(devices) == {"memory_gib": 2.0, "memory_peak_gib": 3.0}
    assert device_memory([SimpleNamespace(memory_stats=lambda: None)]) == {}


def test_a_resumed_run_counts_its_earlier_time_and_what_it_lost() -> None:
    entries = [(2, 10.0, 5.0), (4, 20.0, 6.0), (6, 31.0, 8.0)]
    lines = [json.dumps({"step": s, "train/loss": 1.0, "seconds/step": a, "seconds/data": b}) for s, a, b in entries]
    assert earlier_seconds(lines, 4) == {"step": 20.0, "data": 6.0, "lost": 13.0}
    assert earlier_seconds([*lines, '{"step": 8, "seconds/st'], 6) == {"step": 31.0, "data": 8.0, "lost": 0.0}
    assert earlier_seconds(['{"step": 2}', "[]", ""], 2) == {}
    clock = Clock(lambda: 0.0)
    clock.add({"step": 3.0, "lost": 1.0})
    assert goodput(clock.totals) == 0.75


@pytest.mark.parametrize(("finished", "step", "data"), [(math.inf, 8.0, 0.0), (105.0, 5.0, 3.0), (90.0, 1.0, 7.0)])
def test_waiting_costs_nothing_while_the_device_is_busy(finished: float, step: float, data: float) -> None:
    now = [100.0]
    clock = Clock(lambda: now[0])
    journal = Journal(m.Writers(epath.Path()), lambda *_: None, 1, clock)
    journal._completion = SimpleNamespace(moment=finished)  # type: ignore[assignment]
    now[0] = 101.0
    with journal.waiting():
        now[0] = 108.0
    assert (clock.totals["step"], clock.totals["data"]) == (step, data)


def test_the_moment_of_completion_is_noted() -> None:
    before = time.monotonic()
    done = throughput.Completion(jnp.ones(3))
    done.wait(60.0)
    assert before <= done.moment <= time.monotonic()


def test_what_a_run_reports(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, began = toy_config(steps=10), time.monotonic()
    train(config, ToyTask(), make_iterator_of(config, on_batch=checks.late(monkeypatch, 0.02)), tmp_path)
    elapsed = time.monotonic() - began
    lines = lines_of(tmp_path)
    for line in lines:
        spent = {name.removeprefix("seconds/"): x for name, x in line.items() if name.startswith("seconds/")}
        assert spent.keys() == set(throughput.KINDS) and sum(spent.values()) <= elapsed
        assert line["train/goodput"] == pytest.approx(spent["step"] / sum(spent.values()))
        assert line["train/examples_per_second"] == pytest.approx(16 * line["train/steps_per_second"])
        assert line["train/flops"] == 16 * FLOPS / jax.device_count()
        assert 0 < line["train/compile_seconds"] == pytest.approx(spent["compile"])
        assert "train/utilisation" not in line
    assert lines[-1]["seconds/evaluation"] > 0 and lines[-1]["seconds/preview"] > 0 and lines[-1]["seconds/checkpoint"] > 0
    step, data = (lines[-1][f"seconds/{kind}"] - lines[-2][f"seconds/{kind}"] for kind in ("step", "data"))
    assert lines[-1]["seconds/data"] > 0.19 and lines[-1]["train/data_wait"] == pytest.approx(data / (step + data))
    stored = json.loads((tmp_path / "throughput.json").read_text())
    assert stored["flops"] == lines[0]["train/flops"] and stored["peak"] is None and stored["devices"] == 8


def test_time_goes_on_where_it_was_left(tmp_path: pathlib.Path) -> None:
    for steps in (4, 8):
        train(config := toy_config(steps=steps), ToyTask(), make_iterator_of(config), tmp_path)
    first, *_, last = lines_of(tmp_path)
    assert last["seconds/start"] > first["seconds/start"] > 0
    assert last["seconds/compile"] > first["seconds/compile"] and last["seconds/lost"] == 0
    assert last["train/compile_seconds"] < last["seconds/compile"]


def test_a_step_counts_what_it_traced(tmp_path: pathlib.Path) -> None:
    """With microbatches too, where the count is of a loop in the step itself."""
    train(config := toy_config(steps=2, grad_accumulation=2), ToyTask(), make_iterator_of(config), tmp_path)
    assert lines_of(tmp_path)[-1]["train/flops"] == 16 * FLOPS / jax.device_count()
    assert count_flops(jax.make_jaxpr(jnp.dot)(jnp.ones((2, 3)), jnp.ones((3, 4))).jaxpr) == 48
