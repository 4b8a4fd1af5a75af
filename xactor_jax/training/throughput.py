"""How fast a run goes, and where its time goes.

(1)  goodput = seconds in steps / seconds of the run
(2)  utilisation = model operations of a step and device · steps a second / published peak of the device
(3)  data wait = s / (s + seconds in steps),  s: seconds in which the devices had nothing to do since the data was late

The seconds of a run are those in which it ran, since it was first begun; steps that were done and lost, as after a kill, count
against goodput. The operations are those of `xactor_jax.parallel.flops` (3), without
rematerialisation; the peak is that in bfloat16, whatever the run computes in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from xactor_jax.parallel.chips import chip_of
from xactor_jax.unfinished import write_whole

FILE = "throughput.json"
KINDS = ("start", "compile", "step", "data", "evaluation", "preview", "checkpoint", "lost")
"""What the time of a run is spent on; `lost` are steps whose results a kill took away."""
SECONDS = "seconds/"
RATES = (
    "steps_per_second",
    "examples_per_second",
    "data_wait",
    "operations",
    "operations_per_second",
    "utilisation",
    "memory_gib",
    "memory_peak_gib",
    "compile_seconds",
    "goodput",
)

Totals = Mapping[str, float]


def is_timing(name: str) -> bool:
    """Whether a name in metrics.jsonl depends on the machine and not on the training."""
    return name.startswith(SECONDS) or name.removeprefix("train/") in RATES


class Clock:
    """Seconds spent on each of `KINDS`: every moment belongs to one of them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.totals = dict.fromkeys(KINDS, 0.0)
        self._now, self._mark = now, now()

    def charge(self, kind: str, until: float = math.inf) -> None:
        """All time since the last charge, up to the moment `until`, was spent on one kind."""
        end = max(self._mark, min(until, self._now()))
        self.totals[kind] += end - self._mark
        self._mark = end

    @contextlib.contextmanager
    def doing(self, kind: str) -> Iterator[None]:
        """The time inside is spent on one kind; what came before it, on steps."""
        self.charge("step")
        try:
            yield
        finally:
            self.charge(kind)

    def add(self, earlier: Totals) -> None:
        """Seconds spent before this clock was there."""
        self.totals = {kind: seconds + earlier.get(kind, 0.0) for kind, seconds in self.totals.items()}


class Completion:
    """The moment in which arrays are computed, noted by a thread while the caller does something else."""

    def __init__(self, arrays: Any) -> None:
        self.moment = math.inf
        self._thread = threading.Thread(target=self._note, args=(arrays,), daemon=True)
        self._thread.start()

    def _note(self, arrays: Any) -> None:
        with contextlib.suppress(Exception):  # whoever reads the arrays hears of it
            jax.block_until_ready(arrays)
            self.moment = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Until it is known, at most some seconds."""
        self._thread.join(seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What one step does, and on what."""

    examples: int
    operations: float
    """Of the model, a device."""
    devices: int
    device_kind: str
    peak: float | None
    """Published operations a second of one device; None where none are known."""

    def denominator(self) -> str:
        """What utilisation is measured against."""
        share = f"{self.operations:.4g} model operations a step and device, without rematerialisation; {self.devices} × "
        if self.peak is None:
            return f"{share}{self.device_kind}, of which no peak is published: no utilisation"
        return f"{share}{self.device_kind}, utilisation of {self.peak:.4g} operations a second (bfloat16) each"

    def write(self, folder: epath.Path) -> None:
        """Into the workdir, as JSON."""
        write_whole(folder / FILE, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def work_of(operations: float, examples: int, devices: int, device_kind: str) -> Work:
    """Of a step with so many operations, split over devices of one kind."""
    chip = chip_of(device_kind)
    return Work(
        examples=examples,
        operations=operations / devices,
        devices=devices,
        device_kind=device_kind,
        peak=chip.peak_flops if chip else None,
    )


def rates(steps: int, spent: Totals, work: Work) -> dict[str, float]:
    """Speed over some steps in which so many seconds were spent; equations 2 and 3."""
    seconds = max(spent["step"] + spent["data"], 1e-9)
    speed = steps / seconds
    told = {
        "steps_per_second": speed,
        "examples_per_second": work.examples * speed,
        "data_wait": spent["data"] / seconds,
        "operations": work.operations,
        "operations_per_second": work.operations * speed,
    }
    return told | ({"utilisation": work.operations * speed / work.peak} if work.peak else {})


def goodput(totals: Totals) -> float:
    """Equation 1."""
    return totals["step"] / max(sum(totals.values()), 1e-9)


def device_memory(devices: Sequence[Any]) -> dict[str, float]:
    """GiB in use and at most so far on the fullest device; nothing where devices do not say."""
    told = [stats for device in devices if (stats := device.memory_stats())]
    names = {"memory_gib": "bytes_in_use", "memory_peak_gib": "peak_bytes_in_use"}
    return {name: max(stats.get(key, 0) for stats in told) / 2**30 for name, key in names.items() if told}


def carried(lines: Sequence[str], step: int) -> dict[str, float]:
    """Seconds that a run has spent before it goes on at `step`, from its metrics.jsonl.

    What was spent on steps after the checkpoint is lost; so is what was spent on anything else then.
    """
    before, after = {}, {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            entry = json.loads(line)
            seconds = {name.removeprefix(SECONDS): float(x) for name, x in entry.items() if name.startswith(SECONDS)}
            after = seconds or after
            before = after if entry["step"] <= step else before
    if not after:
        return {}
    return {**before, "lost": before.get("lost", 0.0) + sum(after.values()) - sum(before.values())}
