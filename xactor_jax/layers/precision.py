"""What networks compute in; parameters, norms and softmax stay float32."""

from __future__ import annotations

import jax.numpy as jnp

from xactor_jax.run_settings import PRECISIONS
from xactor_jax.settings import check_value, choice

SHORT = {"bf16": "bfloat16"}
"""Another name that `config.precision` may have → the type's own."""


def compute_dtype(precision: str) -> jnp.dtype:
    """The type of activations. Raises `UserError` for a name that is not known."""
    check_value("precision", precision, choice(PRECISIONS))
    return jnp.dtype(SHORT.get(precision, precision))
