"""The optimiser of `config.optimizer`: Adam with decoupled weight decay (arXiv 1711.05101), one chain per parameter label.

g ← g · min(1, clip_norm / ‖g‖)                         over the parameters of one label                      (1)
θ ← θ − η(step) · (Adam(g; b1, b2, eps) + weight_decay · θ)     decay on matrices and kernels only                    (2)
η(step): linear from 0 over warmup_steps, then constant, or cosine to final_fraction · peak at the last step        (3)
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from xactor_jax.parallel.partition import path_name
from xactor_jax.run_settings import OptimizerSettings
from xactor_jax.settings import check_config
from xactor_jax.training.task import Task
from xactor_jax.variables import Tree

NOT_DECAYED = ("bias", "scale")


def learning_rate(config: ConfigDict) -> optax.Schedule:
    """The learning rate as a function of the step (equation 3), from the config of an experiment."""
    c = config.optimizer
    warmup, peak = min(c.warmup_steps, max(config.steps - 1, 0)), c.learning_rate
    start = 0.0 if warmup else peak  # without a warm-up, Optax uses the start value instead of the peak
    if c.schedule == "constant":
        return optax.warmup_constant_schedule(start, peak, warmup)
    return optax.warmup_cosine_decay_schedule(start, peak, warmup, max(config.steps, warmup + 1), c.final_fraction * peak)


def decayed(params: Tree) -> Tree:
    """True for parameters with weight decay: those with two or more dimensions that are neither a bias nor a scale."""

    def leaf(path: Any, array: Any) -> bool:
        return array.ndim >= 2 and path_name(path[-1:]) not in NOT_DECAYED

    return jax.tree_util.tree_map_with_path(leaf, params)


def _chain(config: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Clipping and update for the parameters of one label (equations 1 and 2)."""
    c = config.optimizer
    adam = functools.partial(optax.adamw, weight_decay=c.weight_decay, mask=decayed) if c.name == "adamw" else optax.adam
    return optax.chain(optax.clip_by_global_norm(c.clip_norm), adam(schedule, b1=c.b1, b2=c.b2, eps=c.eps))


def make_optimizer(config: ConfigDict, task: Task) -> optax.GradientTransformation:
    """One chain for each label. The discriminator has a scaled learning rate; frozen parameters have no optimiser state.

    Raises:
        UserError: a setting of `config.optimizer` is not possible.
    """
    check_config(config, {"optimizer": OptimizerSettings}, prefix="")
    schedule = learning_rate(config)
    scale = config.optimizer.discriminator_scale
    chains: dict[Hashable, optax.GradientTransformation] = {
        "default": _chain(config, schedule),
        "discriminator": _chain(config, lambda step: scale * schedule(step)),
        "frozen": optax.set_to_zero(),
    }
    return optax.partition(chains, task.param_labels)


def freeze(params: Tree, labels: Tree) -> Tree:
    """The same parameters, without gradients for those labelled `frozen`."""
    return jax.tree.map(lambda array, label: jax.lax.stop_gradient(array) if label == "frozen" else array, params, labels)
