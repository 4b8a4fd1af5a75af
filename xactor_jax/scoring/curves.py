"""Numbers that are the means of their curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from xactor_jax.scoring.protocol import Measured


def of_curves(curves: Mapping[str, Float[np.ndarray, "n"]]) -> Measured:
    """Each number is the mean of its curve where the curve has a value; `nan` if it has none."""
    known = {name: curve[np.isfinite(curve)] for name, curve in curves.items()}
    return Measured(values={name: float(x.mean()) if len(x) else float("nan") for name, x in known.items()}, curves=curves)
