"""Estimates memory and time of a stage's training and sampling on a machine by compiling for it; nothing is run.

    python launch/study/compile.py --config=configs/actor.py:base --topology=v5e:16x16 [--config.mesh.fsdp=16] [--json=FILE]
    python launch/study/compile.py --config=configs/actor.py                 # for the devices of this machine

A topology is the generation of a TPU and its chips per side: v4:4x4x8, v5e:16x16, v5p:4x4x4, v6e:16x16. No TPU is needed, only
libtpu, which contains the compiler (requirements-tpu.txt). If the step does not fit, settings that need less memory are
compiled until one fits. The exit status is 0 if there is a report, and 2 if there cannot be one.
"""

from __future__ import annotations

import functools
import json
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from absl import app, flags, logging

from launch import _root  # noqa: F401
from launch._flags import CONFIG, parse
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.unfinished import write_whole

TOPOLOGY = flags.DEFINE_string("topology", "", "TPU topology such as v5e:16x16; default: the devices of this machine")
EFFICIENCY = flags.DEFINE_float("efficiency", 0.5, "assumed share of the chip's peak that matrix products reach")
SAMPLER = flags.DEFINE_bool("sampler", True, "also compile the program of sampling")
EFFORT = flags.DEFINE_float(
    "effort", 0.0, "effort of the compiler, from -1 to 1; -1 compiles much faster, with similar results"
)
TRIES = flags.DEFINE_integer("tries", 4, "largest number of other settings to compile if the requested ones do not fit")
JSON = flags.DEFINE_string("json", "", "also write the numbers to this file")


def the_devices() -> list[Any]:
    """The devices of the topology or of this machine. Also sets the effort of the compiler."""
    import jax

    from xactor_jax.parallel import topology

    jax.config.update("jax_exec_time_optimization_effort", EFFORT.value)
    if not TOPOLOGY.value:
        return jax.devices()
    topology.check_libtpu()
    topology.stay_off_hardware()
    return list(topology.topology_devices(TOPOLOGY.value))


def steps(config: Any, task: Any, devices: list[Any], chip: Any) -> list[Any]:
    """Reports of the asked settings and, where they do not fit, of others up to one that does."""
    from configs.stages import make_task
    from xactor_jax.parallel.mesh import make_mesh
    from xactor_jax.training.compiling import alternatives, changed, compile_step

    reports = [compile_step(config, task, make_mesh(config.mesh, devices))]
    if reports[0].fits(chip):
        return reports
    limit = reports[0].refused[1] if reports[0].refused else chip.memory
    for changes, _ in zip(alternatives(config, task, devices, limit), range(TRIES.value), strict=False):
        trial = changed(config, changes)
        reports.append(compile_step(trial, make_task(trial), make_mesh(trial.mesh, devices), changes))
        if reports[-1].fits(chip):
            break
    return reports


def sampling(config: Any, task: Any, device: Any) -> dict[str, Any]:
    """The name of the sampling program, its cost on one device, and its FLOPs."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from configs.stages import make_sampler
    from xactor_jax.parallel.compiled import DoesNotFitError, compile_program, cost_of
    from xactor_jax.parallel.flops import count_flops

    one = make_sampler(config, task)
    here = NamedSharding(Mesh(np.asarray([device], object), ("one",)), PartitionSpec())
    traced = jax.jit(one.function, in_shardings=here, out_shardings=here).trace(*one.arguments)
    try:
        cost, refused = cost_of(compile_program(traced.lower()), 1), None
    except DoesNotFitError as error:
        cost, refused = None, (error.used, error.limit)
    return {"what": one.what, "cost": cost, "refused": refused, "executed": count_flops(traced.jaxpr.jaxpr)}


def run(arguments: list[str]) -> None:
    """Compiles the programs of the flags and prints their cost."""
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]} is not an option: settings are given as --config.KEY=VALUE.")
    if not 0 < EFFICIENCY.value <= 1 or TRIES.value < 0:
        raise UserError("--efficiency must lie in (0, 1] and --tries be at least 0.")
    if not -1 <= EFFORT.value <= 1:
        raise UserError("--effort must lie in [-1, 1].")
    devices = the_devices()
    from configs.stages import check, make_task
    from launch.study import _compile_report as report
    from xactor_jax.parallel.chips import chip_of

    config, chip = CONFIG.value, chip_of(devices[0].device_kind)
    check(config)
    task = make_task(config)
    reports = steps(config, task, devices, chip)
    sampled = sampling(config, task, devices[0]) if SAMPLER.value else None
    machine = report.Machine(TOPOLOGY.value, len(devices), devices[0].device_kind, chip, EFFICIENCY.value, EFFORT.value)
    numbers = report.as_numbers(machine, config.stage, reports, sampled)
    report.show(machine, reports, sampled)
    if JSON.value:
        write_whole(JSON.value, json.dumps(numbers, indent=2) + "\n")


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    with exit_on_user_error():
        app.run(run, flags_parser=functools.partial(parse, verbosity=logging.ERROR))


if __name__ == "__main__":
    main()
