"""How lively generated motion is compared with true motion. Works on NumPy and JAX arrays: previews and reports share it.

    Std-R = mean_d std_t(g) / mean_d std_t(m),   VC-R: the same for differences between frames; g generated, m true motion

(Motar, arXiv 2609.10317.) 1: as lively as the truth. Below 1: stiffer.
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
    """Std-R: ratio of the standard deviations over time."""
    return mean_std(generated, mask) / mean_std(true, mask)


def velocity_ratio(generated: Motion, true: Motion, mask: Mask | None = None) -> Number:
    """VC-R: the same ratio for differences between frames. A difference counts if both frames count."""
    both = None if mask is None else mask[:, 1:] * mask[:, :-1]
    return std_ratio(generated[:, 1:] - generated[:, :-1], true[:, 1:] - true[:, :-1], both)


def mean_std(x: Motion, mask: Mask | None = None) -> Number:
    """Standard deviation over time of the frames that count, averaged over clips and channels."""
    mask = np.ones(x.shape[:2], x.dtype) if mask is None else mask
    share = (mask / mask.sum(axis=1, keepdims=True).clip(1.0))[..., None]
    mean = (share * x).sum(axis=1, keepdims=True)
    return ((share * (x - mean) ** 2).sum(axis=1) ** 0.5).mean()
