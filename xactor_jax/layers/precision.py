"""Floating point type of the networks' activations. Parameters, normalisation and softmax are always float32."""

from __future__ import annotations

import jax.numpy as jnp

from xactor_jax.run_settings import PRECISIONS
from xactor_jax.settings import check_value, choice

SHORT = {"bf16": "bfloat16"}
"""Short name that `config.precision` may have → name of the type."""


def compute_dtype(precision: str) -> jnp.dtype:
    """The type of activations. Raises `UserError` for an unknown name."""
    check_value("precision", precision, choice(PRECISIONS))
    return jnp.dtype(SHORT.get(precision, precision))
