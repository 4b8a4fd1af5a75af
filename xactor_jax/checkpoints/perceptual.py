"""A perceptual distance as a term of a stage's loss. The weights of its network are buffers, so they are not trained.

Without such weights, a stage only has the loss of image differences, which every stage with pictures has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import KINDS, PerceptualModel, PerceptualSettings
from xactor_jax.settings import check_value, choice
from xactor_jax.variables import Tree

RANDOM = "random"
"""A path that keeps random weights, for tests and timing."""
BUFFER = "perceptual"


@dataclass(frozen=True, kw_only=True)
class PerceptualTerm:
    """The perceptual term, from `config.loss.perceptual`, `config.loss.perceptual_kind` and `config.pretrained.perceptual`."""

    weight: float = 0.0
    """0: the loss has no perceptual term."""
    kind: str = "vgg16"
    path: str = ""
    """Folder that launch/import_weights.py wrote."""

    def __post_init__(self) -> None:
        check_value("loss.perceptual_kind", self.kind, choice(KINDS))

    def init(self, key: jax.Array) -> dict[str, Tree]:
        """The entry of the buffers, with random weights."""
        return {BUFFER: self._model().init(key)} if self.weight > 0 else {}

    def pretrained(self) -> Mapping[str, Tree]:
        """The entry of the buffers, read from `path`. Raises `UserError` if the loss needs one and no path is given."""
        if self.weight == 0 or self.path == RANDOM:
            return {}
        if not self.path:
            raise UserError(
                "A perceptual loss needs its network: import one with launch/import_weights.py --what vgg16 and name it by "
                "--config.pretrained.perceptual=FOLDER, or set --config.loss.perceptual=0 and leave its part to the gradients."
            )
        return {BUFFER: load_variables(self.path, "perceptual")[1].params}

    def terms(self, buffers: Tree, x: Float[Array, "n h w 3"], y: Float[Array, "n h w 3"]) -> dict[str, jax.Array]:
        """{"perceptual": mean distance of pairs of pictures in [-1, 1]}, without its weight; empty if there is no term."""
        return {"perceptual": jnp.mean(self._model().distance(buffers[BUFFER], x, y))} if self.weight > 0 else {}

    def _model(self) -> PerceptualModel:
        return PerceptualModel(PerceptualSettings(lpips=self.kind == "lpips"))
