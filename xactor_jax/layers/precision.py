"""What networks compute in; parameters, norms and softmax stay float32."""

from __future__ import annotations

import jax.numpy as jnp

from xactor_jax.settings import check_value, choice

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "bf16": jnp.bfloat16}
"""By the name that `config.precision` has. float16 is not among them: its range needs a scaled loss, which there is not."""


def compute_dtype(precision: str) -> jnp.dtype:
    """The type of activations. Raises `UserError` for a name that is not known."""
    check_value("precision", precision, choice(PRECISIONS))
    return jnp.dtype(PRECISIONS[precision])
