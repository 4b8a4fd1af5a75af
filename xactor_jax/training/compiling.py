"""Compiles a stage's training step for a mesh, reports its cost, and finds settings that fit if the given ones do not."""

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
"""Largest share of the memory that the state may take in a proposed mesh. The rest is for activations."""

Changes = Mapping[str, Any]
"""Setting, such as "mesh.fsdp" → value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepReport:
    """Cost of one training step on one device. Sizes are in bytes."""

    changes: Changes
    """Settings that differ from the given config."""
    mesh: Mapping[str, int]
    batch_size: int
    grad_accumulation: int
    remat: str
    held: Mapping[str, int]
    """Bytes of the parameters, their average, the optimiser state, the buffers and the batch."""
    executed: float
    """FLOPs with rematerialisation: an equal share of those of the whole step."""
    model: float
    """The same without rematerialisation."""
    cost: Cost | None
    """None if the program does not fit according to the compiler."""
    refused: tuple[float, float] | None = None
    """Bytes that the program needs, and bytes that the device has, if it does not fit."""

    def fits(self, chip: Chip | None) -> bool:
        """Whether the step fits into the chip's memory. If the chip is unknown, the compiler decides."""
        return self.cost is not None and (chip is None or self.cost.peak <= chip.memory)


def held_by(state: TrainState) -> dict[str, int]:
    """Bytes of each part of a state on one device."""
    parts = {"parameters": state.params, "average": state.ema, "optimiser": state.opt_state, "buffers": state.buffers}
    return {name: device_bytes(tree) for name, tree in parts.items()}


def batch_on(task: Task, batch_size: int, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and shardings of a batch."""
    shapes = task.example_batch(batch_size)
    shardings = batch_shardings(shapes, mesh, task.frame_entries)
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shardings[name]) for name, x in shapes.items()}


def compile_step(config: ConfigDict, task: Task, mesh: Mesh, changes: Changes | None = None) -> StepReport:
    """Compiles the training step, without allocating arrays. Raises `UserError` if the batch does not divide over the mesh."""
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


def step_flops(config: ConfigDict, task: Task, mesh: Mesh) -> float:
    """Model FLOPs of one training step on all devices together. It only traces the step; nothing is compiled or allocated."""
    programs = make_programs(config, task, mesh)
    traced = programs.train_step.trace(programs.abstract, batch_on(task, config.batch_size, mesh))
    return model_flops(traced.jaxpr.jaxpr)


def changed(config: ConfigDict, changes: Changes) -> ConfigDict:
    """A copy of the config with the changes."""
    copy = ConfigDict(config.to_dict())
    copy.update_from_flattened_dict(dict(changes))
    return copy


def alternatives(config: ConfigDict, task: Task, devices: Sequence[Any], memory: float) -> Iterator[Changes]:
    """Changes to try if a step does not fit, smallest first: split parameters further, rematerialise, smaller microbatches."""
    fsdp = fsdp_with_room(config, task, devices, memory)
    mesh = {"mesh.data": -1, "mesh.fsdp": fsdp} if fsdp != config.mesh.fsdp else {}
    rows = config.batch_size // batch_shards(make_mesh(changed(config, mesh).mesh, devices), task.frame_entries)
    if mesh:
        yield mesh
    if config.remat != "full":
        yield {**mesh, "remat": "full"}
    for parts in (n for n in range(2, rows + 1) if rows % n == 0 and n % config.grad_accumulation == 0):
        if parts != config.grad_accumulation:
            yield {**mesh, "remat": "full", "grad_accumulation": parts}


def fsdp_with_room(config: ConfigDict, task: Task, devices: Sequence[Any], memory: float) -> int:
    """The smallest `mesh.fsdp` from the configured one on that leaves room for activations; the largest if none does.

    It only computes with shapes, and compiles nothing.
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
    """Text of the mesh, the batch size and rematerialisation."""
    axes = " ".join(f"{name}={report.mesh[name]}" for name in AXES if report.mesh[name] > 1) or "one device"
    parts = f" in {report.grad_accumulation} parts" if report.grad_accumulation > 1 else ""
    return f"{axes}, batch {report.batch_size}{parts}, remat {report.remat}"
