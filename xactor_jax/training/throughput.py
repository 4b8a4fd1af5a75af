"""Speed of a run, and how it spends its time.

(1)  goodput = seconds in steps / seconds of the run
(2)  utilisation = model FLOPs of a step on one device · steps per second / published peak FLOPs per second of the device
(3)  data wait = s / (s + seconds in steps),  s: seconds in which the devices were idle because data was late

The seconds of a run are all those in which it was running, since its first start. Steps that were done and lost, such as by a
kill, lower goodput. FLOPs are counted by equation 3 of `xactor_jax.parallel.flops`, without rematerialisation. The peak is that
in bfloat16, whatever type the run uses.
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
"""Kinds of time of a run. `lost` is the time of steps whose results were lost by a kill."""
SECONDS = "seconds/"
RATES = (
    "steps_per_second",
    "examples_per_second",
    "data_wait",
    "flops",
    "flops_per_second",
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
    """Seconds of each of `KINDS`. Every moment belongs to exactly one kind."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.totals: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        self._now, self._mark = now, now()

    def charge(self, kind: str, until: float = math.inf) -> None:
        """Adds the time since the last charge, up to the moment `until`, to one kind."""
        end = max(self._mark, min(until, self._now()))
        self.totals[kind] += end - self._mark
        self._mark = end

    @contextlib.contextmanager
    def doing(self, kind: str) -> Iterator[None]:
        """Adds the body's time to one kind, and the time before it to steps."""
        self.charge("step")
        try:
            yield
        finally:
            self.charge(kind)

    def add(self, earlier: Totals) -> None:
        """Adds the seconds that were spent before this clock existed."""
        self.totals = {kind: seconds + earlier.get(kind, 0.0) for kind, seconds in self.totals.items()}


class Completion:
    """The moment at which arrays are computed. A thread notes it while the caller does something else."""

    def __init__(self, arrays: Any) -> None:
        self.moment = math.inf
        self._thread = threading.Thread(target=self._note, args=(arrays,), daemon=True)
        self._thread.start()

    def _note(self, arrays: Any) -> None:
        with contextlib.suppress(Exception):  # the code that reads the arrays raises the same error
            jax.block_until_ready(arrays)
            self.moment = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Waits until the moment is known, at most `seconds`."""
        self._thread.join(seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """The work of one step, and the devices that do it."""

    examples: int
    flops: float
    """Model FLOPs of one device."""
    devices: int
    device_kind: str
    peak: float | None
    """Published FLOPs per second of one device; None if unknown."""

    def denominator(self) -> str:
        """Text that says what utilisation is measured against."""
        share = f"{self.flops:.4g} model FLOPs per step and device, without rematerialisation; {self.devices} × "
        if self.peak is None:
            return f"{share}{self.device_kind}, for which no peak is published: no utilisation"
        return f"{share}{self.device_kind}, utilisation of {self.peak:.4g} FLOPs per second (bfloat16) each"

    def write(self, folder: epath.Path) -> None:
        """Writes it into the workdir, as JSON."""
        write_whole(folder / FILE, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def work_of(flops: float, examples: int, devices: int, device_kind: str) -> Work:
    """The work of a step with that many FLOPs, split over devices of one kind."""
    chip = chip_of(device_kind)
    return Work(
        examples=examples,
        flops=flops / devices,
        devices=devices,
        device_kind=device_kind,
        peak=chip.peak_flops if chip else None,
    )


def rates(steps: int, spent: Totals, work: Work) -> dict[str, float]:
    """Speed over `steps` steps, from the seconds `spent` on them (equations 2 and 3)."""
    seconds = max(spent["step"] + spent["data"], 1e-9)
    speed = steps / seconds
    values = {
        "steps_per_second": speed,
        "examples_per_second": work.examples * speed,
        "data_wait": spent["data"] / seconds,
        "flops": work.flops,
        "flops_per_second": work.flops * speed,
    }
    return values | ({"utilisation": work.flops * speed / work.peak} if work.peak else {})


def goodput(totals: Totals) -> float:
    """Share of the run's time spent in steps (equation 1)."""
    return totals["step"] / max(sum(totals.values()), 1e-9)


def device_memory(devices: Sequence[Any]) -> dict[str, float]:
    """GiB now in use, and the largest use so far, on the fullest device. Empty if the devices do not report it."""
    known = [stats for device in devices if (stats := device.memory_stats())]
    names = {"memory_gib": "bytes_in_use", "memory_peak_gib": "peak_bytes_in_use"}
    return {name: max(stats.get(key, 0) for stats in known) / 2**30 for name, key in names.items() if known}


def earlier_seconds(lines: Sequence[str], step: int) -> dict[str, float]:
    """Seconds that a run has spent before it continues at `step`, from its metrics.jsonl.

    All time after the checkpoint counts as lost, whatever it was spent on.
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
