"""A perceptual distance as a term of a stage's loss; the weights of its network are buffers, which nothing trains.

Without such weights its part is left to the differences of neighbouring pixels, which every stage with pictures has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import PerceptualModel, PerceptualSettings
from xactor_jax.settings import check_value, choice
from xactor_jax.variables import Tree

KINDS = ("vgg16", "lpips")
RANDOM = "random"
"""As the path: keep random weights, for tests and timing."""
BUFFER = "perceptual"


@dataclass(frozen=True, kw_only=True)
class PerceptualTerm:
    """`config.loss.perceptual` and `perceptual_kind`, and `config.pretrained.perceptual`."""

    weight: float = 0.0
    """0: there is none."""
    kind: str = "vgg16"
    path: str = ""
    """Folder written by launch/import_weights.py."""

    def __post_init__(self) -> None:
        check_value("loss.perceptual_kind", self.kind, choice(KINDS))

    def init(self, key: jax.Array) -> dict[str, Tree]:
        """The entry of the buffers, weights not yet those of `path`."""
        return {BUFFER: self._model().init(key)} if self.weight > 0 else {}

    def pretrained(self) -> Mapping[str, Tree]:
        """The same entry as read from `path`; `UserError` if the loss needs one and none is named."""
        if self.weight == 0 or self.path == RANDOM:
            return {}
        if not self.path:
            raise UserError(
                "A perceptual loss needs its network: import one with launch/import_weights.py --what vgg16 and name it by "
                "--config.pretrained.perceptual=FOLDER, or set --config.loss.perceptual=0 and leave its part to the gradients."
            )
        return {BUFFER: load_variables(self.path, "perceptual")[1].params}

    def terms(self, buffers: Tree, x: Float[Array, "n h w 3"], y: Float[Array, "n h w 3"]) -> dict[str, jax.Array]:
        """{"perceptual": mean distance of pairs of pictures in [-1, 1]}, not yet weighted; nothing where there is none."""
        return {"perceptual": jnp.mean(self._model().distance(buffers[BUFFER], x, y))} if self.weight > 0 else {}

    def _model(self) -> PerceptualModel:
        return PerceptualModel(PerceptualSettings(lpips=self.kind == "lpips"))
