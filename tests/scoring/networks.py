"""Metric networks with random weights, as small as they get."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from xactor_jax.scoring.protocol import Network


def tiny_network(model: Any, rng: np.random.Generator) -> Network:
    """The network of a model with `settings` and `init`, as if it had been imported. Variances are positive."""

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(leaf.shape) > 1:
            return (rng.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))).astype(np.float32)
        middle = 1.0 if path[-1].key in ("scale", "variance") else 0.0
        return (middle + rng.uniform(-0.1, 0.1, leaf.shape)).astype(np.float32)

    params = jax.tree_util.tree_map_with_path(draw, jax.eval_shape(model.init, jax.random.key(0)))
    return Network(ConfigDict({"network": dataclasses.asdict(model.settings)}), params, "0")
