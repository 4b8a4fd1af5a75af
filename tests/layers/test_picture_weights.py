"""The loss of pictures is the sum that its equation says."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.picture_losses import detail_loss, pixel_weights, still_loss
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


def test_detail_and_still_pixels_are_compared_if_they_have_a_weight():
    pictures = [jnp.asarray(x) for x in np.random.default_rng(0).uniform(-1, 1, (3, 1, 16, 16, 3)).astype(np.float32)]
    boxes = jnp.array([[[0.0, 0.0, 0.5, 0.5]]])
    terms = jax.jit(PictureWeights(detail=1.0, still=1.0, component=3.0, motion=0.2).reconstruction)(*pictures, boxes)
    images, target, reference = pictures
    where = pixel_weights(target, reference, boxes, 3.0, 0.2)
    assert float(terms["detail"]) == pytest.approx(float(detail_loss(images, target, where)), rel=1e-5)
    assert float(terms["still"]) == pytest.approx(float(still_loss(images, target, reference)), rel=1e-5)
    assert {"pixel", "gradient"} == set(jax.eval_shape(PictureWeights(detail=0.0).reconstruction, *pictures, boxes))
