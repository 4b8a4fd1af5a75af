"""Costs of compiled programs against arithmetic."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from xactor_jax.parallel.chips import Chip
from xactor_jax.parallel.compiled import Cost, DoesNotFitError, compile_program, cost_of, device_bytes, estimate

CHIP = Chip("x", "X", peak_flops=100.0, memory=1000.0, memory_bandwidth=10.0, link_bandwidth=5.0)


def cost(**changes: Any) -> Cost:
    numbers = dict(arguments=0, results=0, temporaries=0, code=0, flops=0.0, accessed=0.0, collectives=())
    return Cost(**{**numbers, **changes})


def test_memory_and_flops_of_a_product() -> None:
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    x = jax.ShapeDtypeStruct((64, 32), jnp.float32, sharding=NamedSharding(mesh, P("a")))
    y = jax.ShapeDtypeStruct((32, 16), jnp.float32, sharding=NamedSharding(mesh, P()))
    found = cost_of(jax.jit(jnp.dot).lower(x, y).compile(), 8)
    assert device_bytes([x, y]) == found.arguments == 8 * 32 * 4 + 32 * 16 * 4
    assert found.results == 8 * 16 * 4 and found.flops == pytest.approx(2 * 8 * 32 * 16, rel=0.01)
    assert found.collectives == () and found.peak >= found.arguments + found.results


def test_results_over_arguments_are_counted_once() -> None:
    x = jax.ShapeDtypeStruct((1024,), jnp.float32)
    assert cost_of(jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile(), 1).results == 0


@pytest.mark.parametrize(
    ("numbers", "limit", "time", "utilisation"),
    [
        (dict(flops=200.0, accessed=10.0), "compute", 4.0, 150 / 400),
        (dict(flops=50.0, accessed=100.0), "memory", 10.0, 150 / 1000),
    ],
)
def test_the_slowest_of_three_decides(numbers: dict[str, float], limit: str, time: float, utilisation: float) -> None:
    guess = estimate(cost(**numbers), executed=200.0, model=150.0, chip=CHIP, efficiency=0.5)
    assert (guess.limit, guess.time, guess.utilisation) == (limit, time, pytest.approx(utilisation))


class Refusing:
    """A program that its compiler refuses."""

    def __init__(self, said: str) -> None:
        self.said = said

    def compile(self) -> None:
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {self.said}")


@pytest.mark.parametrize(
    "said",
    [
        "Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G.",
        "Ran out of memory on HBM, the total memory required for HLO temporaries (20.50G) exceeds available HBM (15.75G).",
    ],
)
def test_a_refusal_says_how_much_it_would_take(said: str) -> None:
    with pytest.raises(DoesNotFitError) as caught:
        compile_program(Refusing(said))
    assert (caught.value.used, caught.value.limit) == (20.5 * 2**30, 15.75 * 2**30)


def test_another_failure_stays_what_it_is() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="no such thing"):
        compile_program(Refusing("no such thing"))
