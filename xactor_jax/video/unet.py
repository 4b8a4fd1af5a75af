"""The UNet trunk of the denoiser and of the reference network: one class, different settings.

Every layer of every level is, in this order (X-NeMo 2025, on Stable Diffusion 1.5):
    residual block (+ noise level) → pixels attend to pixels and the reference bank → pixels attend to motion → frames attend
Where pixels attend to each other they may next attend to an embedding of the reference picture (Stable Diffusion: to its text).
Down: `blocks` layers per level; middle: residual block, attentions, residual block; up: `blocks` + 1 layers per level, each
with the matching skip concatenated. The reference network has neither motion nor time, and hands out what its attentions saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.errors import UserError
from xactor_jax.layers.convolution import Downsample, Dtype, ResidualBlock, Upsample, group_norm, zero_conv
from xactor_jax.layers.embeddings import NoiseLevelEmbedding
from xactor_jax.layers.remat import rematerialised
from xactor_jax.layers.spatial_attention import AttentionModule
from xactor_jax.settings import Flag, Several, check_divides, check_fields, setting, whole

Video = Float[Array, "b t h w c"]
Bank = tuple[jax.Array, ...]


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Sizes of a trunk."""

    channels: tuple[int, ...] = setting((320, 640, 1280, 1280), Several(whole(1)))
    """Width of each level, finest first."""
    attention: tuple[bool, ...] = setting((True, True, True, False), Several(Flag()))
    """Levels where pixels attend to each other and to the reference; the middle always does."""
    blocks: int = setting(2, whole(1))
    heads: int = setting(8, whole(1))
    groups: int = setting(32, whole(1))
    module_groups: int = setting(0, whole(0))
    """Groups of the group normalisation in motion and temporal modules; 0: `groups`."""
    context_width: int = setting(0, whole(0))
    """Features of the reference picture's embedding; 0: there is none."""
    discrete_steps: int = setting(0, whole(0, 1_000_000))
    """N: noise levels are told as steps N t − 1 of a table of N, counted from 0; 0: as 1000 t."""
    feed_forward: int = setting(4, whole(0))
    """Width inside the feed-forward part of each spatial module over that outside; 0: none."""
    module_feed_forward: int = setting(4, whole(0))
    """The same of motion and temporal modules."""
    module_attentions: int = setting(2, whole(1))
    """Attentions in a row in each motion and each temporal module."""
    time_width: int = setting(1280, whole(1))
    """Width of the noise level's embedding."""
    out_channels: int = setting(4, whole(1))
    coordinates: bool = setting(False, Flag())
    """Two more input channels: the row and column of each cell, from -1 to 1."""
    motion: bool = True
    temporal: bool = True
    features_only: bool = False
    """Stop behind the last self-attention: the trunk is asked for its features alone."""

    def __post_init__(self) -> None:
        check_fields(self, "network.unet")
        if len(self.channels) != len(self.attention):
            levels = f"{len(self.channels)} levels in network.unet.channels and {len(self.attention)} in attention"
            raise UserError(f"there are {levels}: give one of each for every level.")
        for name, size in (("heads", self.heads), ("groups", self.groups), ("module_groups", self.module_groups or 1)):
            check_divides("network.unet.channels", self.channels, f"network.unet.{name}", size)

    def for_reference(self, features_only: bool) -> UNetSettings:
        """The same trunk without motion and time, as the reference network."""
        return replace(self, motion=False, temporal=False, features_only=features_only)

    @property
    def num_features(self) -> int:
        """Self-attentions, which is entries of the bank."""
        return sum(self.attention) * (2 * self.blocks + 1) + 1

    @property
    def layers(self) -> tuple[tuple[str, int], ...]:
        """(name, level) of every layer in the order of computation; the middle has the last level's width, as -1."""
        down = tuple((f"down{level}_{i}", level) for level in range(len(self.channels)) for i in range(self.blocks))
        up = tuple((f"up{level}_{i}", level) for level in reversed(range(len(self.channels))) for i in range(self.blocks + 1))
        return (*down, ("middle", -1), *up)


class Conditions(NamedTuple):
    """What a trunk is told besides its input and noise level."""

    motion: Float[Array, "b t n d"] | None = None
    bank: Bank | None = None
    """Reference features, one entry [b, m, c] per self-attention in the order of computation."""
    bank_on: Bool[Array, "b"] | None = None
    frames_apart: Bool[Array, "b"] | None = None
    """Examples whose frames do not see each other."""
    embedding: Float[Array, "b e"] | None = None
    """Of the reference picture; None: zeros, where the trunk has a place for it."""


NO_CONDITIONS = Conditions()


def with_coordinates(x: Video) -> Float[Array, "b t h w c+2"]:
    """Appends each cell's row and column as channels."""
    rows = jnp.linspace(-1.0, 1.0, x.shape[2])[:, None, None]
    columns = jnp.linspace(-1.0, 1.0, x.shape[3])[None, :, None]
    shape = (*x.shape[:-1], 1)
    return jnp.concatenate([x, jnp.broadcast_to(rows, shape), jnp.broadcast_to(columns, shape)], axis=-1)


class Attentions(nn.Module):
    """The attention modules of one layer that its trunk has."""

    settings: UNetSettings
    spatial: bool
    dtype: Dtype = None
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Video, conditions: Conditions, bank: jax.Array | None) -> tuple[Video, jax.Array | None]:
        """`bank`: the entry that belongs to this layer. Returns also what the self-attention saw."""
        s, feature = self.settings, None
        module_class = rematerialised(AttentionModule, self.remat)
        shell = lambda name, over, *sizes: module_class(over, s.heads, *sizes, self.dtype, name=name)
        module = (s.module_groups or s.groups, s.module_attentions, s.module_feed_forward)
        if self.spatial:
            embedding = conditions.embedding[:, None] if s.context_width else None
            spatial = shell("spatial", "space", s.groups, 1, s.feed_forward)
            x, feature = spatial(x, None, bank, conditions.bank_on, embedding=embedding)
        if s.motion:
            x, _ = shell("motion", "space", *module)(x, conditions.motion)
        if s.temporal:
            x, _ = shell("temporal", "time", *module)(x, alone=conditions.frames_apart)
        return x, feature


class UNet(nn.Module):
    """Feature maps of clips, frame by frame but for the temporal modules."""

    settings: UNetSettings
    dtype: Dtype = None
    remat: str = "none"
    """What the layers' backward pass computes again, of `xactor_jax.layers.remat`."""

    def setup(self) -> None:
        s = self.settings
        block_class = rematerialised(ResidualBlock, self.remat)
        block = lambda name, level: block_class(s.channels[level], s.groups, dtype=self.dtype, name=f"{name}_block")
        names = ("in", "out")
        self.noise_level = NoiseLevelEmbedding(s.time_width, s.channels[0], s.discrete_steps, names, self.dtype)
        self.conv_in = nn.Conv(s.channels[0], (3, 3), dtype=self.dtype)
        self.residual = {name: block(name, level) for name, level in s.layers}
        self.attentions = {
            name: Attentions(s, level < 0 or s.attention[level], self.dtype, self.remat, name=f"{name}_attention")
            for name, level in s.layers
        }
        self.middle_out = block("middle_out", -1)
        self.down = [Downsample(c, dtype=self.dtype) for c in s.channels[:-1]]
        self.up = [Upsample(c, dtype=self.dtype) for c in s.channels[1:]]
        self.norm_out = group_norm(s.groups, 1e-5, self.dtype)
        self.conv_out = zero_conv(s.out_channels, dtype=self.dtype)

    def __call__(
        self, x: Video, t: Float[Array, "b"], conditions: Conditions = NO_CONDITIONS
    ) -> tuple[Float[Array, "b t h w d"] | None, Bank]:
        """The prediction in float32 (None when only features are asked for), and the features of every self-attention."""
        s, features = self.settings, []
        if s.context_width and conditions.embedding is None:
            conditions = conditions._replace(embedding=jnp.zeros((x.shape[0], s.context_width), x.dtype))
        embedding = self.noise_level(t)
        h = self.conv_in(with_coordinates(x) if s.coordinates else x)
        h, skips = self._descend(h, embedding, conditions, features)
        h = self._layer("middle", h, embedding, conditions, features)
        if s.features_only and len(features) == s.num_features:
            return None, tuple(features)
        h = self.middle_out(h, embedding)
        for name, level in s.layers[len(s.channels) * s.blocks + 1 :]:
            h = self._layer(name, jnp.concatenate([h, skips.pop()], axis=-1), embedding, conditions, features)
            if s.features_only and len(features) == s.num_features:
                return None, tuple(features)
            if level > 0 and name.endswith(f"_{s.blocks}"):
                h = self.up[level - 1](h)
        return self.conv_out(jax.nn.silu(self.norm_out(h))).astype(jnp.float32), tuple(features)

    def _descend(self, h: jax.Array, embedding: jax.Array, conditions: Conditions, features: list) -> tuple[jax.Array, list]:
        skips = [h]
        for level in range(len(self.settings.channels)):
            for i in range(self.settings.blocks):
                h = self._layer(f"down{level}_{i}", h, embedding, conditions, features)
                skips.append(h)
            if level + 1 < len(self.settings.channels):
                h = self.down[level](h)
                skips.append(h)
        return h, skips

    def _layer(self, name: str, h: jax.Array, embedding: jax.Array, conditions: Conditions, features: list) -> jax.Array:
        left = (conditions.bank or ())[len(features) :]  # none for layers after the last self-attention
        bank = left[0] if left else None
        h, feature = self.attentions[name](self.residual[name](h, embedding), conditions, bank)
        features += [] if feature is None else [feature]
        return h


def fold_windows(bank: Sequence[jax.Array], repeats: int) -> Bank:
    """The bank of each example repeated for each of its windows."""
    return tuple(jnp.repeat(entry, repeats, axis=0) for entry in bank)
