"""The encoder of wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477): from a waveform to the hidden states of every block.

    (1)  x ← (x - mean x) / √(var x + 1e-7)
    (2)  z⁰ = x,  zˡ = GELU(Nˡ(Wˡ ∗ zˡ⁻¹))                   seven convolutions: stride 320, receptive field 400 samples
    (3)  h  = W LN(z⁷) + b
    (4)  h⁰ = LN(h + GELU(G ∗ h))                           G: wide grouped convolution, the only position information
    (5)  u  = LN(hⁱ + A(hⁱ)),  hⁱ⁺¹ = LN(u + F(u))          A: self-attention, F: two layers with GELU between

There are two designs. In the first, N¹ is group normalisation over time with one channel per group, and there is no other Nˡ.
In the second (large, "lv60"), N is LN over channels in every layer, (4) has no LN, and LN comes before A and F, and once after
the last block:  u = hⁱ + A(LN hⁱ),  hⁱ⁺¹ = u + F(LN u).

A recording may lie anywhere inside a longer input. The mask `valid` excludes samples outside it in (1), in the group
statistics, in (4) and in A, so that the frames inside equal those of the recording without padding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.errors import UserError
from xactor_jax.layers.attention import masked_attention, split_heads

Hidden = Float[Array, "batch frames width"]
Mask = Bool[Array, "batch frames"]

HUGGINGFACE = {
    "conv_dim": "conv_widths",
    "conv_kernel": "conv_kernels",
    "conv_stride": "conv_strides",
    "conv_bias": "conv_bias",
    "feat_extract_norm": "conv_norm",
    "hidden_size": "width",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "num_conv_pos_embeddings": "position_kernel",
    "num_conv_pos_embedding_groups": "position_groups",
    "do_stable_layer_norm": "pre_norm",
    "layer_norm_eps": "epsilon",
}
"""Name of a setting in config.json → its name here."""

FIXED = {
    "model_type": "wav2vec2",
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "adapter_attn_dim": None,
    "add_adapter": False,
}
"""Values that config.json must have, where it has these names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wav2Vec2Settings:
    """Sizes of the network. The defaults are those of the base model."""

    conv_widths: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    conv_norm: str = "group"  # group: over time, only in the first convolution; layer: over channels, in every one
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    position_kernel: int = 128  # frames
    position_groups: int = 16
    pre_norm: bool = False  # normalise before attention and feed-forward instead of after
    epsilon: float = 1e-5  # of layer normalisation outside the convolutions
    normalize: bool = True  # whether equation (1) is applied

    def __post_init__(self) -> None:
        if self.conv_norm not in ("group", "layer"):
            raise UserError(f"the wav2vec 2.0 normalisation {self.conv_norm!r} is not known: use group or layer.")
        if not len(self.conv_widths) == len(self.conv_kernels) == len(self.conv_strides):
            raise UserError("the wav2vec 2.0 convolutions' widths, kernels and strides differ in number: give one each.")

    @classmethod
    def base(cls) -> Wav2Vec2Settings:
        """BASE of the paper, 94 M parameters."""
        return cls()

    @classmethod
    def large(cls) -> Wav2Vec2Settings:
        """LARGE as trained on Libri-Light ("lv60"), 315 M parameters. LARGE of LibriSpeech normalises as BASE does."""
        return cls(conv_bias=True, conv_norm="layer", width=1024, depth=24, heads=16, mlp_width=4096, pre_norm=True)

    @classmethod
    def from_huggingface(cls, config: Mapping[str, Any], normalize: bool = True) -> Wav2Vec2Settings:
        """Reads a config.json; missing names are as in the base model. `normalize` comes from preprocessor_config.json.

        Raises:
            UserError: it describes another network.
        """
        for name, value in FIXED.items():
            if config.get(name, value) != value:
                raise UserError(
                    f"config.json has {name} = {config[name]!r}, which is not supported: use a model with {value!r}."
                )
        known = {ours: config[theirs] for theirs, ours in HUGGINGFACE.items() if theirs in config}
        lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**{**known, **lists}, normalize=normalize)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.conv_strides)

    @property
    def receptive_field(self) -> int:
        """Number of samples that a frame depends on: frame i on those from `stride` · i on."""
        steps = (math.prod(self.conv_strides[:i]) for i in range(len(self.conv_strides)))
        return 1 + sum((kernel - 1) * step for kernel, step in zip(self.conv_kernels, steps, strict=True))

    def num_frames(self, samples: int) -> int:
        """Number of frames of a waveform with so many samples."""
        return max(0, (samples - self.receptive_field) // self.stride + 1)


def normalized(x: Float[Array, "batch samples"], valid: Bool[Array, "batch samples"]) -> Float[Array, "batch samples"]:
    """Standardises a waveform over its valid samples; zero elsewhere (equation 1)."""
    mean = jnp.mean(x, axis=1, keepdims=True, where=valid)
    variance = jnp.mean((x - mean) ** 2, axis=1, keepdims=True, where=valid)
    return jnp.where(valid, (x - mean) * jax.lax.rsqrt(variance + 1e-7), 0.0)


def all_valid(valid: Mask, kernel: int, stride: int) -> Bool[Array, "batch fewer"]:
    """For each output of a convolution: whether all its inputs are valid."""
    frames = (valid.shape[1] - kernel) // stride + 1
    seen = [valid[:, k : k + stride * (frames - 1) + 1 : stride] for k in range(kernel)]
    return jnp.all(jnp.stack(seen), axis=0)


def layer_norm(epsilon: float, name: str) -> nn.LayerNorm:
    """LN with the variance computed by its definition: E x² - (E x)² is too inaccurate on silence."""
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


class ConvolutionalFeatures(nn.Module):
    """The convolutions (equation 2). Returns z⁷ and which of its frames are valid."""

    settings: Wav2Vec2Settings

    @nn.compact
    def __call__(self, x: Float[Array, "batch samples"], valid: Bool[Array, "batch samples"]) -> tuple[Hidden, Mask]:
        s, z = self.settings, x[..., None]
        for i, (width, kernel, stride) in enumerate(zip(s.conv_widths, s.conv_kernels, s.conv_strides, strict=True)):
            z = nn.Conv(width, (kernel,), (stride,), padding="VALID", use_bias=s.conv_bias, name=f"conv{i}")(z)
            valid = all_valid(valid, kernel, stride)
            z = jax.nn.gelu(self.normalize(z, valid, i), approximate=False)
        return z, valid

    @nn.nowrap
    def normalize(self, z: Hidden, valid: Mask, layer: int) -> Hidden:
        """N of a layer. Its ε is always 1e-5, unlike that of the transformer."""
        if self.settings.conv_norm == "layer":
            return layer_norm(1e-5, f"norm{layer}")(z)
        if layer:
            return z
        norm = nn.GroupNorm(num_groups=z.shape[-1], epsilon=1e-5, use_fast_variance=False, name="norm0")
        return norm(z, mask=jnp.broadcast_to(valid[..., None], z.shape))


class Position(nn.Module):
    """The position term GELU(G ∗ h), as long as h (equation 4)."""

    settings: Wav2Vec2Settings

    @nn.compact
    def __call__(self, h: Hidden) -> Hidden:
        k = self.settings.position_kernel
        padding = [(k // 2, (k - 1) // 2)]
        conv = nn.Conv(h.shape[-1], (k,), padding=padding, feature_group_count=self.settings.position_groups, name="conv")
        return jax.nn.gelu(conv(h), approximate=False)


class Attention(nn.Module):
    """Self-attention A to valid frames only (equation 5)."""

    heads: int

    @nn.compact
    def __call__(self, h: Hidden, valid: Mask) -> Hidden:
        q, k, v = (split_heads(nn.Dense(h.shape[-1], name=name)(h), self.heads) for name in ("query", "key", "value"))
        seen = jnp.broadcast_to(valid[:, None, :], (*valid.shape, valid.shape[1]))
        return nn.Dense(h.shape[-1], name="out")(masked_attention(q, k, v, seen).reshape(h.shape))


class Block(nn.Module):
    """A transformer block: attention and feed-forward layers with residuals (equation 5)."""

    settings: Wav2Vec2Settings

    @nn.compact
    def __call__(self, h: Hidden, valid: Mask) -> Hidden:
        s = self.settings
        attention, attention_norm, mlp_norm = (
            Attention(s.heads, name="attention"),
            layer_norm(s.epsilon, "attention_norm"),
            layer_norm(s.epsilon, "mlp_norm"),
        )
        if s.pre_norm:
            h = h + attention(attention_norm(h), valid)
            return h + self.feed_forward(mlp_norm(h))
        h = attention_norm(h + attention(h, valid))
        return mlp_norm(h + self.feed_forward(h))

    @nn.nowrap
    def feed_forward(self, h: Hidden) -> Hidden:
        """The feed-forward layers F."""
        wide = jax.nn.gelu(nn.Dense(self.settings.mlp_width, name="mlp_in")(h), approximate=False)
        return nn.Dense(h.shape[-1], name="mlp_out")(wide)


class Wav2Vec2(nn.Module):
    """Computes the hidden states h⁰ … hⁿ of n blocks from waveforms. hⁿ is normalised in both designs."""

    settings: Wav2Vec2Settings

    @nn.compact
    def __call__(
        self, waveform: Float[Array, "batch samples"], valid: Bool[Array, "batch samples"] | None = None
    ) -> tuple[Float[Array, "states batch frames width"], Mask]:
        """Hidden states, and which frames depend only on valid samples. By default all samples are valid.

        Samples are 16 kHz in [-1, 1]; frame i depends on the samples [320 i, 320 i + 400). The valid samples of a row must be
        consecutive.
        """
        s = self.settings
        valid = jnp.ones(waveform.shape, bool) if valid is None else valid
        x = normalized(waveform, valid) if s.normalize else jnp.where(valid, waveform, 0.0)
        z, seen = ConvolutionalFeatures(s, name="features")(x, valid)
        h = nn.Dense(s.width, name="projection")(layer_norm(s.epsilon, "projection_norm")(z))
        h = jnp.where(seen[..., None], h, 0.0)
        h = h + Position(s, name="position")(h)
        norm = layer_norm(s.epsilon, "norm")
        states = [h if s.pre_norm else norm(h)]
        for i in range(s.depth):
            states.append(Block(s, name=f"block{i}")(states[-1], seen))
        return jnp.stack([*states[:-1], norm(states[-1]) if s.pre_norm else states[-1]]), seen
