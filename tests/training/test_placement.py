"""Where the arrays of a run are while it starts: on no device and in no process as a whole."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath

from tests.training.toy import DIM, ToyTask, make_iterator_of, toy_config
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training import state as state_module
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.programs import Programs, make_programs
from xactor_jax.training.saving import Checkpoints
from xactor_jax.training.state import make_init, merge_buffers

HIDDEN = 512
"""So many that the layer between two hidden ones is nearly all there is, and divides by eight."""


def eight(**mesh: int) -> tuple[Any, ToyTask, Programs]:
    config = toy_config(hidden=HIDDEN, **{f"mesh__{axis}": size for axis, size in mesh.items()})
    task = ToyTask(hidden=HIDDEN)
    return config, task, make_programs(config, task, make_mesh(config.mesh))


def bytes_of(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def test_the_arguments_of_a_step_are_an_eighth_on_each_of_eight_devices() -> None:
    config, task, programs = eight(fsdp=8)
    compiled = programs.train_step.lower(programs.abstract, task.example_batch(config.batch_size)).compile()
    whole = bytes_of(programs.abstract) + bytes_of(task.example_batch(config.batch_size))
    assert compiled.memory_analysis().argument_size_in_bytes == pytest.approx(whole / 8, rel=0.05)


def test_a_fresh_state_is_drawn_in_parts() -> None:
    """Neither what comes out nor what is held on the way is as large as the largest array."""
    config, task, programs = eight(fsdp=8)
    compiled = make_init(config, task, make_optimizer(config, task), programs.abstract).lower().compile()
    memory, largest = compiled.memory_analysis(), 4 * HIDDEN**2
    assert memory.output_size_in_bytes == pytest.approx(bytes_of(programs.abstract) / 8, rel=0.05)
    assert memory.temp_size_in_bytes < 0.6 * largest


def test_pretrained_buffers_are_put_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices ask the host only for their part."""
    mesh, asked = make_mesh(toy_config(mesh__fsdp=8).mesh), []
    make = jax.make_array_from_callback

    def spy(shape: Any, sharding: Any, part: Any) -> jax.Array:
        return make(shape, sharding, lambda index: (asked.append(part(index).shape), part(index))[1])

    monkeypatch.setattr(state_module.jax, "make_array_from_callback", spy)
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))
    empty = jax.device_put(np.zeros((64, DIM), np.float32), sharding)
    merged = merge_buffers({"teacher": {"kernel": empty}}, {"teacher": {"kernel": np.ones((64, DIM))}})["teacher"]["kernel"]
    assert asked == [(8, DIM)] * 8 and merged.sharding == sharding
    np.testing.assert_array_equal(merged, np.ones((64, DIM)))


def test_a_restored_state_is_put_in_parts(tmp_path: pathlib.Path) -> None:
    """Every device has its part, of which there is one copy."""
    _, _, programs = eight(fsdp=8)
    iterator = make_iterator_of(toy_config())("train", 0, 1)
    with Checkpoints(epath.Path(tmp_path), keep=1) as checkpoints:
        saved = programs.init()
        checkpoints.save(1, saved, iterator)
        checkpoints.latest()
        restored = checkpoints.restore(programs.abstract, iterator)
    kernel = restored.params["middle"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(HIDDEN, HIDDEN // 8)}
    jax.tree.map(np.testing.assert_array_equal, restored.params, saved.params)
