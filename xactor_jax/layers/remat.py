"""Rematerialisation: which results of its forward pass a block keeps for its backward pass (Chen et al. 2016).

none   keeps everything: fastest, most memory
dots   keeps products of activations and weights; computes the rest again: normalisation, attention weights, convolutions
full   keeps only the inputs of the block: up to a third more FLOPs in a step, least memory

Results and parameters are the same in all three. A block is a residual block of any network of pictures, an attention module of
the UNet or the autoencoder, a residual unit of the hourglass, a convolution of the style decoder, or a layer of the actor. The
larger the blocks, the less is kept, but the more memory the backward pass of one block needs.

`scan_layers` computes repeated layers by one loop of the compiled program, which is compiled once, not once for each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from xactor_jax.run_settings import REMAT
from xactor_jax.settings import check_value, choice

Target = TypeVar("Target", bound=type[nn.Module] | Callable[..., Any])

POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def checked_remat(remat: str) -> str:
    """The choice as given. Raises `UserError` for an unknown one."""
    check_value("remat", remat, choice(REMAT))
    return remat


def rematerialised(target: Target, remat: str) -> Target:
    """Applies a choice of `REMAT` to a class of modules, or a function of (module, arrays …). Parameters keep their names."""
    return target if remat == "none" else nn.remat(target, policy=POLICIES[remat])


def scan_layers(
    layer: Callable[..., tuple[jax.Array, Any]], params: Sequence[Any], h: jax.Array, *of_layers: Any, remat: str = "none"
) -> tuple[jax.Array, Any]:
    """Applies layers in a loop: `h, out = layer(params_i, h, *of_layers_i)` for each i. Returns h and all `out`, stacked.

    The layers may differ only in their parameters. Stacking these takes their memory once more.
    """
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *params)
    body = lambda h, of_layer: layer(of_layer[0], h, *of_layer[1:])
    if remat != "none":
        # Preventing common subexpression elimination is not needed: a loop keeps the two passes apart.
        body = jax.checkpoint(body, policy=POLICIES[remat], prevent_cse=False)
    return jax.lax.scan(body, h, (stacked, *of_layers))
