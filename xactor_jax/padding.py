"""Pads arrays to a common length, so that few programs are compiled."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped


def filled(x: Shaped[np.ndarray, "n *rest"], count: int) -> Shaped[np.ndarray, "{count} *rest"]:
    """Repeats the last entry until there are `count` entries."""
    return np.concatenate([x, np.repeat(x[-1:], count - len(x), axis=0)])
