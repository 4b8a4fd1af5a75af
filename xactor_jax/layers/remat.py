"""Rematerialisation: what a block's backward pass keeps of its forward pass, and what it computes again (Chen et al. 2016).

none   keeps everything: the fastest, and the largest
dots   keeps the products of activations and weights, and computes the rest again: norms, attention weights, convolutions
full   keeps what comes into the block alone: up to a third more operations in a step, and the smallest

Numbers and parameters are the same in all three.
"""

from __future__ import annotations

from typing import TypeVar

import flax.linen as nn
import jax

from xactor_jax.errors import UserError

Target = TypeVar("Target")

POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}
CHOICES = ("none", *POLICIES)


def checked_remat(remat: str) -> str:
    """The choice as it was given. Raises `UserError` for another one."""
    if remat not in CHOICES:
        raise UserError(f"remat={remat} is not known: use {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    return remat


def rematerialised(target: Target, remat: str) -> Target:
    """A class of modules, or a function of (module, arrays …), under a choice of `CHOICES`; parameters keep their names."""
    return target if remat == "none" else nn.remat(target, policy=POLICIES[remat])
