"""Measures the training step of any experiment here, on batches in memory and on its data: python launch/benchmark/training.py
--config=configs/motion.py[:preset] [--config.batch_size=32] [--steps=20] [--batches=synthetic] [--json=FILE].

The two rows differ by what the data costs: reading, decoding, putting on the devices, waiting. Operations are those of the
model, a device, without rematerialisation; the share of the peak is of the published one, where there is one. Weights that the
config leaves to the project are random. The data is what training would read, built first where there is none.
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

STEPS = flags.DEFINE_integer("steps", 20, "steps that are timed, for each row")
BATCHES = flags.DEFINE_enum("batches", "both", ["both", "synthetic", "data"], "what the steps are fed with")
JSON = flags.DEFINE_string("json", "", "file to write the numbers to as well")


def row(name: str, told: dict[str, float]) -> dict[str, object]:
    """A line of the table."""
    shown = {"batches": name, "steps/s": told["steps_per_second"], "examples/s": told["examples_per_second"]}
    shown["GFLOP/s a device"] = 1e-9 * told["operations_per_second"]
    shown |= {"% of peak": 100 * told["utilisation"]} if "utilisation" in told else {}
    shown["% waiting"] = 100 * told["data_wait"]
    return shown | ({"GiB at most": told["memory_peak_gib"]} if "memory_peak_gib" in told else {})


def run(arguments: list[str]) -> None:
    """Measures what the flags say."""
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]} is not an option: settings are given as --config.KEY=VALUE.")
    check_value("--steps", STEPS.value, whole(1))
    processes.initialize()
    from data.embedded import fill_in_networks
    from launch.benchmark import _table
    from launch.stages import build, ensure_data
    from xactor_jax.training.benchmark import Bench

    config = CONFIG.value
    for name in ("autoencoder", "perceptual"):
        config.pretrained[name] = config.pretrained[name] or "random"
    fill_in_networks(config)
    task, make_iterator = build(config)
    if BATCHES.value != "synthetic":
        ensure_data(config)
    bench, told = Bench(config, task), {}
    if BATCHES.value != "data":
        told["synthetic"] = bench.synthetic(STEPS.value)
    if BATCHES.value != "synthetic":
        told["data"] = bench.on(make_iterator("train", *bench.programs.share), STEPS.value)
    print(bench.work.denominator())
    print(f"{bench.seconds:.1f} s to trace and compile")
    _table.show([row(name, numbers) for name, numbers in told.items()])
    _table.write(JSON.value, {**vars(bench.work), "compile_seconds": bench.seconds, "steps": STEPS.value, **told})


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    with exit_on_user_error():
        app.run(run, flags_parser=parse)


if __name__ == "__main__":
    main()
