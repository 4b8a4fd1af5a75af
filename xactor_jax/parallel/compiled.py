"""Memory of a compiled program on one device, and an estimate of its time from the chip's published peak performance.

(1)  peak memory = arguments + results that do not overwrite arguments + temporaries + code
(2)  time ≥ max(FLOPs / (η · peak), bytes / memory bandwidth, bytes sent / link bandwidth)
(3)  utilisation ≤ model FLOPs / (peak · time)

(2) assumes that only matrix products reach the share η of the peak, that the three terms overlap completely, and that the
memory traffic is what the compiler counts, which includes data that stays in the chip's fast memory.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import jax

from xactor_jax.parallel.chips import Chip
from xactor_jax.parallel.collectives import Collective, collectives
from xactor_jax.variables import Tree

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = r"([\d.]+)([KMGT]?)"
_EXCEEDED = re.compile(rf"Used {_SIZE} of {_SIZE} hbm|\({_SIZE}\) exceeds available HBM \({_SIZE}\)", re.IGNORECASE)
"""The TPU compiler's two messages for a program that needs too much memory."""


class DoesNotFitError(Exception):
    """A program does not fit into the device's memory."""

    def __init__(self, used: float, limit: float) -> None:
        super().__init__(f"the program takes {used / 2**30:.2f} GiB of {limit / 2**30:.2f} GiB")
        self.used, self.limit = used, limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one run of a program on one device, as reported by the compiler. All sizes are in bytes."""

    arguments: int
    results: int
    """Without the results that overwrite arguments."""
    temporaries: int
    code: int
    flops: float
    """FLOPs; the body of a loop counts once."""
    accessed: float
    """Memory traffic."""
    collectives: tuple[Collective, ...]

    @property
    def peak(self) -> int:
        """Peak memory in bytes (equation 1)."""
        return self.arguments + self.results + self.temporaries + self.code

    @property
    def sent(self) -> float:
        """Bytes that the device sends."""
        return sum((one.sent for one in self.collectives), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """The terms of equation 2, in seconds, and the utilisation (equation 3)."""

    compute: float
    memory: float
    links: float
    utilisation: float

    @property
    def time(self) -> float:
        """Lower bound of the time in seconds (equation 2)."""
        return max(self.compute, self.memory, self.links)

    @property
    def limit(self) -> str:
        """Name of the largest of the three terms."""
        return max(("compute", "memory", "links"), key=lambda name: getattr(self, name))


def device_bytes(tree: Tree) -> int:
    """Bytes of a tree on one device. Leaves are arrays or shapes that have a sharding."""

    def leaf(x: Any) -> int:
        return math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize

    return sum(map(leaf, jax.tree.leaves(tree)))


def compile_program(lowered: Any) -> jax.stages.Compiled:
    """Compiles a program. Raises `DoesNotFitError` if the compiler reports that it needs too much memory."""
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        exceeded = _EXCEEDED.search(str(error))
        if exceeded is None:
            raise
        used, unit, limit, limit_unit = (part for part in exceeded.groups() if part is not None)
        raise DoesNotFitError(float(used) * UNITS[unit.upper()], float(limit) * UNITS[limit_unit.upper()]) from None


def cost_of(compiled: jax.stages.Compiled, devices: int) -> Cost:
    """Cost that the compiler reports for a program on `devices` devices."""
    memory, analysis = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return Cost(
        arguments=memory.argument_size_in_bytes,
        results=max(0, memory.output_size_in_bytes - memory.alias_size_in_bytes),
        temporaries=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        flops=float(analysis.get("flops", 0.0)),
        accessed=float(analysis.get("bytes accessed", 0.0)),
        collectives=tuple(collectives(compiled.as_text(), devices)),
    )


def estimate(cost: Cost, executed: float, model: float, chip: Chip, efficiency: float) -> Estimate:
    """Estimate by equations 2 and 3. `executed` counts all FLOPs of one device, `model` those without rematerialisation."""
    compute = max(executed, cost.flops) / (efficiency * chip.peak_flops)
    memory, links = cost.accessed / chip.memory_bandwidth, cost.sent / chip.link_bandwidth
    time = max(compute, memory, links)
    return Estimate(compute=compute, memory=memory, links=links, utilisation=model / (chip.peak_flops * time) if time else 0.0)
