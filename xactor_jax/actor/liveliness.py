"""How lively motion is against the truth, of NumPy and of JAX arrays, so that a preview and a report say the same.

    Std-R = mean_d std_t(g) / mean_d std_t(m),   VC-R: the same of differences between frames; g generated, m true motion

(Motar, arXiv 2609.10317.) 1 is as lively as the truth; below 1 is stiffer.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

Array = np.ndarray | jax.Array
Motion = Float[Array, "clips frames dim"]
Mask = Float[Array, "clips frames"]
"""1 for frames that count, 0 for padding; None: all count."""
Number = np.floating | Float[jax.Array, ""]


def std_ratio(generated: Motion, true: Motion, mask: Mask | None = None) -> Number:
    """Std-R."""
    return deviation(generated, mask) / deviation(true, mask)


def velocity_ratio(generated: Motion, true: Motion, mask: Mask | None = None) -> Number:
    """VC-R; a difference counts where both of its frames do."""
    both = None if mask is None else mask[:, 1:] * mask[:, :-1]
    return std_ratio(generated[:, 1:] - generated[:, :-1], true[:, 1:] - true[:, :-1], both)


def deviation(x: Motion, mask: Mask | None = None) -> Number:
    """Standard deviation over time of the frames that count, the mean over clips and channels."""
    mask = np.ones(x.shape[:2], x.dtype) if mask is None else mask
    share = (mask / mask.sum(axis=1, keepdims=True).clip(1.0))[..., None]
    mean = (share * x).sum(axis=1, keepdims=True)
    return ((share * (x - mean) ** 2).sum(axis=1) ** 0.5).mean()
