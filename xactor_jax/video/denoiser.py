"""The denoiser: predicts the quantity that the process needs from noisy latents of a window, motion latents and a reference.

Each frame's motion latent becomes n tokens, which the pixels of that frame attend to. A motion latent has no spatial layout, so
it cannot carry appearance (X-NeMo 2025). Appearance enters through the bank of reference.py, through an embedding of the
reference picture if the trunk has a `context_width`, and through further input channels if `concatenate_reference` or `draft`
is on.
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
from xactor_jax.settings import Flag, check_fields, setting, whole
from xactor_jax.video.unet import Bank, Conditions, UNet, UNetSettings

Latents = Float[Array, "b t h w c"]
Reference = Float[Array, "b h w c"]
Embedding = Float[Array, "b e"]
SAME_BOX = (0.0, 0.0, 1.0)
"""Box of a face with the same position and size as the reference's. Released weights are sampled with this box only."""


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings:
    """Sizes and inputs of the denoiser. The settings of its trunk are in `unet`."""

    unet: UNetSettings
    motion_dim: int = setting(512, whole(1), "D, numbers in a motion latent")
    motion_tokens: int = setting(8, whole(1), "number of tokens made from one motion latent")
    motion_token_width: int = setting(32, whole(1), "features of each motion token")
    motion_hidden: int = setting(
        128, whole(0), "features of a hidden layer between the motion latent and its tokens; 0: one linear map"
    )
    box_width: int = setting(
        0, whole(0), "features of the face's box, concatenated with the motion latent to make the tokens; 0: no box"
    )
    position_halves: bool = setting(
        False, Flag(), "whether positions of tokens have all sines before all cosines, as in released weights; else alternating"
    )
    concatenate_reference: bool = setting(
        True, Flag(), "whether the reference latent is given as further input channels, in addition to the bank"
    )
    draft: bool = setting(
        True,
        Flag(),
        "whether to correct a draft by the decoder of pretrained.motion (draft.py); must be off if it has no decoder",
    )
    full_reference: bool = setting(
        False, Flag(), "whether to keep the reference network's layers after its last self-attention, whose output is unused"
    )

    def __post_init__(self) -> None:
        check_fields(self, "network")

    @classmethod
    def from_config(cls, network: ConfigDict, latent_channels: int) -> DenoiserSettings:
        """From `config.network` of configs/video.py and the channels of the autoencoder's latents."""
        values = network.to_dict()
        trunk = values.pop("unet") | {"out_channels": latent_channels}
        for name in ("channels", "attention"):
            trunk[name] = tuple(trunk[name])
        return cls(unet=UNetSettings(**trunk), **values)


class MotionTokens(nn.Module):
    """Converts a motion latent [D], and the face's box if `box_width` is set, into n tokens with fixed positions added.

    A box is (row of its centre, column of its centre, side). Row and column are relative to the reference's box. All three are
    divided by the side of the reference's box.
    """

    tokens: int
    width: int
    hidden: int
    box_width: int
    position_halves: bool
    dtype: Dtype = None

    @nn.compact
    def __call__(self, motion: Float[Array, "*b d"], box: Float[Array, "*b 3"] | None = None) -> Float[Array, "*b n c"]:
        """Without a box, uses that of the reference (`SAME_BOX`)."""
        if self.box_width:
            box = jnp.asarray(SAME_BOX) if box is None else box
            h = jax.nn.relu(nn.Dense(self.box_width, dtype=self.dtype, name="box_in")(box.astype(motion.dtype)))
            h = nn.Dense(self.box_width, dtype=self.dtype, name="box_out")(h)
            motion = jnp.concatenate([motion, jnp.broadcast_to(h, (*motion.shape[:-1], self.box_width))], axis=-1)
        if self.hidden:
            motion = jax.nn.silu(nn.Dense(self.hidden, dtype=self.dtype, name="hidden")(motion))
        tokens = nn.Dense(self.tokens * self.width, dtype=self.dtype, name="project")(motion)
        tokens = tokens.reshape(*motion.shape[:-1], self.tokens, self.width)
        return tokens + jnp.asarray(sinusoidal_table(self.tokens, self.width, self.position_halves), tokens.dtype)


class Denoiser(nn.Module):
    """Reference network, motion tokens and trunk."""

    settings: DenoiserSettings
    dtype: Dtype = None
    remat: str = "none"
    """What the backward pass of both networks' layers computes again: a choice of `xactor_jax.layers.remat`."""

    def setup(self) -> None:
        s = self.settings
        self.reference = UNet(s.unet.for_reference(not s.full_reference), self.dtype, self.remat)
        self.trunk = UNet(s.unet, self.dtype, self.remat)
        sizes = (s.motion_tokens, s.motion_token_width, s.motion_hidden, s.box_width)
        self.motion_tokens = MotionTokens(*sizes, s.position_halves, self.dtype)

    def appearance(self, reference: Reference, embedding: Embedding | None = None) -> Bank:
        """The bank: features of the clean reference latent and of the picture's embedding, computed once per portrait."""
        conditions = Conditions(embedding=embedding)
        _, bank = self.reference(reference[:, None], jnp.zeros(reference.shape[0]), conditions)
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
        embedding: Embedding | None = None,
        draft: Latents | None = None,
    ) -> Latents:
        """`reference_on` false hides the reference in an example; `frames_apart` stops its frames attending to each other."""
        on = jnp.ones(len(x_t), bool) if reference_on is None else reference_on
        embedding = None if embedding is None else embedding * on[:, None]
        s = self.settings
        given = (reference[:, None] if s.concatenate_reference else None, draft if s.draft else None)
        masked = [jnp.broadcast_to(z * on[:, None, None, None, None], x_t.shape) for z in given if z is not None]
        x_t = jnp.concatenate([x_t, *masked], axis=-1)
        conditions = Conditions(self.motion_tokens(motion), bank, reference_on, frames_apart, embedding)
        prediction, _ = self.trunk(x_t, t, conditions)
        return prediction

    def initialise(self, x_t: Latents, t: Float[Array, "b"], motion: Float[Array, "b t d"], reference: Reference) -> Latents:
        """Uses every parameter, so that `init` creates all of them."""
        return self(x_t, t, motion, reference, self.appearance(reference), draft=x_t)
