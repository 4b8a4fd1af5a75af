"""Pads arrays to a common length, so that few programs are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped


def filled(x: Shaped[np.ndarray, "n *rest"], count: int) -> Shaped[np.ndarray, "{count} *rest"]:
    """Repeats the last entry until there are `count` entries."""
    return np.concatenate([x, np.repeat(x[-1:], count - len(x), axis=0)])


def in_batches(
    run: Callable[[Shaped[np.ndarray, "{size} *rest"]], Any], x: Shaped[np.ndarray, "n *rest"], size: int
) -> Shaped[np.ndarray, "n *out"]:
    """`run` on all entries, `size` at a time. The last batch is filled up, so that one program is compiled."""
    parts = [np.asarray(run(filled(x[start : start + size], size))) for start in range(0, len(x), size)]
    return np.concatenate(parts)[: len(x)]
