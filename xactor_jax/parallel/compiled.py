"""What a compiled program takes on one device, and an estimate of its time from the chip's published peaks.

(1)  peak memory = arguments + results that are not written over arguments + temporaries + code
(2)  time ≥ max(operations / (η · peak), bytes / memory bandwidth, bytes sent / link bandwidth)
(3)  utilisation ≤ model operations / (peak · time)
η, the share of the peak that products of matrices reach by themselves, is an assumption; so is it that the three of (2) overlap
wholly, and that the bytes of (2) are those that the compiler counts, which includes what stays in the chip's fast memory.
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
"""Two ways in which the compiler of TPUs says it."""


class DoesNotFitError(Exception):
    """The compiler finds no way to fit a program into the device's memory."""

    def __init__(self, used: float, limit: float) -> None:
        super().__init__(f"the program takes {used / 2**30:.2f} GiB of {limit / 2**30:.2f} GiB")
        self.used, self.limit = used, limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one run of a program on one device, as the compiler tells it."""

    arguments: int
    """Bytes, as are all but `operations`."""
    results: int
    """Beyond those that are written over arguments."""
    temporaries: int
    code: int
    operations: float
    """Those in loops once."""
    accessed: float
    collectives: tuple[Collective, ...]

    @property
    def peak(self) -> int:
        """Equation 1."""
        return self.arguments + self.results + self.temporaries + self.code

    @property
    def sent(self) -> float:
        """Bytes that the device sends."""
        return sum((one.sent for one in self.collectives), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Equations 2 and 3; seconds."""

    compute: float
    memory: float
    links: float
    utilisation: float

    @property
    def time(self) -> float:
        """Equation 2."""
        return max(self.compute, self.memory, self.links)

    @property
    def limit(self) -> str:
        """Which of the three it is."""
        return max(("compute", "memory", "links"), key=lambda name: getattr(self, name))


def device_bytes(tree: Tree) -> int:
    """Bytes of the part of every array that one device holds, of arrays or shapes that know their sharding."""

    def leaf(x: Any) -> int:
        return math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize

    return sum(map(leaf, jax.tree.leaves(tree)))


def compile_program(lowered: Any) -> jax.stages.Compiled:
    """The compiled program. Raises `DoesNotFitError` where the compiler says that it cannot fit."""
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        exceeded = _EXCEEDED.search(str(error))
        if exceeded is None:
            raise
        used, unit, limit, limit_unit = (part for part in exceeded.groups() if part is not None)
        raise DoesNotFitError(float(used) * UNITS[unit.upper()], float(limit) * UNITS[limit_unit.upper()]) from None


def cost_of(compiled: jax.stages.Compiled, devices: int) -> Cost:
    """What the compiler says of a program for so many devices."""
    memory, told = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return Cost(
        arguments=memory.argument_size_in_bytes,
        results=max(0, memory.output_size_in_bytes - memory.alias_size_in_bytes),
        temporaries=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        operations=float(told.get("flops", 0.0)),
        accessed=float(told.get("bytes accessed", 0.0)),
        collectives=tuple(collectives(compiled.as_text(), devices)),
    )


def estimate(cost: Cost, executed: float, model: float, chip: Chip, efficiency: float) -> Estimate:
    """Equations 2 and 3 from operations of one device: all that it executes, and those that the model asks for."""
    compute = max(executed, cost.operations) / (efficiency * chip.peak_flops)
    memory, links = cost.accessed / chip.memory_bandwidth, cost.sent / chip.link_bandwidth
    time = max(compute, memory, links)
    return Estimate(compute=compute, memory=memory, links=links, utilisation=model / (chip.peak_flops * time) if time else 0.0)
