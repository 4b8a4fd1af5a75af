"""Every stage's loss and gradients are the same on any mesh, and frames are split where the mesh says so."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest

from tests.training.meshes import apart, on_mesh, worst
from xactor_jax.parallel.collectives import totals

ONE = (1, 1, 1, 1)
MESHES = [(8, 1, 1, 1), (2, 4, 1, 1), (2, 2, 2, 1), (2, 2, 1, 2), (1, 2, 2, 2)]
"""Over data, fsdp, tensor, context."""
ROWS = 8
QUICK = {"motion": (2, 2, 2, 1), "actor": (2, 2, 1, 2), "autoencoder": (2, 4, 1, 1), "video:temporal": (1, 2, 2, 2)}
"""One for each stage, on which it is always tried; of the renderer its frames, which are what is split there."""
STAGES = ("motion", "actor", "autoencoder", "video")


def case(stage: str, shape: tuple[int, ...]) -> Any:
    return pytest.param(stage, shape, id=f"{stage}-{shape}", marks=[] if QUICK.get(stage) == shape else [pytest.mark.slow])


CASES = [*(case(stage, shape) for stage in STAGES for shape in MESHES), case("video:temporal", QUICK["video:temporal"])]

measured = cache(on_mesh)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("stage", "shape"), CASES)
def test_loss_and_gradients_are_those_of_one_device(stage: str, shape: tuple[int, ...]) -> None:
    one, many = measured(stage, ROWS, ONE), measured(stage, ROWS, shape)
    assert many.loss == pytest.approx(one.loss, rel=1e-5)
    assert apart(many.gradients, one.gradients) < 2e-5  # rounding: the renderer's target itself comes out of stage 1's networks
    # Of arrays whose sums nearly cancel, such as scales of normalisations, rounding is a larger share.
    error, name = worst(many.gradients, one.gradients)
    assert error < 5e-4, f"{name} differs by {error:.1e} of its largest gradient"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("stage", "shape"), [case(stage, (2, 4, 1, 1)) for stage in ("motion", "autoencoder", "video")])
def test_parameters_travel_and_examples_stay(stage: str, shape: tuple[int, ...]) -> None:
    """With fsdp what is gathered is parameters, and gradients are summed; the actor's: tests/training/test_collectives.py."""
    many = measured(stage, ROWS, shape)
    gathers = [one for one in many.collectives if one.kind == "all-gather"]
    assert {one.kind for one in many.collectives} <= {"all-gather", "all-reduce", "reduce-scatter"}
    assert len(gathers) >= 0.5 * len(many.gradients)
    assert not [(shape, one.source) for one in gathers for shape in one.shapes if math.prod(shape) not in many.arrays]


def test_devices_that_split_only_the_batch_sum_gradients_and_nothing_else() -> None:
    """Of larger networks: tests/training/test_collectives.py."""
    many = measured("autoencoder", ROWS, (8, 1, 1, 1))
    found = totals(many.collectives)
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"]["bytes"] == pytest.approx(4 * sum(x.size for x in many.gradients.values()), rel=0.01)


@pytest.mark.timeout(900)
def test_context_splits_the_work() -> None:
    """Of eight devices, two of them along `context`, each does little more than an eighth; if frames were whole, a quarter."""
    one, many = measured("actor", ROWS, ONE), measured("actor", ROWS, (2, 2, 1, 2))
    assert many.flops < 0.2 * one.flops
