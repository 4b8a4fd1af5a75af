"""Discriminators as terms of a stage's loss: one for whole pictures, one for eyes and mouth only.

People look at eyes and mouth, which cover only a few per cent of a picture. Their discriminator takes each part enlarged to the
same side (component discriminators, GFPGAN, arXiv 2101.04061).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.adversarial import check_kind, discriminator_loss, generator_loss
from xactor_jax.layers.discriminator import PatchDiscriminator
from xactor_jax.layers.picture_losses import Images, crop_parts, feature_matching
from xactor_jax.variables import Tree, applied

Terms = dict[str, Float[Array, ""]]
WHOLE, PARTS = "discriminator", "part_discriminator"
"""Names of the two discriminators in a stage's parameters."""


@dataclass(frozen=True, kw_only=True)
class Critics:
    """Both discriminators have the same architecture. Every function takes the parameters of one of them."""

    network: PatchDiscriminator
    kind: str
    """Kind of the loss: one of `KINDS` of adversarial.py."""
    part_side: int
    """Side to which eyes and mouth are resized, pixels."""

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def init(self, key: jax.Array, side: int) -> Tree:
        """Untrained parameters of one discriminator, for pictures of `side` pixels."""
        return self.network.init(key, jnp.zeros((1, side, side, 3)))["params"]

    def scores(self, params: Tree, images: Images) -> Float[Array, "batch rows columns 1"]:
        """Logits of the regions of pictures. High values mean real."""
        return applied(self.network, params, images)[0]

    def whole_terms(self, params: Tree, images: Images, target: Images) -> Terms:
        """The generator's losses (`adversarial`, `feature_matching`) and the discriminator's loss (`discriminator`).

        The first two have no gradient with respect to the discriminator, and the last has none with respect to the pictures.
        """
        judge = lambda p, x: applied(self.network, p, x)
        frozen = jax.lax.stop_gradient(params)
        fake, fake_features = judge(frozen, images)
        _, real_features = judge(frozen, target)
        judged_real, judged_fake = judge(params, target)[0], judge(params, jax.lax.stop_gradient(images))[0]
        return {
            "adversarial": generator_loss(fake, self.kind),
            "feature_matching": feature_matching(real_features, fake_features),
            WHOLE: discriminator_loss(judged_real, judged_fake, self.kind),
        }

    def part_terms(self, params: Tree, images: Images, target: Images, boxes: Float[Array, "batch parts 4"]) -> Terms:
        """The same for parts in `boxes`: the sum of the generator's losses (`part_adversarial`), and `part_discriminator`."""
        parts = (crop_parts(x, boxes, self.part_side) for x in (images, target))
        terms = self.whole_terms(params, *parts)
        return {"part_adversarial": terms["adversarial"] + terms["feature_matching"], PARTS: terms[WHOLE]}
