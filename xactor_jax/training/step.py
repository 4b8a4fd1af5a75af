"""The optimiser step and the evaluation step: pure functions, compiled for a mesh.

g = (1/m) Σ_j ∇L(θ, microbatch_j, key_j)                                                                     (1)
θ ← optimiser(θ, g)                                                                                             (2)
ema ← d · ema + (1 − d) · θ,   d = min(ema_decay, (1 + step) / (10 + step))                                        (3)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from xactor_jax.parallel.constrain import split_over
from xactor_jax.parallel.flops import marked
from xactor_jax.parallel.mesh import batch_shardings, batch_spec, replicated
from xactor_jax.parallel.rows import rows_kept
from xactor_jax.pictures import batch_to_float
from xactor_jax.training.optimizer import freeze, learning_rate
from xactor_jax.training.randomness import stream_key
from xactor_jax.training.state import TrainState
from xactor_jax.training.task import Task
from xactor_jax.variables import Batch, LossOutput, Tree, Variables

Metrics = Mapping[str, jax.Array]


def ema_decay(step: jax.typing.ArrayLike, decay: float) -> jax.Array:
    """The decay d (equation 3). It is small at first, so that the average forgets the initial values quickly."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def update_ema(ema: Tree, params: Tree, decay: jax.Array) -> Tree:
    """Updates the moving average of the parameters (equation 3)."""
    return jax.tree.map(lambda e, p: e + (1.0 - decay) * (p - e), ema, params)  # exactly e if p equals e


def split_batch(batch: Batch, parts: int, mesh: Mesh, frame_entries: Collection[str] = ()) -> Batch:
    """[batch, ...] → [parts, batch / parts, ...]. Row r goes to part r mod parts, so that no row changes its device."""

    def split(name: str, x: jax.Array) -> jax.Array:
        rows = x.reshape(x.shape[0] // parts, parts, *x.shape[1:]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(
            rows, NamedSharding(mesh, PartitionSpec(None, *batch_spec(name, frame_entries)))
        )

    return {name: split(name, x) for name, x in batch.items()}


def loss_and_gradients(task: Task, variables: Variables, batch: Batch, key: jax.Array) -> tuple[LossOutput, Tree]:
    """Loss of one microbatch, and its gradients with respect to the parameters that are not frozen."""
    batch = batch_to_float(batch)

    def loss(params: Tree) -> tuple[jax.Array, LossOutput]:
        frozen = freeze(params, task.param_labels(params))
        output = task.loss(Variables(frozen, variables.buffers), batch, key, True)
        return marked(output.loss), output

    (_, output), gradients = jax.value_and_grad(loss, has_aux=True)(variables.params)
    return output, gradients


def accumulate(
    task: Task, variables: Variables, batch: Batch, key: jax.Array, parts: int, mesh: Mesh
) -> tuple[LossOutput, Tree]:
    """Mean loss, metrics and gradients over `parts` microbatches (equation 1). Buffers pass from one to the next."""
    if parts == 1:
        with rows_kept(mesh, task.frame_entries):
            return loss_and_gradients(task, variables, batch, key)

    def body(buffers: Tree, item: tuple[jax.Array, Batch]) -> tuple[Tree, Any]:
        index, microbatch = item
        one = Variables(variables.params, buffers)
        with rows_kept(mesh, task.frame_entries):
            output, gradients = loss_and_gradients(task, one, microbatch, jax.random.fold_in(key, index))
        return output.buffers, (output.loss, dict(output.metrics), gradients)

    def carry(state: tuple[Tree, Tree], item: Any) -> tuple[tuple[Tree, Tree], None]:
        buffers, sums = state
        buffers, result = body(buffers, item)
        return (buffers, jax.tree.map(jnp.add, sums, result)), None

    items = (jnp.arange(parts), split_batch(batch, parts, mesh, task.frame_entries))
    shapes = jax.eval_shape(body, variables.buffers, jax.tree.map(lambda x: x[0], items))[1]
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    (buffers, sums), _ = jax.lax.scan(carry, (variables.buffers, zeros), items)
    loss, metrics, gradients = jax.tree.map(lambda x: x / parts, sums)
    return LossOutput(loss, metrics, buffers), gradients


def as_float32(metrics: Mapping[str, jax.typing.ArrayLike]) -> Metrics:
    """Converts scalars to float32, whatever type the network uses."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}


def make_train_step(
    config: ConfigDict, task: Task, optimizer: optax.GradientTransformation, mesh: Mesh, shardings: TrainState
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Compiled (state, batch) → (state, metrics): the task's metrics, loss, gradient norm, learning rate. Donates the state."""
    seed, parts, decay = config.seed, config.grad_accumulation, config.ema_decay
    schedule, names = learning_rate(config), task.example_batch(config.batch_size)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = stream_key(seed, "train", state.step)
        with split_over(mesh):
            output, gradients = accumulate(task, state.variables(), batch, key, parts, mesh)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = update_ema(state.ema, params, ema_decay(state.step, decay))
        own = {"loss": output.loss, "grad_norm": optax.global_norm(gradients), "learning_rate": schedule(state.step)}
        return TrainState(state.step + 1, params, ema, opt_state, output.buffers), as_float32({**output.metrics, **own})

    return jax.jit(
        train_step,
        in_shardings=(shardings, batch_shardings(names, mesh, task.frame_entries)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def make_eval_step(config: ConfigDict, task: Task, mesh: Mesh) -> Callable[[Variables, Batch, int], Metrics]:
    """Compiled (variables, batch, index of the batch) → metrics. Random draws are the same in every evaluation."""
    seed = config.seed

    def eval_step(variables: Variables, batch: Batch, index: jax.Array) -> Metrics:
        with split_over(mesh):
            output = task.loss(variables, batch_to_float(batch), stream_key(seed, "eval", index), False)
        return as_float32({**output.metrics, "loss": output.loss})

    return jax.jit(eval_step, out_shardings=replicated(mesh))


def make_preview(config: ConfigDict, task: Task, mesh: Mesh) -> Callable[[Variables, Batch], Mapping[str, jax.Array]]:
    """Compiled (variables, batch) → pictures, whole on every process. Random draws are the same every time."""
    seed = config.seed

    def preview(variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        with split_over(mesh):
            return task.preview(variables, batch_to_float(batch), stream_key(seed, "preview"))

    return jax.jit(preview, out_shardings=replicated(mesh))
