"""Runs that start from checkpoints: which numbers come from where, on a mesh."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from tests.training.toy import DIM, ToyTask, toy_config
from xactor_jax.checkpoints.exports import peek, write_export
from xactor_jax.checkpoints.start import Source, last_with_buffer, sources
from xactor_jax.checkpoints.trees import flat
from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.programs import make_programs
from xactor_jax.training.state import TrainState, abstract_state, init_state, make_init
from xactor_jax.variables import Variables


def checkpoint(folder, seed: int, keep: tuple[str, ...] = (), hidden: int = 64) -> epath.Path:
    """An export of the toy with other numbers; only some of its parameters if `keep` says so."""
    shapes = jax.eval_shape(ToyTask(hidden=hidden).init, jax.random.key(0))
    rng = np.random.default_rng(seed)
    params, buffers = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    params = {name: tree for name, tree in params.items() if not keep or name in keep}
    write_export(epath.Path(folder), toy_config(hidden=hidden), Variables(params, buffers))
    return epath.Path(folder)


@cache
def maker(task: ToyTask) -> tuple[Callable[[], TrainState], TrainState]:
    """(compiled init, its shapes) on eight devices, which share large parameters by four."""
    config = toy_config(mesh__fsdp=4)
    optimizer = make_optimizer(config, task)
    abstract = abstract_state(config, task, optimizer, make_mesh(config.mesh))
    return make_init(config, task, optimizer, abstract), abstract


def started(init_from: str, task: ToyTask | None = None) -> TrainState:
    task = task or ToyTask()
    return init_state(toy_config(init_from=init_from, mesh__fsdp=4), task, *maker(task))


def saved(folder: epath.Path) -> Variables:
    from xactor_jax.checkpoints.exports import load_variables

    return load_variables(folder, "toy")[1]


def assert_from(state: TrainState, origins: dict[str, Variables]) -> None:
    """Parameters by their first name, and their average with them; whatever is not in `origins` is fresh."""
    fresh = flat(started("").params)
    for tree in (state.params, state.ema):
        for path, array in flat(tree).items():
            origin = origins.get(path.split("/")[0])
            np.testing.assert_array_equal(array, flat(origin.params)[path] if origin else fresh[path], err_msg=path)


def test_a_whole_checkpoint_gives_parameters_average_and_buffers(tmp_path) -> None:
    folder = checkpoint(tmp_path / "a", 1)
    state, there = started(str(folder)), saved(folder)
    assert_from(state, dict.fromkeys(there.params, there))
    np.testing.assert_array_equal(state.buffers["mean"], there.buffers["mean"])
    np.testing.assert_array_equal(state.buffers["teacher"]["kernel"], np.eye(DIM))  # named by the task, which goes before
    kernel = state.params["hidden"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(DIM // 4, 64)}


def test_parts_and_later_folders(tmp_path) -> None:
    a, b = checkpoint(tmp_path / "a", 1), checkpoint(tmp_path / "b", 2, keep=("out", "middle"))
    state = started(f"hidden={a}, out={a},{b}")
    assert_from(state, {"hidden": saved(a), "out": saved(b), "middle": saved(b)})
    np.testing.assert_array_equal(state.buffers["mean"], saved(b).buffers["mean"])
    assert not started(f"hidden={a}").buffers["mean"].any()


@dataclasses.dataclass(frozen=True)
class MeasuredToy(ToyTask):
    """A toy whose buffer "mean" was measured with its hidden layer."""

    start_buffers: ClassVar[Mapping[str, str]] = {"hidden/kernel": "mean"}


def test_buffers_come_with_the_part_they_were_measured_with(tmp_path) -> None:
    """Else a decoder that is trained on frozen latents would have statistics of no data beside its encoder."""
    a = checkpoint(tmp_path / "a", 1)
    np.testing.assert_array_equal(started(f"hidden={a}", MeasuredToy()).buffers["mean"], saved(a).buffers["mean"])
    assert not started(f"out={a}", MeasuredToy()).buffers["mean"].any()


def test_it_can_be_trained_from(tmp_path) -> None:
    """The average is not the same memory as the parameters, which a step gives away."""
    folder = checkpoint(tmp_path / "a", 1)
    config = toy_config(init_from=str(folder), ema_decay=0.5, optimizer__warmup_steps=0)
    programs = make_programs(config, ToyTask(), make_mesh(config.mesh))
    batch = {name: np.ones((16, DIM), np.float32) for name in ("x", "y")}
    state, _ = programs.train_step(programs.init(), programs.put(batch))
    there, moved = flat(saved(folder).params), flat(state.params)
    for path, average in flat(state.ema).items():  # of the first step: a tenth of the old
        if path.startswith("frozen"):
            np.testing.assert_array_equal(moved[path], there[path])
            np.testing.assert_array_equal(average, there[path])
        else:
            assert np.abs(moved[path] - there[path]).mean() > 1e-3
            np.testing.assert_allclose(average, 0.1 * there[path] + 0.9 * moved[path], rtol=1e-4, atol=1e-5)


def test_the_log_says_what_came_from_where(tmp_path, caplog) -> None:
    folder = checkpoint(tmp_path / "a", 1, keep=("hidden", "out"))
    with caplog.at_level(logging.WARNING):
        started(f"{folder}")
    assert f"{folder}: 2 of 2 arrays of hidden, 1 of 1 arrays of out start from there" in caplog.text
    assert "1 of 1 arrays of discriminator, 1 of 1 arrays of frozen, 1 of 1 arrays of middle start afresh" in caplog.text


def test_copies_start_what_a_checkpoint_does_not_have(tmp_path) -> None:
    class Copying(ToyTask):
        start_copies = (("out", "decoder/out"), ("middle", "other"))

        def init(self, key):
            params, buffers = super().init(key)
            return Variables({**params, "decoder": {"out": jax.tree.map(jnp.zeros_like, params["out"])}}, buffers)

    a = checkpoint(tmp_path / "a", 1)
    state = started(str(a), Copying())
    np.testing.assert_array_equal(state.params["decoder"]["out"]["kernel"], saved(a).params["out"]["kernel"])
    state = started(f"out={a}", Copying())
    assert not state.params["decoder"]["out"]["kernel"].any()


@pytest.mark.parametrize(
    ("init_from", "message"),
    [
        ("{a}/none", "there is no checkpoint in .*none"),
        ("decoder={a}", "has no parameters below decoder: name another part"),
        ("{wide}", r"does not fit this config \(hidden/bias is \(32,\) there and \(64,\) here\)"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, init_from, message) -> None:
    folders = {"a": checkpoint(tmp_path / "a", 1), "wide": checkpoint(tmp_path / "wide", 1, hidden=32)}
    with pytest.raises(UserError, match=message):
        started(init_from.format(**folders))


def test_a_checkpoint_with_more_than_the_network_is_one_sentence(tmp_path) -> None:
    params = {"hidden": {"kernel": np.zeros((DIM, 64), np.float32)}, "more": np.zeros(3, np.float32)}
    write_export(tmp_path / "more", toy_config(), Variables(params, {}))
    with pytest.raises(UserError, match=r"\(more is \(3,\) there and absent here\)"):
        started(f"{tmp_path}/more")
    assert not started(f"hidden/kernel={tmp_path}/more").params["hidden"]["kernel"].any()


def test_what_a_checkpoint_has_is_known_without_reading_it(tmp_path) -> None:
    assert sources(" a/b ,trunk=gs://c/d=e,") == [Source("", "a/b"), Source("trunk", "gs://c/d=e")]
    folder = checkpoint(tmp_path / "a", 1)
    config, tree = peek(folder, "toy")
    assert config.hidden == 64 and tree["params"]["hidden"]["kernel"].shape == (DIM, 64)
    assert last_with_buffer(f"hidden={folder}", "toy", "teacher") is None
    assert last_with_buffer(f"{folder}", "toy", "clip") is None
    assert last_with_buffer(f"{folder}", "toy", "teacher")[0] == str(folder)
    with pytest.raises(UserError, match="stage toy, not video"):
        peek(folder, "video")
