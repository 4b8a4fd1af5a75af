"""The loss of generated pictures as a weighted sum, and its weights, which are settings of every stage that draws pictures.

    (1) L = w_p L_rec + w_g L_grad + w_t L_detail + w_s L_still + w_d d(x̂, x) + w_a L_G + w_f L_FM
            + w_c (L_G + L_FM of eyes and mouth) + L_D

L_rec, L_grad, L_FM, L_detail and L_still are equations 1, 2, 3, 5 and 6 of picture_losses.py. d is a distance of perceptual.py.
L_G and L_D are losses of adversarial.py, by the discriminators of critics.py. L_D has no weight, because only the
discriminators learn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from jaxtyping import Array, Float

from xactor_jax.layers.adversarial import KINDS
from xactor_jax.layers.critics import PARTS, WHOLE, Terms
from xactor_jax.layers.perceptual import KINDS as DISTANCES
from xactor_jax.layers.picture_losses import Images, detail_loss, gradient_loss, pixel_weights, still_loss, weighted_l1
from xactor_jax.settings import choice, real, setting


@dataclass(frozen=True, kw_only=True)
class PictureWeights:
    """Weights of equation 1. The settings of a stage extend it by weights of further terms, under the names of these terms."""

    pixel: float = setting(1.0, real(0.0), "weight of the mean absolute error")
    gradient: float = setting(1.0, real(0.0), "weight of the mean absolute error of image differences at three scales")
    detail: float = setting(
        0.0, real(0.0), "weight of the error of the strength of fine detail in cells of 8 pixels a side, against blur; 0: off"
    )
    still: float = setting(
        0.0,
        real(0.0),
        "weight of the error against the reference where the target does not differ from it, against grain; 0: off",
    )
    component: float = setting(
        2.0, real(0.0), "extra weight of eyes and mouth in these terms: each counts as much as this many whole pictures"
    )
    motion: float = setting(0.5, real(0.0), "extra weight of pixels that differ from the reference")
    perceptual: float = setting(
        0.0, real(0.0), "weight of the perceptual distance, by the network in pretrained.perceptual; 0: off"
    )
    perceptual_kind: str = setting("vgg16", choice(DISTANCES), "kind of the perceptual distance")
    adversarial: float = setting(0.01, real(0.0), "weight of the adversarial loss of the patch discriminator")
    adversarial_kind: str = setting("hinge", choice(KINDS), "kind of the adversarial losses")
    feature_matching: float = setting(0.1, real(0.0), "weight of the distance of the discriminator's features")
    part_adversarial: float = setting(
        0.0, real(0.0), "weight of the adversarial and feature losses of a discriminator of eyes and mouth only; 0: off"
    )

    def reconstruction(self, images: Images, target: Images, reference: Images, boxes: Float[Array, "batch parts 4"]) -> Terms:
        """L_rec, L_grad, and L_detail and L_still if they have a weight; not weighted. Each term has the name of its weight."""
        where = pixel_weights(target, reference, boxes, self.component, self.motion)
        detail = {"detail": detail_loss(images, target, where)} if self.detail else {}
        still = {"still": still_loss(images, target, reference)} if self.still else {}
        return {
            "pixel": weighted_l1(images, target, where),
            "gradient": gradient_loss(images, target, where),
            **detail,
            **still,
        }

    def total(self, terms: Mapping[str, Float[Array, ""]]) -> Float[Array, ""]:
        """The loss (equation 1): the terms that have a weight, and L_D of each discriminator. Other terms are only metrics."""
        weighted = (getattr(self, name) * term for name, term in terms.items() if hasattr(self, name))
        return reduce(add, (*weighted, *(terms[name] for name in (WHOLE, PARTS) if name in terms)))
