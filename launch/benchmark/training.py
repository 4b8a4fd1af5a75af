"""Measures the training step of any experiment on this machine, with batches in memory and with its data:
python launch/benchmark/training.py --config=configs/motion.py[:preset] [--config.batch_size=32] [--steps=20]
[--batches=synthetic] [--json=FILE].

The difference between the two rows is the cost of the data: reading, decoding, moving to the devices, waiting. "CPU s/step" is
the processor time of this process, which depends less on what else the machine does. FLOPs are model FLOPs per device, without
rematerialisation. The share of the peak is relative to the published peak, if it is known. Pretrained networks that the config
does not specify get random weights. The data is that of training; it is built first if needed.
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from absl import app, flags

from launch import _root  # noqa: F401
from launch._flags import CONFIG, parse
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes
from xactor_jax.settings import check_value, whole

STEPS = flags.DEFINE_integer("steps", 20, "timed steps for each row")
BATCHES = flags.DEFINE_enum("batches", "both", ["both", "synthetic", "data"], "batches in memory, from the data, or both")
JSON = flags.DEFINE_string("json", "", "also write the numbers to this file")


def row(name: str, numbers: dict[str, float]) -> dict[str, object]:
    """A line of the table."""
    cells = {"batches": name, "steps/s": numbers["steps_per_second"], "examples/s": numbers["examples_per_second"]}
    cells["GFLOP/s per device"] = 1e-9 * numbers["flops_per_second"]
    cells |= {"% of peak": 100 * numbers["utilisation"]} if "utilisation" in numbers else {}
    cells["CPU s/step"] = numbers["processor_seconds"]
    cells["% waiting"] = 100 * numbers["data_wait"]
    return cells | ({"peak GiB": numbers["memory_peak_gib"]} if "memory_peak_gib" in numbers else {})


def run(arguments: list[str]) -> None:
    """Runs the measurements of the flags."""
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]} is not an option: settings are given as --config.KEY=VALUE.")
    check_value("--steps", STEPS.value, whole(1))
    processes.initialize()
    from configs.stages import build, ensure_data
    from launch.benchmark import _table
    from launch.benchmark._need import name_networks
    from xactor_jax.training.benchmark import Bench

    config = CONFIG.value
    name_networks(config)
    task, make_iterator = build(config)
    if BATCHES.value != "synthetic":
        ensure_data(config)
    bench, measured = Bench(config, task), {}
    if BATCHES.value != "data":
        measured["synthetic"] = bench.synthetic(STEPS.value)
    if BATCHES.value != "synthetic":
        measured["data"] = bench.on(make_iterator("train", *bench.programs.share), STEPS.value)
    print(bench.work.denominator())
    print(f"{bench.seconds:.1f} s to trace and compile")
    _table.show([row(name, numbers) for name, numbers in measured.items()])
    _table.write(JSON.value, {**vars(bench.work), "compile_seconds": bench.seconds, "steps": STEPS.value, **measured})


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    with exit_on_user_error():
        app.run(run, flags_parser=parse)


if __name__ == "__main__":
    main()
