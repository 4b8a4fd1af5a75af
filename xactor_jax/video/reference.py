"""Reference features, which carry the portrait's appearance to the denoiser, and their masking in training.

The reference network runs once, on the clean reference latent (t = 0). The inputs of its self-attentions form the bank, which
the denoiser's self-attentions read in addition to their own pixels (Hu et al. 2023). In training, a random share of the bank's
pixels is hidden. Otherwise the denoiser copies the reference's expression together with its appearance (X-NeMo 2025).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.video.unet import Bank


def kept_tokens(total: int, masked_fraction: float) -> int:
    """Number of bank pixels that stay visible: ⌊total · (1 − masked fraction)⌋, at least one."""
    return max(1, int(total * (1.0 - masked_fraction) + 1e-6))


def mask_entry(key: jax.Array, entry: Float[Array, "b m c"], masked_fraction: float) -> Float[Array, "b k c"]:
    """A random subset of pixels, drawn without repetition, independently for each example."""
    keep = kept_tokens(entry.shape[1], masked_fraction)
    order = jnp.argsort(jax.random.uniform(key, entry.shape[:2]), axis=1)[:, :keep]
    return jnp.take_along_axis(entry, order[..., None], axis=1)


def mask_bank(key: jax.Array, bank: Sequence[jax.Array], masked_fraction: float) -> Bank:
    """Masks every entry of the bank (`mask_entry`), each with its own random draw."""
    if masked_fraction <= 0.0:
        return tuple(bank)
    keys = jax.random.split(key, len(bank))
    return tuple(mask_entry(k, entry, masked_fraction) for k, entry in zip(keys, bank, strict=True))
