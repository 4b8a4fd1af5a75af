"""Measures how fast an actor performs on this machine, with its memory and without.

    python launch/benchmark/actor.py --presets demo,base

For each preset of configs/actor.py, with random weights: frames a second of a stream after compiling, milliseconds from
a chunk's features to its motion, and what bounds it: the floating-point operations of a call done in a second, beside those of
a large matrix product, and the bytes of parameters that its network calls read in a second, beside those of reading a large
array. "anew" shows the network the whole context at every step, as sampling without a memory has to.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch.benchmark import _table
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import real, whole


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--presets", default="demo,base", help="of configs/actor.py, with commas")
    add("--seconds", type=float, default=20.0, help="at least so long is each measured")
    add("--batch", type=int, default=1, help="performances at once")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the rollout, as in config.rollout")
    add("--json", default="", metavar="FILE", help="write the numbers there as well")
    return about


def seconds_of(call: Callable[[], object], at_least: float) -> float:
    """Wall seconds of one call, the mean over as many as `at_least` seconds hold; one more warms up."""
    import jax

    jax.block_until_ready(call())
    count, start = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < at_least:
        jax.block_until_ready(call())
        count += 1
    return (time.perf_counter() - start) / count


def machine() -> dict[str, float]:
    """What the device does at best: operations a second of a product of matrices, bytes a second of reading an array."""
    import jax
    import jax.numpy as jnp

    side, length = 2048, 1 << 27
    a, long = jnp.ones((side, side)), jnp.ones(length)
    product, total = jax.jit(jnp.matmul), jax.jit(jnp.sum)
    return {
        "matrix_product_gflops": 2e-9 * side**3 / seconds_of(lambda: product(a, a), 1.0),
        "read_gbytes": 4e-9 * length / seconds_of(lambda: total(long), 1.0),
    }


def rows_of(preset: str, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """What is measured of a preset: a row with memory and a row anew."""
    import jax

    from configs.actor import get_config
    from xactor_jax.actor import speed
    from xactor_jax.actor.settings import RolloutSettings, parse_changes
    from xactor_jax.actor.task import ActorTask

    config = get_config(preset)
    settings = RolloutSettings(**{**config.rollout.to_dict(), **parse_changes(arguments.set)})
    task = ActorTask.from_config(config)
    variables = jax.jit(task.init)(jax.random.key(0))
    size = sum(x.size for x in jax.tree.leaves(variables.params))
    rows = []
    for way, call in speed.calls(task.model, variables, settings, arguments.batch).items():
        seconds = seconds_of(call.run, arguments.seconds)
        rows.append(
            {
                "preset": preset,
                "parameters": size,
                "way": way,
                "frames/s": arguments.batch * call.frames / seconds,
                "ms/call": 1000 * seconds,
                "GFLOP/frame": 1e-9 * call.flops / call.frames / arguments.batch,
                "GFLOP/s": 1e-9 * call.flops / seconds,
                "parameters GB/s": 4e-9 * size * call.network_calls / seconds,
            }
        )
    return rows


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_numbers(arguments, {"batch": whole(1), "seconds": real(0.0, 36_000.0, above=True)})
        rows = [row for preset in arguments.presets.split(",") for row in rows_of(preset, arguments)]
        best = machine()
        _table.show(rows)
        print("this device at best: {matrix_product_gflops:.0f} GFLOP/s, {read_gbytes:.1f} GB/s".format(**best))
        _table.write(arguments.json, {"rows": rows, **best})


if __name__ == "__main__":
    main()
