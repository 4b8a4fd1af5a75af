"""The UNet trunk of the denoiser and of the reference network: one class, different settings.

Every layer of every level is, in this order (X-NeMo 2025, on Stable Diffusion 1.5):
    residual block (+ noise level) → pixels attend to pixels and the reference bank → pixels attend to motion → frames attend
Where pixels attend to each other they may next attend to an embedding of the reference picture (Stable Diffusion: to its text).
Down: `blocks` layers per level; middle: residual block, attentions, residual block; up: `blocks` + 1 layers per level, each
with the matching skip concatenated. The reference network has neither motion nor time, and hands out what its attentions saw.
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
"""(name, input) → output, and what the layer's self-attention saw."""


@dataclass(frozen=True, kw_only=True)
class UNetSettings:
    """Sizes of a trunk."""

    channels: tuple[int, ...] = setting((64, 96), Several(whole(1)), "width of each level, finest first")
    attention: tuple[bool, ...] = setting(
        (True, True),
        Several(Flag()),
        "levels where pixels attend to each other and to the reference; the middle always does",
    )
    blocks: int = setting(1, whole(1), "layers per level on the way down; one more on the way up")
    heads: int = setting(4, whole(1), "of every attention")
    groups: int = setting(8, whole(1), "of group normalisation")
    module_groups: int = setting(0, whole(0), "the same in motion and temporal modules; 0: as many")
    context_width: int = setting(0, whole(0), "features of the reference picture's embedding (CLIP's: 768); 0: there is none")
    discrete_steps: int = setting(
        0,
        whole(0, 1_000_000),
        "N: a noise level t is given as step N t - 1 of a table of N, counted from 0 (Stable Diffusion: 1000); 0: as 1000 t",
    )
    feed_forward: int = setting(2, whole(0), "width inside the feed-forward part of spatial modules over that outside; 0: none")
    module_feed_forward: int = setting(0, whole(0), "the same of motion and temporal modules")
    module_attentions: int = setting(1, whole(1), "attentions in a row in each motion and temporal module")
    time_width: int = setting(128, whole(1), "features of the noise level's embedding")
    coordinates: bool = setting(True, Flag(), "two more input channels: the row and column of each cell, from -1 to 1")
    out_channels: int = 4
    """Those of the autoencoder's latents; no setting of its own."""
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
    def layers(self) -> tuple[tuple[str, int], ...]:
        """(name, level) of every layer in the order of computation; the middle has the last level's width, as -1."""
        down = tuple((f"down{level}_{i}", level) for level in range(len(self.channels)) for i in range(self.blocks))
        up = tuple((f"up{level}_{i}", level) for level in reversed(range(len(self.channels))) for i in range(self.blocks + 1))
        return (*down, ("middle", -1), *up)

    @property
    def bank_entries(self) -> dict[str, int]:
        """Layers with a self-attention, in the order of computation: which entry of the bank is theirs."""
        attended = (name for name, level in self.layers if level < 0 or self.attention[level])
        return {name: index for index, name in enumerate(attended)}

    @property
    def num_features(self) -> int:
        """Self-attentions, which is entries of the bank."""
        return len(self.bank_entries)

    @property
    def up_layers(self) -> tuple[tuple[str, int], ...]:
        """`layers` behind the middle; where features alone are asked for, up to the last with a self-attention."""
        first = len(self.channels) * self.blocks + 1
        last = [name for name, _ in self.layers].index([*self.bank_entries][-1])
        return self.layers[first : last + 1] if self.features_only else self.layers[first:]


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
    ) -> tuple[Float[Array, "b t h w d"] | None, Bank]:
        """The prediction in float32 (None when only features are asked for), and the features of every self-attention."""
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
            return None, bank
        return self.conv_out(jax.nn.silu(self.norm_out(h))).astype(jnp.float32), bank

    def _descend(self, h: jax.Array, layer: Layer) -> tuple[jax.Array, list[jax.Array], list[jax.Array | None]]:
        """The last level's output, the outputs that `_ascend` takes up again, and what each layer's self-attention saw."""
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
        """The first level's output, and what each layer's self-attention saw."""
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
        """One layer, with the entry of the bank that is its own; also what its self-attention saw, if it has one."""
        entry = self.settings.bank_entries.get(name)
        bank = conditions.bank[entry] if conditions.bank and entry is not None else None
        return self.attentions[name](self.residual[name](h, embedding), conditions, bank)
