"""The training state, and its creation on a mesh without a whole copy on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from xactor_jax.checkpoints.start import read_start
from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import replicated
from xactor_jax.parallel.partition import follow_params, path_name, tree_shardings
from xactor_jax.training.randomness import stream_key
from xactor_jax.training.task import Task
from xactor_jax.variables import Tree, Variables


class TrainState(flax.struct.PyTreeNode):
    """Content of a checkpoint. `step` counts the optimiser steps done. Parameters and their average are float32."""

    step: Any
    params: Tree
    ema: Tree
    opt_state: Tree
    buffers: Tree

    def variables(self) -> Variables:
        """The current parameters and buffers, as a task takes them."""
        return Variables(self.params, self.buffers)

    def averaged(self) -> Variables:
        """The same with averaged parameters, for evaluation and sampling."""
        return Variables(self.ema, self.buffers)


def fresh_state(key: jax.Array, task: Task, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step. A pure function."""
    params, buffers = task.init(key)
    params = jax.tree.map(lambda x: x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x, params)
    ema = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, ema, optimizer.init(params), buffers)


def state_shardings(state: TrainState, task: Task, mesh: Mesh) -> TrainState:
    """Sharding of every array of the state. Average and optimiser state are sharded like their parameters."""
    params = tree_shardings(state.params, task.partition_rules, mesh)
    buffers = tree_shardings(state.buffers, task.partition_rules, mesh)
    opt_state = follow_params(state.opt_state, state.params, params, mesh)
    return TrainState(replicated(mesh), params, params, opt_state, buffers)


def abstract_state(config: ConfigDict, task: Task, optimizer: optax.GradientTransformation, mesh: Mesh) -> TrainState:
    """Shapes, dtypes and shardings of the state. Nothing is allocated."""
    key = stream_key(config.seed, "init")
    shapes = jax.eval_shape(lambda k: fresh_state(k, task, optimizer), key)
    shardings = state_shardings(shapes, task, mesh)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)


def make_init(
    config: ConfigDict, task: Task, optimizer: optax.GradientTransformation, abstract: TrainState
) -> Callable[[], TrainState]:
    """Compiled () → new state. Every device draws only its own part, and none ever holds a whole copy."""
    make = lambda: fresh_state(stream_key(config.seed, "init"), task, optimizer)
    return jax.jit(make, out_shardings=jax.tree.map(lambda x: x.sharding, abstract))


def init_state(config: ConfigDict, task: Task, make: Callable[[], TrainState], abstract: TrainState) -> TrainState:
    """The state before the first step, made by the result of `make_init` on the mesh of `abstract`.

    Parameters (also their average) and buffers are those of `config.init_from` if it has them, else new. The task's pretrained
    buffers take precedence over both.
    """
    pretrained, start = task.pretrained_buffers(), read_start(config, task, shapes(abstract.params))
    state = make()
    if start.params:
        state = state.replace(params=_replaced(state.params, start.params), ema=_replaced(state.ema, start.params))
    buffers = {name: tree for name, tree in start.buffers.items() if name in state.buffers} | dict(pretrained)
    return state.replace(buffers=merge_buffers(state.buffers, buffers)) if buffers else state


def _replaced(params: Tree, arrays: Mapping[str, np.ndarray]) -> Tree:
    """Replaces some parameters by host arrays of the same shapes. Each device receives its own part."""
    return jax.tree_util.tree_map_with_path(
        lambda path, old: _put(old, arrays[name]) if (name := path_name(path)) in arrays else old, params
    )


def merge_buffers(buffers: Tree, pretrained: Tree) -> Tree:
    """`buffers` with the entries of `pretrained`, on the same devices. Raises `UserError` if a shape differs."""
    return {**buffers, **{name: _put_like(buffers.get(name), tree, name) for name, tree in pretrained.items()}}


def _put_like(target: Tree, tree: Tree, name: str) -> Tree:
    """Host arrays, laid out as `target`."""
    wanted, given = shapes(target), shapes(tree)
    if wanted != given:
        odd = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))[0]
        raise UserError(
            f"the pretrained {name} does not fit this config ({odd or name}: {given.get(odd)} in the checkpoint, "
            f"{wanted.get(odd)} wanted): train it with the same sizes or name another one."
        )
    return jax.tree.map(_put, target, jax.tree.unflatten(jax.tree.structure(target), jax.tree.leaves(tree)))


def _put(target: jax.Array, array: Any) -> jax.Array:
    host = jax.device_get(array)
    return jax.make_array_from_callback(target.shape, target.sharding, lambda index: host[index].astype(target.dtype))
