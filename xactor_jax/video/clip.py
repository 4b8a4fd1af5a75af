"""CLIP's image encoder (Radford et al. 2021, arXiv 2103.00020), which embeds a picture as one vector.

    (1) h⁰ = LN([class; W ∗ x] + position)                            W: a convolution over patches that do not overlap
    (2) u  = hⁱ + A(LN hⁱ),   hⁱ⁺¹ = u + F(LN u)                      A: self-attention, F: two layers with an activation
    (3) e  = P LN(hⁿ[class])                                          activation: x σ(1.702 x) or x Φ(x)
    (4) x  = (resized(picture) − mean) / std                          for each colour, of pictures in [0, 1]

The renderer uses e to identify the person in the reference picture. With ViT-L/14 it is one token of 768 numbers. Without an
encoder the renderer uses zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.spatial_attention import BankAttention
from xactor_jax.settings import check_fields, choice, real, setting, whole
from xactor_jax.variables import applied

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of each colour over the pictures that CLIP was trained on."""

ACTIVATIONS = {"quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x), "gelu": lambda x: jax.nn.gelu(x, approximate=False)}


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """Sizes. With a depth of 24, the other defaults give ViT-L/14 with projection, 304 M parameters."""

    depth: int = setting(
        0, whole(0), "number of blocks (released: 24); 0: no encoder, the denoiser uses zeros as the embedding"
    )
    image_size: int = setting(224, whole(1), "side to which pictures are resized, pixels")
    patch: int = setting(14, whole(1), "side of a patch, pixels")
    width: int = setting(1024, whole(1), "features of a patch")
    heads: int = setting(16, whole(1), "heads of each attention")
    mlp_width: int = setting(4096, whole(1), "features of the hidden layer of a block's MLP")
    projection: int = setting(768, whole(1), "features of the embedding; must equal network.unet.context_width")
    activation: str = setting("quick_gelu", choice(ACTIVATIONS), "activation of a block's MLP")
    epsilon: float = setting(1e-5, real(0.0), "constant that layer normalisation adds to the variance")

    def __post_init__(self) -> None:
        check_fields(self, "clip")

    @property
    def tokens(self) -> int:
        """Number of tokens: the patches and the class token."""
        return (self.image_size // self.patch) ** 2 + 1


class ClipBlock(nn.Module):
    """One block: self-attention, then an MLP (equation 2)."""

    settings: ClipSettings
    dtype: Dtype = None

    @nn.compact
    def __call__(self, h: Float[Array, "b n c"]) -> Float[Array, "b n c"]:
        s = self.settings
        attention = BankAttention(s.heads, bias=True, dtype=self.dtype, name="attention")
        h = h + attention(_layer_norm(s, self.dtype, "attention_norm")(h)[:, None])[:, 0]
        wide = nn.Dense(s.mlp_width, dtype=self.dtype, name="mlp_in")(_layer_norm(s, self.dtype, "mlp_norm")(h))
        return h + nn.Dense(s.width, dtype=self.dtype, name="mlp_out")(ACTIVATIONS[s.activation](wide))


class ClipVision(nn.Module):
    """The encoder (equations 1 to 3)."""

    settings: ClipSettings
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> Float[Array, "b e"]:
        """Embeds pictures that `clip_input` has prepared (equation 4)."""
        s, normal = self.settings, nn.initializers.normal(0.02)
        window = (s.patch, s.patch)
        patches = nn.Conv(s.width, window, window, "VALID", use_bias=False, dtype=self.dtype, name="patches")(x)
        patches = patches.reshape(len(x), -1, s.width)
        first = jnp.broadcast_to(self.param("class", normal, (s.width,)).astype(patches.dtype), (len(x), 1, s.width))
        h = jnp.concatenate([first, patches], axis=1) + self.param("position", normal, (s.tokens, s.width))
        h = _layer_norm(s, self.dtype, "norm_in")(h)
        for i in range(s.depth):
            h = ClipBlock(s, self.dtype, name=f"block{i}")(h)
        e = _layer_norm(s, self.dtype, "norm_out")(h[:, 0])
        return nn.Dense(s.projection, use_bias=False, dtype=self.dtype, name="projection")(e).astype(jnp.float32)


def _layer_norm(s: ClipSettings, dtype: Dtype, name: str) -> nn.LayerNorm:
    """Layer normalisation with the exact variance: a few values of h are hundreds of times the others."""
    return nn.LayerNorm(epsilon=s.epsilon, use_fast_variance=False, dtype=dtype, name=name)


def clip_input(images: Float[Array, "b height width 3"], size: int = 224) -> Float[Array, "b size size 3"]:
    """Prepares pictures in [-1, 1] (equation 4): resizes the shorter side to `size` (bicubic), crops the middle."""
    b, height, width, _ = images.shape
    rows, columns = (int(size * side / min(height, width)) for side in (height, width))
    y = jax.image.resize((images + 1.0) / 2.0, (b, rows, columns, 3), "cubic", antialias=True)
    top, left = (rows - size) // 2, (columns - size) // 2
    y = jnp.clip(y[:, top : top + size, left : left + size], 0.0, 1.0)
    return (y - jnp.asarray(MEAN)) / jnp.asarray(STD)


@dataclass(frozen=True)
class ClipModel:
    """The image encoder as other parts use it: pure functions, which take the parameters as an argument."""

    module: ClipVision

    @classmethod
    def from_network(cls, network: ConfigDict, precision: str = "float32") -> ClipModel:
        """From `config.network` of a checkpoint that launch/import_weights.py wrote."""
        return cls(ClipVision(ClipSettings(**network), compute_dtype(precision)))

    @property
    def settings(self) -> ClipSettings:
        return self.module.settings

    def init(self, key: jax.Array) -> Any:
        """Untrained parameters."""
        size = self.settings.image_size
        return self.module.init(key, jnp.zeros((1, size, size, 3)))["params"]

    def embed(self, params: Any, images: Float[Array, "b height width 3"]) -> Float[Array, "b e"]:
        """The embeddings e of pictures in [-1, 1], of any size."""
        return applied(self.module, params, clip_input(images, self.settings.image_size))
