from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training import checks
from tests.training.toy import DIM, FLOPS, ToyTask, make_iterator_of, toy_config
from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training.benchmark import Bench, synthetic_batch
from xactor_jax.training.compiling import step_flops


def test_slow_data_shows_and_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config()
    bench = Bench(config, ToyTask())
    memory = bench.synthetic(10)
    slow = bench.on(make_iterator_of(config, on_batch=checks.late(monkeypatch, 0.1))("train", 0, 1), 5)
    waited = [measured["data_wait"] / measured["steps_per_second"] for measured in (memory, slow)]  # seconds a step
    assert waited[0] < 0.09 < waited[1] and slow["steps_per_second"] < 10
    assert memory["processor_seconds"] > 0 and slow["processor_seconds"] < 0.09  # waiting is not working
    assert bench.seconds > 0 and bench.work.flops * bench.work.devices == 16 * FLOPS


def test_a_synthetic_batch_is_what_the_task_expects() -> None:
    shapes = {**ToyTask().example_batch(4), "flag": np.zeros((4,), bool), "emotion": np.zeros((4, 2), np.int32)}
    shapes["frames"] = np.zeros((4, 8, 8, 3), np.uint8)
    shapes["latents"] = jax.ShapeDtypeStruct((4, 8), jnp.bfloat16)
    batch = synthetic_batch(shapes)
    assert batch["x"].shape == (4, DIM) and batch["x"].std() > 0 and batch["frames"].min() < 9 < 246 < batch["frames"].max()
    assert len(np.unique(batch["latents"])) > 1
    assert {name: (x.shape, x.dtype) for name, x in batch.items()} == {n: (x.shape, x.dtype) for n, x in shapes.items()}


def test_flops_of_a_step_need_no_arrays() -> None:
    config = toy_config()
    for devices in (1, 8):
        assert step_flops(config, ToyTask(), make_mesh(config.mesh, jax.devices()[:devices])) == 16 * FLOPS


def test_layouts_that_training_refuses_are_refused() -> None:
    """Frames folded into rows, of which every device has several."""
    config = toy_config(mesh__context=2)
    with pytest.raises(UserError, match=r"mesh\.context=2 splits the frames of one example and every device has 4"):
        Bench(config, ToyTask(folds_frames=True))
