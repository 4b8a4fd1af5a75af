"""Reports of launch/study/compile.py, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from xactor_jax.parallel.chips import Chip
from xactor_jax.parallel.collectives import totals
from xactor_jax.parallel.compiled import Cost, Estimate, estimate
from xactor_jax.training.compiling import StepReport, described

GIB = 2**30


class Machine(NamedTuple):
    """The machine that programs were compiled for."""

    topology: str
    devices: int
    device_kind: str
    chip: Chip | None
    efficiency: float
    effort: float
    """Effort of the compiler, from −1 to 1."""

    def __str__(self) -> str:
        name = f"{self.topology}, " if self.topology else ""
        return f"{name}{self.devices} × {self.device_kind}"

    def estimated(self, cost: Cost, executed: float, model: float) -> Estimate | None:
        """Estimate from the chip's published peaks; None if they are not known."""
        return estimate(cost, executed, model, self.chip, self.efficiency) if self.chip else None


def as_numbers(
    machine: Machine, stage: str, reports: Sequence[StepReport], sampled: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The whole report for JSON. Bytes, FLOPs and seconds are those of one device."""
    chip = machine.chip._asdict() if machine.chip else None
    content = {"stage": stage, "topology": machine.topology, "devices": machine.devices, "device_kind": machine.device_kind}
    content |= {"chip": chip, "efficiency": machine.efficiency, "effort": machine.effort}
    content["steps"] = [_step(machine, one) for one in reports]
    if sampled:
        content["sampler"] = {"what": sampled["what"], "refused": sampled["refused"], "executed": sampled["executed"]}
        content["sampler"] |= _cost(machine, sampled["cost"], sampled["executed"], sampled["executed"])
    return content


def _step(machine: Machine, report: StepReport) -> dict[str, Any]:
    names = ("changes", "mesh", "batch_size", "grad_accumulation", "remat", "held", "executed", "model", "refused")
    content = {name: getattr(report, name) for name in names} | {"fits": report.fits(machine.chip)}
    return content | _cost(machine, report.cost, report.executed, report.model)


def _cost(machine: Machine, cost: Cost | None, executed: float, model: float) -> dict[str, Any]:
    if cost is None:
        return {}
    names = ("arguments", "results", "temporaries", "code", "peak", "flops", "accessed", "sent")
    content = {name: getattr(cost, name) for name in names} | {"collectives": totals(cost.collectives)}
    guess = machine.estimated(cost, executed, model)
    seconds = {"compute": guess.compute, "memory": guess.memory, "links": guess.links} if guess else None
    return content | ({"seconds": seconds, "seconds_a_step": guess.time, "utilisation": guess.utilisation} if guess else {})


def show(machine: Machine, reports: Sequence[StepReport], sampled: Mapping[str, Any] | None) -> None:
    """Prints the report on stdout."""
    console = Console(width=128, highlight=False)
    console.print(f"{machine}; bytes, FLOPs and seconds are those of one device")
    for report in reports:
        console.print(f"\nTrain step: {described(report)}")
        _show_step(console, machine, report)
    _show_verdict(console, machine, reports)
    if sampled:
        console.print(f"\nSampling: {sampled['what']}")
        if sampled["cost"] is None:
            console.print(_refusal(sampled["refused"]))
        else:
            _show_cost(console, machine, sampled["cost"], sampled["executed"], sampled["executed"], {})
    console.print(f"\n{assumptions(machine)}")


def _show_step(console: Console, machine: Machine, report: StepReport) -> None:
    if report.cost is not None:
        _show_cost(console, machine, report.cost, report.executed, report.model, report.held)
        return
    held = ", ".join(f"{name} {_size(size)}" for name, size in report.held.items())
    console.print(f"{_refusal(report.refused)} of that: {held}.")


def _refusal(refused: tuple[float, float]) -> str:
    return f"does not fit: it would take {_size(refused[0])} of {_size(refused[1])};"


def _show_cost(console: Console, machine: Machine, cost: Cost, executed: float, model: float, held: Mapping[str, int]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    add = table.add_row
    for name, size in held.items():
        add(name, _size(size))
    add("other arguments" if held else "arguments", _size(max(0, cost.arguments - sum(held.values()))))
    add("temporaries", _size(cost.temporaries))
    add("results and code", _size(cost.results + cost.code))
    room = f" of {_size(machine.chip.memory)} ({cost.peak / machine.chip.memory:.0%})" if machine.chip else ""
    add("peak memory", f"{_size(cost.peak)}{room}")
    add("FLOPs", f"{model:.4g} of the model, {executed:.4g} with rematerialisation, {cost.flops:.4g} by the compiler")
    add("bytes accessed", _size(cost.accessed))
    for kind, row in totals(cost.collectives).items():
        add(kind, f"{row['count']:.0f}, {_size(row['bytes'])} in total; {_size(row['sent'])} sent")
    if guess := machine.estimated(cost, executed, model):
        parts = f"compute {_time(guess.compute)}, memory {_time(guess.memory)}, links {_time(guess.links)}"
        add("estimated time", f"{_time(guess.time)}, limited by {guess.limit}: {parts}")
        add("estimated utilisation", f"{guess.utilisation:.1%} of {machine.chip.peak_flops:.4g} FLOPs per second")
    console.print(table)


def _show_verdict(console: Console, machine: Machine, reports: Sequence[StepReport]) -> None:
    fitting = [report for report in reports if report.fits(machine.chip)]
    if len(reports) == 1 and fitting:
        return
    if fitting:
        changes = " ".join(f"--config.{name}={value}" for name, value in fitting[0].changes.items())
        console.print(f"\nThe requested settings do not fit; these do, compiled: {changes}")
    else:
        console.print(f"\nNone of the {len(reports)} compiled settings fits: take a smaller batch or more chips.")


def assumptions(machine: Machine) -> str:
    """The assumptions of the estimates, as text."""
    counted = "The compiler's FLOPs and bytes count the body of a loop once; all other numbers count every iteration."
    if machine.chip is None:
        return f"The peak of {machine.device_kind} is not known, so no time is estimated. {counted}"
    chip = machine.chip
    return (
        f"Assumed for {chip.name}: {machine.efficiency:.0%} of {chip.peak_flops:.4g} bfloat16 FLOPs per second, "
        f"{chip.memory_bandwidth:.4g} bytes per second of memory and {chip.link_bandwidth:.4g} bytes per second over the links "
        f"(in rings), all three at the same time. Bytes accessed are the compiler's, including data that stays in fast memory. "
        f"{counted}"
    )


def _size(size: float) -> str:
    unit = next((name for name, one in (("GiB", GIB), ("MiB", 2**20)) if size >= 0.1 * one), "KiB")
    return f"{size / {'GiB': GIB, 'MiB': 2**20, 'KiB': 2**10}[unit]:,.2f} {unit}"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
