"""Rematerialisation: what a block's backward pass keeps of its forward pass, and what it computes again (Chen et al. 2016).

none   keeps everything: the fastest, and the largest
dots   keeps the products of activations and weights, and computes the rest again: norms, attention weights, convolutions
full   keeps what comes into the block alone: up to a third more operations in a step, and the smallest

Numbers and parameters are the same in all three. A block is a residual block of any network of pictures, an attention module of
the UNet or the autoencoder, a residual unit of the hourglass, a convolution of the style decoder, a layer of the actor. The
larger a block, the less is kept, and the more there is at once in its turn.

Layers that repeat may be one loop of the compiled program (`scan_layers`): it is compiled once, not once for each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from xactor_jax.run_settings import REMAT
from xactor_jax.settings import check_value, choice

Target = TypeVar("Target")

POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def checked_remat(remat: str) -> str:
    """The choice as it was given. Raises `UserError` for another one."""
    check_value("remat", remat, choice(REMAT))
    return remat


def rematerialised(target: Target, remat: str) -> Target:
    """A class of modules, or a function of (module, arrays …), under a choice of `REMAT`; parameters keep their names."""
    return target if remat == "none" else nn.remat(target, policy=POLICIES[remat])


def scan_layers(
    layer: Callable[..., tuple[jax.Array, Any]], params: Sequence[Any], h: jax.Array, *of_layers: Any, remat: str = "none"
) -> tuple[jax.Array, Any]:
    """h, and what comes of every layer, stacked, of `h, out = layer(params_i, h, *of_layers_i)` for one i after the other.

    `params` are of layers that differ in nothing else; their arrays are stacked for it, which takes their memory once more.
    """
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *params)
    body = lambda h, of_layer: layer(of_layer[0], h, *of_layer[1:])
    if remat != "none":
        body = jax.checkpoint(body, policy=POLICIES[remat], prevent_cse=False)  # a loop keeps the two passes apart by itself
    return jax.lax.scan(body, h, (stacked, *of_layers))
