"""The loss of pictures is the sum that its equation says."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import pytest

from xactor_jax.layers.picture_weights import PictureWeights


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithGate(PictureWeights):
    gate: float = 0.5


def test_terms_are_weighted_discriminators_are_not_and_metrics_do_not_count():
    weights = WithGate(pixel=2.0, perceptual=3.0, adversarial=0.1)
    terms = {"pixel": 1.0, "perceptual": 5.0, "adversarial": -4.0, "gate": 8.0, "psnr": 30.0, "discriminator": 0.7}
    terms = {name: jnp.float32(value) for name, value in terms.items()}
    assert float(weights.total(terms)) == pytest.approx(2 * 1 + 3 * 5 - 0.1 * 4 + 0.5 * 8 + 0.7)
    parts = {"part_discriminator": jnp.float32(0.2)}
    assert float(weights.total(terms | parts)) == pytest.approx(2 * 1 + 3 * 5 - 0.1 * 4 + 0.5 * 8 + 0.7 + 0.2)
