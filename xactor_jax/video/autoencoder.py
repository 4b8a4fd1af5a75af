"""The image autoencoder, whose latents the denoiser diffuses (Rombach et al. 2022, KL-regularised).

One network with settings covers three cases: Stable Diffusion's autoencoder (patch 1, multipliers 1 2 4 4: 8×, 4 channels); the
same with Stable Video Diffusion's decoder, whose blocks read neighbouring frames; and a cheap one, which folds pixels into
channels before the first convolution. Other parts use standardised latents. The mean and standard deviation of each channel
over the corpus are buffers of the checkpoint:
    (1) z = (μ(x) − latent_mean) / latent_std            (2) x̂ = D(z · latent_std + latent_mean)
Stable Diffusion scales all channels by one number: latent_mean 0, latent_std 1 / 0.18215.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.layers.convolution import (
    Downsample,
    Dtype,
    ResidualBlock,
    Upsample,
    depth_to_space,
    group_norm,
    space_to_depth,
)
from xactor_jax.layers.latents import running_moment
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.remat import checked_remat, rematerialised
from xactor_jax.layers.spatial_attention import BankAttention
from xactor_jax.settings import Flag, Several, check_divides, check_fields, setting, whole
from xactor_jax.variables import Tree, applied
from xactor_jax.video.temporal_decoder import TemporalBlock, TimeConv, in_pieces

Images = Float[Array, "n height width 3"]
Latents = Float[Array, "n h w c"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings:
    """Sizes of the autoencoder. Pixels per latent cell: patch × 2^(levels − 1)."""

    image_size: int = setting(64, whole(1), "side of a frame, pixels")
    patch: int = setting(
        4,
        whole(1),
        "side of the squares of pixels that are folded into channels before the first convolution, pixels",
    )
    channels: tuple[int, ...] = setting((64,), Several(whole(1)), "channels of each level, finest level first")
    blocks: int = setting(1, whole(1), "residual blocks at each level of the encoder; the decoder has one more")
    middle: bool = setting(
        False, Flag(), "whether the coarsest level adds a residual block, self-attention and another residual block"
    )
    latent_channels: int = setting(
        16, whole(1), "channels of a latent; with 4, the loss of the autoencoder limits the quality of puppet videos"
    )
    groups: int = setting(8, whole(1), "number of groups of group normalisation")
    linear: bool = setting(
        True,
        Flag(),
        "whether each network adds a linear map between the pixels of a latent cell and its mean; the map learns a principal "
        "component analysis in hundreds of steps, and the network only has to learn the difference",
    )
    temporal: bool = setting(
        False,
        Flag(),
        "whether the decoder is one of clips, whose blocks read neighbouring frames (Stable Video Diffusion's; "
        "launch/import_weights.py --what svd_vae imports it)",
    )
    piece: int = setting(25, whole(1), "frames that a temporal decoder decodes at once")

    def __post_init__(self) -> None:
        check_fields(self, "autoencoder")
        check_divides("the autoencoder's channels", self.channels, "its groups", self.groups)
        check_divides("the autoencoder's image_size", (self.image_size,), "its patch × 2^(levels − 1)", self.factor)

    @classmethod
    def from_config(cls, network: ConfigDict) -> AutoencoderSettings:
        """From `config.network` of configs/autoencoder.py."""
        return cls(**{**network.to_dict(), "channels": tuple(network.channels)})

    def fits(self, weights_of: AutoencoderSettings) -> bool:
        """Whether weights for the settings `weights_of` fit these settings. Sizes of pictures and of pieces may differ."""
        sizes = lambda settings: asdict(settings) | {"image_size": 0, "piece": 0}
        return sizes(self) == sizes(weights_of)

    @property
    def factor(self) -> int:
        """Side of the square of pixels that one latent cell covers."""
        return self.patch * 2 ** (len(self.channels) - 1)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of one frame's latent."""
        return self.image_size // self.factor, self.image_size // self.factor, self.latent_channels


class PixelAttention(nn.Module):
    """Self-attention of one head over all latent cells, plus the input (the middle of Stable Diffusion's autoencoder)."""

    groups: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        h, w, c = x.shape[-3:]
        tokens = group_norm(self.groups, 1e-6, self.dtype, "norm")(x).reshape(-1, 1, h * w, c)
        return x + BankAttention(1, bias=True, dtype=self.dtype, name="attention")(tokens).reshape(x.shape)


class Encoder(nn.Module):
    settings: AutoencoderSettings
    dtype: Dtype = None
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Images) -> Latents:
        """Mean and log variance, concatenated along the channels."""
        s = self.settings
        h = nn.Conv(s.channels[0], (3, 3), dtype=self.dtype, name="conv_in")(space_to_depth(x, s.patch))
        for level, width in enumerate(s.channels):
            for i in range(s.blocks):
                h = _block(s, self.dtype, self.remat, h, width, False, f"level{level}_block{i}")
            if level + 1 < len(s.channels):
                h = Downsample(width, asymmetric=True, dtype=self.dtype, name=f"down{level}")(h)
        h = _middle(s, self.dtype, self.remat, h, False) if s.middle else h
        h = jax.nn.silu(group_norm(s.groups, 1e-6, self.dtype, "norm_out")(h))
        h = nn.Conv(2 * s.latent_channels, (3, 3), dtype=self.dtype, name="conv_out")(h)
        h = nn.Conv(2 * s.latent_channels, (1, 1), name="quant")(h.astype(jnp.float32))
        if s.linear:
            mean = nn.Dense(s.latent_channels, use_bias=False, name="linear")(space_to_depth(x, s.factor))
            h = h.at[..., : s.latent_channels].add(mean)
        return h


class Decoder(nn.Module):
    """The decoder. Its levels count from the coarsest."""

    settings: AutoencoderSettings
    dtype: Dtype = None
    remat: str = "none"

    @nn.compact
    def __call__(self, z: Float[Array, "*b h w c"]) -> Float[Array, "*b height width 3"]:
        """Decodes latents. With `temporal`, the leading axes are clips and frames."""
        s = self.settings
        z = z if s.temporal else nn.Conv(s.latent_channels, (1, 1), name="post_quant")(z)
        h = nn.Conv(s.channels[-1], (3, 3), dtype=self.dtype, name="conv_in")(z)
        h = _middle(s, self.dtype, self.remat, h, s.temporal) if s.middle else h
        for level, width in enumerate(reversed(s.channels)):
            for i in range(s.blocks + 1):
                h = _block(s, self.dtype, self.remat, h, width, s.temporal, f"level{level}_block{i}")
            if level + 1 < len(s.channels):
                h = Upsample(width, dtype=self.dtype, name=f"up{level}")(h)
        h = jax.nn.silu(group_norm(s.groups, 1e-6, self.dtype, "norm_out")(h))
        h = nn.Conv(3 * s.patch**2, (3, 3), dtype=self.dtype, name="conv_out")(h)
        x = depth_to_space(h, s.patch).astype(jnp.float32)
        x = TimeConv(3, name="time_conv_out")(x) if s.temporal else x
        return x + depth_to_space(nn.Dense(3 * s.factor**2, name="linear")(z), s.factor) if s.linear else x


def _block(s: AutoencoderSettings, dtype: Dtype, remat: str, h: jax.Array, width: int, temporal: bool, name: str) -> jax.Array:
    h = rematerialised(ResidualBlock, remat)(width, s.groups, 1e-6, dtype, name=name)(h)
    return rematerialised(TemporalBlock, remat)(s.groups, dtype, name=f"{name}_time")(h) if temporal else h


def _middle(s: AutoencoderSettings, dtype: Dtype, remat: str, h: jax.Array, temporal: bool) -> jax.Array:
    h = _block(s, dtype, remat, h, s.channels[-1], temporal, "middle_block0")
    h = rematerialised(PixelAttention, remat)(s.groups, dtype, name="middle_attention")(h)
    return _block(s, dtype, remat, h, s.channels[-1], temporal, "middle_block1")


class Autoencoder(nn.Module):
    """Encoder to a diagonal Gaussian for each latent cell, and decoder. Latents here are not standardised."""

    settings: AutoencoderSettings
    dtype: Dtype = None
    remat: str = "none"
    """What the backward pass of the blocks computes again: a choice of `xactor_jax.layers.remat`."""

    def setup(self) -> None:
        self.encoder = Encoder(self.settings, self.dtype, self.remat)
        self.decoder = Decoder(self.settings, self.dtype, self.remat)

    def encode(self, x: Images) -> tuple[Latents, Latents]:
        """Mean and log variance (clipped to [-30, 20])."""
        mean, log_variance = jnp.split(self.encoder(x), 2, axis=-1)
        return mean, jnp.clip(log_variance, -30.0, 20.0)

    def decode(self, z: Float[Array, "*b h w c"]) -> Float[Array, "*b height width 3"]:
        """Decodes pictures [n, …] or clips [n, frames, …]. A temporal decoder treats pictures as clips of one frame."""
        if self.settings.temporal and z.ndim == 4:
            return self.decoder(z[:, None])[:, 0]
        return self.decoder(z)

    def __call__(self, x: Images) -> Images:
        """The picture rebuilt from the mean. Uses every parameter, so that `init` creates all of them."""
        return self.decode(self.encode(x)[0])


@dataclass(frozen=True)
class AutoencoderModel:
    """The autoencoder as other parts use it: pure functions from pictures to standardised latents and back.

    `frozen` is {"params": …, "buffers": {"latent_mean", "latent_std", "latent_count"}}.
    """

    module: Autoencoder

    @classmethod
    def from_config(cls, config: ConfigDict) -> AutoencoderModel:
        """From configs/autoencoder.py."""
        return cls.from_network(config.network, config.precision, config.remat)

    @classmethod
    def from_network(cls, network: ConfigDict, precision: str = "float32", remat: str = "none") -> AutoencoderModel:
        """From the `network` part of configs/autoencoder.py."""
        return cls(Autoencoder(AutoencoderSettings.from_config(network), compute_dtype(precision), checked_remat(remat)))

    @property
    def settings(self) -> AutoencoderSettings:
        return self.module.settings

    def init(self, key: jax.Array) -> dict[str, Any]:
        """Untrained weights, with statistics of mean zero and standard deviation one."""
        params = self.module.init(key, jnp.zeros((1, self.settings.image_size, self.settings.image_size, 3)))["params"]
        return {"params": params, "buffers": initial_statistics(self.settings.latent_channels)}

    def encode(self, frozen: Mapping[str, Any], images: Float[Array, "*b height width 3"]) -> Float[Array, "*b h w c"]:
        """Standardised posterior means of pictures in [-1, 1] (equation 1)."""
        flat = images.reshape(-1, *images.shape[-3:])
        mean, _ = applied(self.module, frozen["params"], flat, method="encode")
        z = (mean - frozen["buffers"]["latent_mean"]) / frozen["buffers"]["latent_std"]
        return z.reshape(*images.shape[:-3], *z.shape[1:])

    def decode(
        self, frozen: Mapping[str, Any], z: Float[Array, "*b h w c"], piece: int | None = None
    ) -> Float[Array, "*b height width 3"]:
        """Pictures of standardised latents, clipped to [-1, 1] (equation 2).

        If z has more than three axes, the last of the axes b is time. A temporal decoder decodes `piece` frames at once (by
        default the setting), one piece after another; the last one is shorter. temporal_decoder.py says what that changes.
        """
        raw = z * frozen["buffers"]["latent_std"] + frozen["buffers"]["latent_mean"]
        decode = lambda x: applied(self.module, frozen["params"], x, method="decode")
        if self.settings.temporal and z.ndim > 3:
            x = in_pieces(decode, raw.reshape(-1, *z.shape[-4:]), piece or self.settings.piece)
        else:
            x = decode(raw.reshape(-1, *z.shape[-3:]))
        return jnp.clip(x, -1.0, 1.0).reshape(*z.shape[:-3], *x.shape[-3:])


def initial_statistics(channels: int) -> dict[str, jax.Array]:
    """Statistics before the first step: mean zero, standard deviation one, count zero."""
    return {"latent_mean": jnp.zeros(channels), "latent_std": jnp.ones(channels), "latent_count": jnp.zeros((), jnp.int32)}


def update_statistics(buffers: Tree, z: Latents, decay: float) -> dict[str, jax.Array]:
    """Updates the running mean and standard deviation of each channel, by equation 2 of `xactor_jax.layers.latents`."""
    count, old, z = buffers["latent_count"], buffers["latent_mean"], jax.lax.stop_gradient(z)
    mean = running_moment(old, z.mean((0, 1, 2)), count, decay)
    square = running_moment(buffers["latent_std"] ** 2 + old**2, (z**2).mean((0, 1, 2)), count, decay)
    std = jnp.sqrt(jnp.maximum(square - mean**2, 1e-6))
    return {"latent_mean": mean, "latent_std": std, "latent_count": count + 1}
