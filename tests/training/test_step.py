from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.training import checks
from tests.training.shared import programs_of
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training.programs import Programs
from xactor_jax.training.randomness import stream_key
from xactor_jax.training.step import ema_decay, split_batch
from xactor_jax.variables import LossOutput


def build_without_noise(config: ConfigDict) -> Any:
    return ToyTask(noise=0.0), make_iterator_of(config)


def programs_and_batch(task: Any, **overrides: Any) -> tuple[Programs, Any]:
    config = toy_config(**overrides)
    programs = programs_of(config, task, make_mesh(config.mesh))
    return programs, programs.put(next(make_iterator_of(config)("train", 0, 1)))


@pytest.mark.parametrize("shape", [(2, 2, 2), *(pytest.param(s, marks=pytest.mark.slow) for s in ((8, 1, 1), (2, 4, 1)))])
def test_sharded_equals_unsharded(shape: tuple[int, int, int]) -> None:
    """With noise: random draws may not depend on the mesh either."""
    build = lambda config: (ToyTask(noise=0.1), make_iterator_of(config))
    checks.assert_sharded_equals_unsharded(toy_config(), [shape], build=build)


@pytest.mark.parametrize("parts", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_microbatches_equal_the_whole_batch(parts: int) -> None:
    whole, losses = checks.steps_on_mesh(toy_config(batch_size=32), (2, 1, 1), build_without_noise, 3)
    config = toy_config(batch_size=32, grad_accumulation=parts)
    split, split_losses = checks.steps_on_mesh(config, (2, 1, 1), build_without_noise, 3)
    np.testing.assert_allclose(split_losses, losses, rtol=1e-5)
    checks.assert_trees_close(split.params, whole.params, 1e-5)


def test_buffers_pass_from_one_microbatch_to_the_next() -> None:
    """The toy's mean decays by 0.9 at every call of the loss: twice with two microbatches."""
    config = toy_config(grad_accumulation=2)
    state, _ = checks.steps_on_mesh(config, (1, 1, 1), build_without_noise, 1)
    x = next(make_iterator_of(config)("train", 0, 1))["x"]
    expected = 0.9 * (0.1 * x[0::2].mean(0)) + 0.1 * x[1::2].mean(0)
    np.testing.assert_allclose(state.buffers["mean"], expected, rtol=1e-5, atol=1e-7)


def test_rows_keep_their_device_when_a_batch_is_split() -> None:
    mesh = make_mesh(toy_config().mesh)
    rows = np.arange(32)
    split = jax.jit(lambda x: split_batch({"x": x}, 2, mesh))(rows)["x"]
    assert split.shape == (2, 16)
    np.testing.assert_array_equal(split, [rows[0::2], rows[1::2]])
    assert {s.data.shape for s in split.addressable_shards} == {(2, 2)}


def test_the_average_follows_its_recurrence() -> None:
    """ema ← d·ema + (1 − d)·θ with d = min(decay, (1 + step)/(10 + step)), by hand in NumPy."""
    programs, batch = programs_and_batch(ToyTask(), ema_decay=0.2)
    state = programs.init()
    expected = np.asarray(state.params["hidden"]["kernel"], np.float64)
    for step in range(4):
        state, _ = programs.train_step(state, batch)
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.asarray(state.params["hidden"]["kernel"], np.float64)
    np.testing.assert_allclose(state.ema["hidden"]["kernel"], expected, rtol=1e-5, atol=1e-6)
    assert float(ema_decay(0, 0.999)) == pytest.approx(0.1) and float(ema_decay(10**6, 0.999)) == pytest.approx(0.999)


def test_what_is_frozen_stays_and_has_no_optimiser_state() -> None:
    programs, batch = programs_and_batch(ToyTask())
    state, _ = programs.train_step(programs.init(), batch)
    np.testing.assert_array_equal(state.params["frozen"]["kernel"], np.ones(8))
    states = jax.tree_util.tree_leaves_with_path(state.opt_state)
    assert not any("'frozen'" in jax.tree_util.keystr(path[-2:]) for path, leaf in states if leaf.ndim)
    assert any("'hidden'" in jax.tree_util.keystr(path) for path, _ in states)


def test_the_norm_reported_is_that_of_the_gradients_of_what_is_learned() -> None:
    task = ToyTask(noise=0.0)
    programs, batch = programs_and_batch(task)
    state = programs.init()
    loss = lambda p: task.loss(state.variables()._replace(params=p), batch, jax.random.key(0), True).loss
    gradients = jax.jit(jax.grad(loss))(state.params)
    learned = {name: tree for name, tree in gradients.items() if name != "frozen"}
    expected = np.sqrt(sum(np.square(x).sum() for x in jax.tree.leaves(jax.device_get(learned))))
    assert float(programs.train_step(state, batch)[1]["grad_norm"]) == pytest.approx(expected, rel=1e-5)


@dataclasses.dataclass(frozen=True)
class DrawTask(ToyTask):
    """Reports what it drew."""

    def loss(self, variables: Any, batch: Any, key: jax.Array, train: bool) -> LossOutput:
        output = super().loss(variables, batch, key, train)
        return output._replace(metrics={"drawn": jax.random.uniform(key), "train": jnp.float32(train)})


def test_draws_depend_only_on_seed_stream_and_step() -> None:
    programs, batch = programs_and_batch(DrawTask(), seed=3)
    state, drawn = programs.init(), []
    for _ in range(3):
        state, metrics = programs.train_step(state, batch)
        drawn.append(float(metrics["drawn"]))
    assert drawn == [float(jax.random.uniform(stream_key(3, "train", step))) for step in range(3)]
    assert len(set(drawn)) == 3
    assert float(jax.random.uniform(stream_key(3, "eval"))) not in drawn


def test_evaluation_uses_the_average_and_changes_nothing() -> None:
    task = DrawTask()
    programs, batch = programs_and_batch(task)
    state, _ = programs.train_step(programs.init(), batch)
    first = programs.eval_step(state.averaged(), batch, np.int32(1))
    again = programs.eval_step(state.averaged(), batch, np.int32(1))
    assert float(first["train"]) == 0.0
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in again.items()}
    expected = jax.jit(lambda variables: task.loss(variables, batch, jax.random.key(0), False).loss)(state.averaged())
    assert float(first["loss"]) == pytest.approx(float(expected), rel=1e-5)


@dataclasses.dataclass(frozen=True)
class HalfTask(ToyTask):
    """Computes its loss in bfloat16."""

    def loss(self, variables: Any, batch: Any, key: jax.Array, train: bool) -> LossOutput:
        output = super().loss(variables, batch, key, train)
        return output._replace(loss=output.loss.astype(jnp.bfloat16))


def test_parameters_and_metrics_stay_float32_under_a_bfloat16_loss() -> None:
    programs, batch = programs_and_batch(HalfTask())
    state, metrics = programs.train_step(programs.init(), batch)
    assert {x.dtype for x in jax.tree.leaves((state.params, state.ema, state.opt_state)) if x.ndim} == {np.dtype("float32")}
    assert {x.dtype for x in metrics.values()} == {np.dtype("float32")}
