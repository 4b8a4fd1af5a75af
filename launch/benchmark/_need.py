"""Cores that must make training examples so that devices do not wait for data: computed, not measured.

(1)  e = η · P / F        examples per second of one device
(2)  s = e · n / B        steps per second of n devices
(3)  c = e / r            cores per device

η: utilisation; P: published peak FLOPs per second of a device; F: model FLOPs of one example in a training step; B: batch size;
r: examples per second that one core makes, as measured. Equation 1 neglects the exchange between devices, which would
make steps slower, so that they would need less data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from xactor_jax.parallel.chips import CHIPS

UTILISATION = 0.5
"""η of equation 1."""


class Machine(NamedTuple):
    """Devices that share the cores of one machine."""

    name: str
    chip: str
    """Name in `xactor_jax.parallel.chips.CHIPS`."""
    devices: int


MACHINES = (Machine("H200", "H200", 1), Machine("8 × H200", "H200", 8), Machine("v5e-8 host", "v5e", 8))


class Goal(NamedTuple):
    """The largest number of cores per device that a stage's data should take."""

    stage: str
    side: int
    """Pixels; 0: pictures of any size."""
    cores: float


GOALS = (Goal("motion", 512, 4.0), Goal("video", 0, 1.0))


class Load(NamedTuple):
    """A training step, and the speed of its data."""

    flops: float
    """F of equation 1."""
    batch_size: int
    rate: float
    """r of equation 3."""


def needs(load: Load, goal: float | None) -> Iterator[dict[str, Any]]:
    """A row for each of `MACHINES`."""
    peaks = {chip.name: chip.peak_flops for chip in CHIPS}
    for machine in MACHINES:
        examples = UTILISATION * peaks[machine.chip] / load.flops
        cores = examples / load.rate
        yield {
            "machine": machine.name,
            "batch": load.batch_size,
            "steps/s": examples * machine.devices / load.batch_size,
            "examples/s": examples * machine.devices,
            "cores per device": cores,
            "cores": cores * machine.devices,
            "goal": "" if goal is None else f"≤ {goal:g} per device: {'reached' if cores <= goal else 'missed'}",
        }


def goal_of(stage: str, side: int) -> float | None:
    """Cores per device that a stage should take at most; None if there is no goal."""
    return next((goal.cores for goal in GOALS if goal.stage == stage and goal.side in (0, side)), None)


def name_networks(config: ConfigDict) -> None:
    """Gives random weights to pretrained networks that the config does not name, so that its step can run without them."""
    from data.embedded import fill_in_networks

    for name in ("autoencoder", "perceptual", "clip"):
        config.pretrained[name] = config.pretrained[name] or "random"
    fill_in_networks(config)


def example_flops(config: ConfigDict) -> float:
    """F of equation 1. The step is traced with shapes; nothing is compiled or allocated."""
    import jax

    from configs.stages import make_task
    from xactor_jax.parallel.mesh import make_mesh
    from xactor_jax.training.compiling import step_flops

    name_networks(config)
    return step_flops(config, make_task(config), make_mesh(config.mesh, jax.devices()[:1])) / config.batch_size
