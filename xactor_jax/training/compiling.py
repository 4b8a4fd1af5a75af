"""A stage's train step compiled for a mesh, its cost, and which settings fit where the asked ones do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.parallel.chips import Chip
from xactor_jax.parallel.compiled import Cost, DoesNotFitError, compile_program, cost_of, device_bytes
from xactor_jax.parallel.flops import count_flops, model_flops
from xactor_jax.parallel.mesh import AXES, batch_shardings, batch_shards, make_mesh
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.programs import check_layout, make_programs
from xactor_jax.training.state import TrainState, abstract_state
from xactor_jax.training.task import Task

STATE_SHARE = 0.25
"""Of the memory, at most, for the state in a mesh that is proposed: the rest is for activations."""

Changes = Mapping[str, Any]
"""Setting, as in "mesh.fsdp" → value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step takes on one device; bytes."""

    changes: Changes
    """What of the config was set otherwise than asked."""
    mesh: Mapping[str, int]
    batch_size: int
    grad_accumulation: int
    remat: str
    held: Mapping[str, int]
    """Parameters, their average, optimiser state, buffers and batch."""
    executed: float
    """Operations, with rematerialisation; an equal share of the whole step's."""
    model: float
    """The same without rematerialisation."""
    cost: Cost | None
    """None where the compiler refused."""
    refused: tuple[float, float] | None = None
    """Bytes that it would have taken, and that there are."""

    def fits(self, chip: Chip | None) -> bool:
        """Whether it does, into what the chip has; where nothing is known of it, what the compiler takes fits."""
        return self.cost is not None and (chip is None or self.cost.peak <= chip.memory)


def held_by(state: TrainState) -> dict[str, int]:
    """Bytes of a state on one device."""
    parts = {"parameters": state.params, "average": state.ema, "optimiser": state.opt_state, "buffers": state.buffers}
    return {name: device_bytes(tree) for name, tree in parts.items()}


def batch_on(task: Task, batch_size: int, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch's shapes and where they lie."""
    shapes = task.example_batch(batch_size)
    shardings = batch_shardings(shapes, mesh, task.frame_entries)
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shardings[name]) for name, x in shapes.items()}


def compile_step(config: ConfigDict, task: Task, mesh: Mesh, changes: Changes | None = None) -> StepReport:
    """Compiles the train step; nothing is allocated. Raises `UserError` where the batch does not divide over the mesh."""
    check_layout(config, task, mesh)
    programs, batch = make_programs(config, task, mesh), batch_on(task, config.batch_size, mesh)
    traced = programs.train_step.trace(programs.abstract, batch)
    cost = refused = None
    try:
        cost = cost_of(compile_program(traced.lower()), mesh.size)
    except DoesNotFitError as error:
        refused = error.used, error.limit
    return StepReport(
        changes=dict(changes or {}),
        mesh=dict(mesh.shape),
        batch_size=config.batch_size,
        grad_accumulation=config.grad_accumulation,
        remat=config.remat,
        held={**held_by(programs.abstract), "batch": device_bytes(batch)},
        executed=count_flops(traced.jaxpr.jaxpr) / mesh.size,
        model=model_flops(traced.jaxpr.jaxpr) / mesh.size,
        cost=cost,
        refused=refused,
    )


def changed(config: ConfigDict, changes: Changes) -> ConfigDict:
    """A copy with settings changed."""
    copy = ConfigDict(config.to_dict())
    copy.update_from_flattened_dict(dict(changes))
    return copy


def alternatives(config: ConfigDict, task: Task, devices: Sequence[Any], memory: float) -> Iterator[Changes]:
    """What to try where a step does not fit, the mildest first: parameters split further, rematerialisation, smaller pieces."""
    fsdp = roomy_fsdp(config, task, devices, memory)
    mesh = {"mesh.data": -1, "mesh.fsdp": fsdp} if fsdp != config.mesh.fsdp else {}
    rows = config.batch_size // batch_shards(make_mesh(changed(config, mesh).mesh, devices), task.frame_entries)
    if mesh:
        yield mesh
    if config.remat != "full":
        yield {**mesh, "remat": "full"}
    for parts in (n for n in range(2, rows + 1) if rows % n == 0 and n % config.grad_accumulation == 0):
        if parts != config.grad_accumulation:
            yield {**mesh, "remat": "full", "grad_accumulation": parts}


def roomy_fsdp(config: ConfigDict, task: Task, devices: Sequence[Any], memory: float) -> int:
    """The smallest `mesh.fsdp`, no smaller than asked, that leaves room for activations; the largest where none does.

    By arithmetic on shapes: nothing is compiled.
    """
    best = config.mesh.fsdp
    for fsdp in (n for n in range(best, len(devices) + 1) if len(devices) % n == 0):
        trial = changed(config, {"mesh.data": -1, "mesh.fsdp": fsdp})
        try:
            mesh = make_mesh(trial.mesh, devices)
            check_layout(trial, task, mesh)
        except UserError:
            continue
        best, state = fsdp, abstract_state(trial, task, make_optimizer(trial, task), mesh)
        if sum(held_by(state).values()) <= STATE_SHARE * memory:
            break
    return best


def described(report: StepReport) -> str:
    """Mesh, batch and the like in words."""
    axes = " ".join(f"{name}={report.mesh[name]}" for name in AXES if report.mesh[name] > 1) or "one device"
    parts = f" in {report.grad_accumulation} parts" if report.grad_accumulation > 1 else ""
    return f"{axes}, batch {report.batch_size}{parts}, remat {report.remat}"
