"""The denoiser: from noisy latents of a window, motion latents and a reference latent to what the process asks for.

Motion has one way in: each frame's motion latent becomes n tokens, which the pixels of that frame attend to. It has no
spatial layout, so it can carry no appearance (X-NeMo 2025). Appearance comes through the bank of reference.py and, where
`concatenate_reference` is on, as further input channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float
from ml_collections import ConfigDict

from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.spatial_attention import sinusoidal_table
from xactor_jax.video.unet import Bank, Conditions, UNet, UNetSettings

Latents = Float[Array, "b t h w c"]
Reference = Float[Array, "b h w c"]


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings:
    """Sizes and ways in of the denoiser; the trunk's own are in `unet`."""

    unet: UNetSettings
    motion_dim: int = 512
    motion_tokens: int = 32
    motion_token_width: int = 16
    motion_hidden: int = 0
    """Width of a hidden layer between the motion latent and its tokens; 0: one linear map."""
    concatenate_reference: bool = False
    """The reference latent as further input channels, beside the bank."""
    full_reference: bool = True
    """Keep the reference network's layers behind its last self-attention, which nothing reads (released weights have them)."""

    @classmethod
    def from_config(cls, network: ConfigDict, latent_channels: int) -> DenoiserSettings:
        """From `config.network` of configs/video.py and the channels of the autoencoder's latents."""
        values = network.to_dict()
        trunk = values.pop("unet") | {"out_channels": latent_channels}
        for name in ("channels", "attention"):
            trunk[name] = tuple(trunk[name])
        return cls(unet=UNetSettings(**trunk), **values)


class MotionTokens(nn.Module):
    """Motion latent [D] → n tokens with fixed positions added."""

    tokens: int
    width: int
    hidden: int = 0
    dtype: Dtype = None

    @nn.compact
    def __call__(self, motion: Float[Array, "*b d"]) -> Float[Array, "*b n c"]:
        if self.hidden:
            motion = jax.nn.silu(nn.Dense(self.hidden, dtype=self.dtype, name="hidden")(motion))
        tokens = nn.Dense(self.tokens * self.width, dtype=self.dtype, name="project")(motion)
        tokens = tokens.reshape(*motion.shape[:-1], self.tokens, self.width)
        return tokens + jnp.asarray(sinusoidal_table(self.tokens, self.width), tokens.dtype)


class Denoiser(nn.Module):
    """Reference network, motion tokens and trunk under one roof."""

    settings: DenoiserSettings
    dtype: Dtype = None

    def setup(self) -> None:
        s = self.settings
        self.reference = UNet(s.unet.for_reference(not s.full_reference), self.dtype)
        self.trunk = UNet(s.unet, self.dtype)
        self.motion_tokens = MotionTokens(s.motion_tokens, s.motion_token_width, s.motion_hidden, self.dtype)

    def appearance(self, reference: Reference) -> Bank:
        """The bank: features of the clean reference latent, once per portrait."""
        _, bank = self.reference(reference[:, None], jnp.zeros(reference.shape[0]))
        return bank

    def __call__(
        self,
        x_t: Latents,
        t: Float[Array, "b"],
        motion: Float[Array, "b t d"],
        reference: Reference,
        bank: Bank | None,
        reference_on: Bool[Array, "b"] | None = None,
        frames_apart: Bool[Array, "b"] | None = None,
    ) -> Latents:
        """`reference_on` false hides the bank and the concatenated reference; `frames_apart` the frames from each other."""
        if self.settings.concatenate_reference:
            shown = reference if reference_on is None else reference * reference_on[:, None, None, None]
            x_t = jnp.concatenate([x_t, jnp.broadcast_to(shown[:, None], x_t.shape)], axis=-1)
        conditions = Conditions(self.motion_tokens(motion), bank, reference_on, frames_apart)
        prediction, _ = self.trunk(x_t, t, conditions)
        return prediction

    def initialise(self, x_t: Latents, t: Float[Array, "b"], motion: Float[Array, "b t d"], reference: Reference) -> Latents:
        """Touches every parameter, for `init`."""
        return self(x_t, t, motion, reference, self.appearance(reference))
