"""The UNet trunk of the denoiser and of the reference network: one class, different settings.

Each layer of each level does, in this order (X-NeMo 2025, based on Stable Diffusion 1.5):
    residual block (+ noise level) → self-attention of pixels, which also read the reference bank →
    attention of pixels to motion → attention over frames
After self-attention, pixels may attend to an embedding of the reference picture (in Stable Diffusion: to its text).
On the way down a level has `blocks` layers; the middle has a residual block, attentions, and another residual block; on the way
up a level has `blocks` + 1 layers, each of which concatenates the matching skip. The reference network has no motion and no
temporal modules, and returns the inputs of its self-attentions.
"""

from __future__ import annotations

from collections.abc import Callable
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
Layer = Callable[[str, jax.Array], tuple[jax.Array, jax.Array | None]]
"""(name, input) → output, and the input of the layer's self-attention."""


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Sizes of a UNet."""

    channels: tuple[int, ...] = setting((64, 96), Several(whole(1)), "channels of each level, finest level first")
    attention: tuple[bool, ...] = setting(
        (True, True),
        Several(Flag()),
        "whether each level has self-attention of pixels, which also read the reference bank; the middle always has it",
    )
    blocks: int = setting(1, whole(1), "layers of each level on the way down; the way up has one more")
    heads: int = setting(4, whole(1), "heads of each attention")
    groups: int = setting(8, whole(1), "number of groups of group normalisation")
    module_groups: int = setting(0, whole(0), "number of groups in motion and temporal modules; 0: the same as groups")
    context_width: int = setting(0, whole(0), "features of the reference picture's embedding (CLIP's: 768); 0: no embedding")
    discrete_steps: int = setting(
        0,
        whole(0, 1_000_000),
        "N, size of a table of noise levels; level t is embedded as its step N t - 1, counted from 0 (Stable Diffusion: 1000); "
        "0: t is embedded as 1000 t",
    )
    feed_forward: int = setting(
        2, whole(0), "width of spatial modules' feed-forward layer, as a multiple of its input's width; 0: none"
    )
    module_feed_forward: int = setting(0, whole(0), "the same for motion and temporal modules")
    module_attentions: int = setting(1, whole(1), "number of attentions in each motion and temporal module")
    time_width: int = setting(128, whole(1), "features of the noise level's embedding")
    coordinates: bool = setting(
        True, Flag(), "whether two more input channels hold the row and column of each latent cell, from -1 to 1"
    )
    out_channels: int = 4
    """Channels of the autoencoder's latents. Not a setting, because the autoencoder's settings determine it."""
    motion: bool = True
    temporal: bool = True
    features_only: bool = False
    """Whether to stop after the last self-attention, because only the features are needed."""

    def __post_init__(self) -> None:
        check_fields(self, "network.unet")
        if len(self.channels) != len(self.attention):
            levels = f"{len(self.channels)} levels in network.unet.channels and {len(self.attention)} in attention"
            raise UserError(f"there are {levels}: give one of each for every level.")
        for name, size in (("heads", self.heads), ("groups", self.groups), ("module_groups", self.module_groups or 1)):
            check_divides("network.unet.channels", self.channels, f"network.unet.{name}", size)

    def for_reference(self, features_only: bool) -> UNetSettings:
        """The settings of the reference network: without motion and temporal modules."""
        return replace(self, motion=False, temporal=False, features_only=features_only)

    @property
    def layers(self) -> tuple[tuple[str, int], ...]:
        """(name, level) of each layer, in the order of computation. The middle has level -1 and the last level's width."""
        down = tuple((f"down{level}_{i}", level) for level in range(len(self.channels)) for i in range(self.blocks))
        up = tuple((f"up{level}_{i}", level) for level in reversed(range(len(self.channels))) for i in range(self.blocks + 1))
        return (*down, ("middle", -1), *up)

    @property
    def bank_entries(self) -> dict[str, int]:
        """Layers with self-attention, in the order of computation → their entry of the bank."""
        attended = (name for name, level in self.layers if level < 0 or self.attention[level])
        return {name: index for index, name in enumerate(attended)}

    @property
    def num_features(self) -> int:
        """Number of self-attentions, which is the number of entries of the bank."""
        return len(self.bank_entries)

    @property
    def up_layers(self) -> tuple[tuple[str, int], ...]:
        """The `layers` after the middle. With `features_only`, up to the last one with self-attention."""
        first = len(self.channels) * self.blocks + 1
        last = [name for name, _ in self.layers].index([*self.bank_entries][-1])
        return self.layers[first : last + 1] if self.features_only else self.layers[first:]


class Conditions(NamedTuple):
    """Conditions of a UNet, besides its input and noise level."""

    motion: Float[Array, "b t n d"] | None = None
    bank: Bank | None = None
    """Reference features, one entry [b, m, c] per self-attention in the order of computation."""
    bank_on: Bool[Array, "b"] | None = None
    frames_apart: Bool[Array, "b"] | None = None
    """Examples whose frames do not attend to each other."""
    embedding: Float[Array, "b e"] | None = None
    """Embedding of the reference picture. None: zeros, if the UNet takes one."""


NO_CONDITIONS = Conditions()


def with_coordinates(x: Video) -> Float[Array, "b t h w c+2"]:
    """Appends each cell's row and column as channels."""
    rows = jnp.linspace(-1.0, 1.0, x.shape[2])[:, None, None]
    columns = jnp.linspace(-1.0, 1.0, x.shape[3])[None, :, None]
    shape = (*x.shape[:-1], 1)
    return jnp.concatenate([x, jnp.broadcast_to(rows, shape), jnp.broadcast_to(columns, shape)], axis=-1)


class Attentions(nn.Module):
    """The attention modules of one layer."""

    settings: UNetSettings
    spatial: bool
    dtype: Dtype = None
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Video, conditions: Conditions, bank: jax.Array | None) -> tuple[Video, jax.Array | None]:
        """`bank`: this layer's entry. Also returns the input of its self-attention, None if it has none."""
        s, feature = self.settings, None
        module_class = rematerialised(AttentionModule, self.remat)
        shell = lambda name, over, *sizes: module_class(over, s.heads, *sizes, dtype=self.dtype, name=name)
        module = (s.module_groups or s.groups, s.module_attentions, s.module_feed_forward)
        if self.spatial:
            embedding = None if conditions.embedding is None or not s.context_width else conditions.embedding[:, None]
            spatial = shell("spatial", "space", s.groups, 1, s.feed_forward)
            x, feature = spatial(x, None, bank, conditions.bank_on, embedding=embedding)
        if s.motion:
            x, _ = shell("motion", "space", *module)(x, conditions.motion)
        if s.temporal:
            x, _ = shell("temporal", "time", *module)(x, isolated=conditions.frames_apart)
        return x, feature


class UNet(nn.Module):
    """Feature maps of clips. Every module but the temporal ones processes each frame on its own."""

    settings: UNetSettings
    dtype: Dtype = None
    remat: str = "none"
    """What the backward pass of the layers computes again: a choice of `xactor_jax.layers.remat`."""

    def setup(self) -> None:
        s = self.settings
        block_class = rematerialised(ResidualBlock, self.remat)
        block = lambda name, level: block_class(s.channels[level], s.groups, dtype=self.dtype, name=f"{name}_block")
        names = ("in", "out")
        self.noise_level = NoiseLevelEmbedding(s.time_width, s.channels[0], s.discrete_steps, names, self.dtype)
        self.conv_in = nn.Conv(s.channels[0], (3, 3), dtype=self.dtype)
        self.residual = {name: block(name, level) for name, level in s.layers}
        shared = (self.dtype, self.remat)
        self.attentions = {
            name: Attentions(s, name in s.bank_entries, *shared, name=f"{name}_attention") for name, _ in s.layers
        }
        self.middle_out = block("middle_out", -1)
        self.down = [Downsample(c, dtype=self.dtype) for c in s.channels[:-1]]
        self.up = [Upsample(c, dtype=self.dtype) for c in s.channels[1:]]
        self.norm_out = group_norm(s.groups, 1e-5, self.dtype)
        self.conv_out = zero_conv(s.out_channels, dtype=self.dtype)

    def __call__(
        self, x: Video, t: Float[Array, "b"], conditions: Conditions = NO_CONDITIONS
    ) -> tuple[Float[Array, "b t h2 w2 d"], Bank]:
        """The prediction in float32 (with `features_only` the last feature map), and the features of every self-attention."""
        s = self.settings
        if s.context_width and conditions.embedding is None:
            conditions = conditions._replace(embedding=jnp.zeros((x.shape[0], s.context_width), x.dtype))
        embedding = self.noise_level(t)
        layer = lambda name, h: self._layer(name, h, embedding, conditions)
        h, skips, below = self._descend(self.conv_in(with_coordinates(x) if s.coordinates else x), layer)
        h, feature = layer("middle", h)
        h, above = self._ascend(self.middle_out(h, embedding), skips, layer) if s.up_layers else (h, [])
        bank = tuple(seen for seen in (*below, feature, *above) if seen is not None)
        if s.features_only:
            return h, bank
        return self.conv_out(jax.nn.silu(self.norm_out(h))).astype(jnp.float32), bank

    def _descend(self, h: jax.Array, layer: Layer) -> tuple[jax.Array, list[jax.Array], list[jax.Array | None]]:
        """The output of the last level, the skips for `_ascend`, and the input of each layer's self-attention."""
        skips, seen = [h], []
        for level in range(len(self.settings.channels)):
            for i in range(self.settings.blocks):
                h, feature = layer(f"down{level}_{i}", h)
                skips.append(h)
                seen.append(feature)
            if level + 1 < len(self.settings.channels):
                h = self.down[level](h)
                skips.append(h)
        return h, skips, seen

    def _ascend(self, h: jax.Array, skips: list[jax.Array], layer: Layer) -> tuple[jax.Array, list[jax.Array | None]]:
        """The output of the first level, and the input of each layer's self-attention."""
        seen = []
        for (name, level), skip in zip(self.settings.up_layers, reversed(skips), strict=not self.settings.features_only):
            if name == f"up{level}_0" and level + 1 < len(self.settings.channels):
                h = self.up[level](h)
            h, feature = layer(name, jnp.concatenate([h, skip], axis=-1))
            seen.append(feature)
        return h, seen

    def _layer(
        self, name: str, h: jax.Array, embedding: jax.Array, conditions: Conditions
    ) -> tuple[jax.Array, jax.Array | None]:
        """Applies one layer, with its own entry of the bank. Also returns the input of its self-attention, if it has one."""
        entry = self.settings.bank_entries.get(name)
        bank = conditions.bank[entry] if conditions.bank and entry is not None else None
        return self.attentions[name](self.residual[name](h, embedding), conditions, bank)
