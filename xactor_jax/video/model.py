"""The networks of the renderer, and the coordinates in which latents are diffused.

preparation.py computes the features of the portrait and the drafts. denoising.py denoises segment by segment, or the whole clip
at once, with the guided network of prediction.py. `VideoModel.draw` decodes the pictures. rendering.py does all of this for a
stream or for a batch.

The denoiser diffuses latents z, or with `predict_residual` their difference from a known base b:
    (1) x = (z − b) / residual_std            (2) z = b + residual_std · x
b is the latent of each frame's draft (draft.py) if the renderer uses drafts, else the latent of the reference.

The autoencoder's decoder A makes pictures from latents. With `keep_draft`, they keep what the autoencoder loses of a draft d:
    (3) x̂ = A(z) + d − A(b)
If the denoiser changes nothing (z = b), the result is exactly the draft, with its sharpness.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.errors import UserError
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.remat import checked_remat
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel
from xactor_jax.video.conditions import Base
from xactor_jax.video.denoiser import Denoiser, DenoiserSettings
from xactor_jax.video.draft import Draft
from xactor_jax.video.pictures import Drawn, drawn
from xactor_jax.video.sampler import RenderSettings


@dataclass(frozen=True)
class VideoModel:
    """Networks and diffusion process of the video stage. Holds no arrays."""

    denoiser: Denoiser
    autoencoder: AutoencoderModel
    process: GaussianProcess
    window: int
    """Frames that the denoiser processes at once."""
    predict_residual: bool
    keep_draft: bool
    """Whether to use equation 3 instead of A(z). Needs a draft."""
    render_settings: RenderSettings
    """The settings of the config, used if a caller gives none."""
    clip: ClipModel | None = None
    """Embeds the reference picture. Its parameters are the buffers "clip"."""
    draft: Draft | None = None
    """Draws each frame's draft. Its variables are the buffers "draft"."""

    @classmethod
    def from_config(cls, config: ConfigDict) -> VideoModel:
        """From configs/video.py."""
        remat, process = checked_remat(config.remat), GaussianProcess(**config.diffusion.to_dict())
        render = RenderSettings.from_config(config.render)
        render.check(config.data.window, process.steps, config.network.draft)
        settings = DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels)
        return cls(
            denoiser=Denoiser(settings, compute_dtype(config.precision), remat),
            autoencoder=AutoencoderModel.from_network(config.autoencoder, config.precision, remat),
            process=process,
            window=config.data.window,
            predict_residual=config.predict_residual,
            render_settings=render,
            clip=_clip(config),
            draft=Draft.from_config(config),
            keep_draft=config.network.draft and config.keep_draft,
        )

    @property
    def motion_dim(self) -> int:
        """D, numbers in a motion latent."""
        return self.denoiser.settings.motion_dim

    @property
    def context_width(self) -> int:
        """E, features of the reference picture's embedding; 0 if there is none."""
        return self.denoiser.settings.unet.context_width

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of one frame's latent."""
        return self.autoencoder.settings.latent_shape

    @property
    def image_size(self) -> int:
        """Side of a frame in pixels."""
        return self.autoencoder.settings.image_size

    def to_diffused(
        self, variables: Variables, z: Float[Array, "b t h w c"], base: Float[Array, "b #t h w c"]
    ) -> Float[Array, "b t h w c"]:
        """Converts latents z into what is diffused (equation 1)."""
        return (z - base) / variables.buffers["residual_std"] if self.predict_residual else z

    def from_diffused(
        self, variables: Variables, x: Float[Array, "b t h w c"], base: Float[Array, "b #t h w c"]
    ) -> Float[Array, "b t h w c"]:
        """Converts what is diffused into latents z (equation 2)."""
        return base + variables.buffers["residual_std"] * x if self.predict_residual else x

    def draw(self, variables: Variables, z: Float[Array, "b t h w c"], base: Base | None = None) -> Drawn:
        """Decodes latents to frames."""
        return drawn(self.pictures(variables, z, base), z)

    def pictures(
        self, variables: Variables, z: Float[Array, "b t h w c"], base: Base | None = None
    ) -> Float[Array, "b t height width 3"]:
        """Pictures in [-1, 1] of latents, by equation 3 if `keep_draft`, which needs a `base` with a picture."""
        decode = functools.partial(self.autoencoder.decode, variables.buffers["autoencoder"])
        if not self.keep_draft:
            return decode(z)
        if base is None or base.picture is None:
            raise ValueError("a renderer that keeps its draft needs the draft of every frame")
        return jnp.clip(decode(z) + base.picture - decode(base.latent), -1.0, 1.0)


def trained_motion_encoder(variables: Variables) -> Variables | None:
    """The motion encoder that was trained together with the renderer, as variables of a motion stage; None if there is none."""
    if "motion_encoder" not in variables.params:
        return None
    return Variables({"generator": {"encoder": variables.params["motion_encoder"]}}, variables.buffers["motion"])


def _clip(config: ConfigDict) -> ClipModel | None:
    """The encoder of reference pictures, if the config has one. Raises `UserError` if its width does not fit the denoiser."""
    network = config.clip
    if not network.depth:
        return None
    if network.projection != (width := config.network.unet.context_width):
        raise UserError(f"network.unet.context_width={width} and clip.projection={network.projection} differ: make them equal.")
    return ClipModel.from_network(network, config.precision)
