"""Measures the speed of an actor on this machine, with and without cached keys and values.

    python launch/benchmark/actor.py --presets demo,base
    python launch/benchmark/actor.py --presets base --attention xla    # on a GPU: without cuDNN's attention

Measures each preset of configs/actor.py with random weights: frames per second of a stream after compiling, and milliseconds
from a chunk's features to its motion. To show what limits the speed, it compares the FLOPs per second of a call with those of a
large matrix product, and the bytes of parameters that network calls read per second with those of reading a large array.
"cache" uses cached keys and values. "no_cache" is the baseline: each step reads the whole context again.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from unittest import mock

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
    add("--presets", default="demo,base", help="presets of configs/actor.py, separated by commas")
    add("--seconds", type=float, default=20.0, help="shortest duration of each measurement")
    add("--batch", type=int, default=1, help="number of examples in a batch")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the rollout, as in config.rollout")
    add("--attention", default="auto", choices=("auto", "xla", "cudnn"), help="implementation; auto: that of the layers")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


def seconds_of(call: Callable[[], object], at_least: float) -> float:
    """Wall seconds of one call: the mean over at least 3 calls and `at_least` seconds, after one call as a warm-up."""
    import jax

    jax.block_until_ready(call())
    count, start = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < at_least:
        jax.block_until_ready(call())
        count += 1
    return (time.perf_counter() - start) / count


@contextlib.contextmanager
def attention_by(name: str) -> Iterator[None]:
    """Within the body, programs that are traced use this implementation of attention; auto: the one that the layers choose."""
    from xactor_jax.layers import attention, spatial_attention

    with contextlib.ExitStack() as stack:
        for module in (attention, spatial_attention) if name != "auto" else ():
            stack.enter_context(mock.patch.object(module, "implementation", lambda _: name))
        yield


def machine() -> dict[str, float]:
    """Peak of the device: FLOPs per second of a matrix product, and bytes per second of reading an array."""
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
    """The measurements of a preset: one row with cached keys and values, one without."""
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
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_numbers(arguments, {"batch": whole(1), "seconds": real(0.0, 36_000.0, above=True)})
        with attention_by(arguments.attention):
            rows = [row for preset in arguments.presets.split(",") for row in rows_of(preset, arguments)]
        best = machine()
        _table.show(rows)
        print("peak of this device: {matrix_product_gflops:.0f} GFLOP/s, {read_gbytes:.1f} GB/s".format(**best))
        _table.write(arguments.json, {"rows": rows, **best})


if __name__ == "__main__":
    main()
