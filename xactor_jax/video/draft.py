"""The draft: a picture that the decoder D of stage 1 makes from the portrait, and that the renderer corrects.

    (1) d = D(I_ref, m, m_ref)      each frame's draft, from its motion latent m, the reference picture and its motion latent
    (2) b = E(d)                    its latent: base of the residual (equation 1 of model.py), and input of the denoiser

A warped and retouched reference is much closer to the true frame than the reference itself, so the residual to diffuse is small
(FRVD, arXiv 2507.16341; residual diffusion, arXiv 2112.02475). D is frozen and part of the renderer's checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.layers.latents import kept_statistics
from xactor_jax.motion.model import MotionModel, initial_statistics
from xactor_jax.variables import Tree, Variables


@dataclass(frozen=True)
class Draft:
    """The decoder of a motion stage. Its variables are the buffers "draft" of the renderer."""

    motion: MotionModel

    @classmethod
    def from_config(cls, config: ConfigDict) -> Draft | None:
        """From configs/video.py; None if `network.draft` is off."""
        return cls(MotionModel.from_config(config.motion)) if config.network.draft else None

    def init(self, key: jax.Array) -> dict[str, Tree]:
        """Untrained variables, which `load` replaces."""
        side = self.motion.image_size
        weights = self.motion.decoder.init(key, jnp.zeros((1, side, side, 3)), jnp.zeros((1, self.motion.decoder_input_dim)))
        return _frozen(weights["params"], initial_statistics(self.motion.latent_dim))

    def load(self, path: str) -> dict[str, Tree]:
        """The variables of a motion checkpoint. Raises `UserError` if it has no decoder (released encoders have none)."""
        from xactor_jax.checkpoints.exports import load_variables

        variables = load_variables(path, "motion")[1]
        if "decoder" not in variables.params["generator"]:
            raise UserError(
                f"The motion checkpoint {path} has no decoder, so it draws no drafts: add --config.network.draft=False, "
                "or train a decoder for it with --config=configs/motion.py:base --config.init_from=FOLDER."
            )
        return _frozen(variables.params["generator"]["decoder"], kept_statistics(variables.buffers))

    def draw(
        self,
        frozen: Mapping[str, Tree],
        images: Float[Array, "b h w 3"],
        reference: Float[Array, "b d"],
        motion: Float[Array, "b t d"],
    ) -> Float[Array, "b t h w 3"]:
        """Drafts at the size of `images`, whatever size the motion stage uses (equation 1). Latents are standardised."""
        b, t, d = motion.shape
        drawn = self.motion.decode(
            Variables(**frozen), _resized(images, self.motion.image_size), motion.reshape(b * t, d), reference
        )
        pictures = jax.lax.stop_gradient(_resized(drawn, images.shape[1]))
        return pictures.reshape(b, t, *images.shape[1:])


def _frozen(decoder: Tree, statistics: Tree) -> dict[str, Tree]:
    return {"params": {"generator": {"decoder": decoder}}, "buffers": statistics}


def _resized(images: Float[Array, "b h w 3"], side: int) -> Float[Array, "b {side} {side} 3"]:
    shape = (len(images), side, side, 3)
    return images if images.shape == shape else jax.image.resize(images, shape, "linear")
