"""Tiny autoencoders of Stable (Video) Diffusion as they are released, and what they compute, in float64 NumPy.

Arrays are channels first: [t, c, h, w], where the frames t of a decoder of pictures do not know of each other.
"""

from __future__ import annotations

import math
import pathlib

import numpy as np

from tests.audio.released import write_released
from xactor_jax.pretrained.importing import import_weights

Weights = dict[str, np.ndarray]
WIDTHS, LATENT = (32, 64), 4


def config_of(what: str, **changes: object) -> dict:
    """A config.json."""
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    shared = {"block_out_channels": list(WIDTHS), "latent_channels": LATENT, "scaling_factor": 0.25, "layers_per_block": 2}
    if what == "svd_vae":
        return {"_class_name": "AutoencoderKLTemporalDecoder", **shared, **changes}
    return {"_class_name": "AutoencoderKL", **shared, **blocks, "layers_per_block": 1, "norm_num_groups": 8, **changes}


def weights_of(what: str, rng: np.random.Generator) -> Weights:
    """Random weights under their released names, in PyTorch's layouts."""
    w: Weights = {}
    temporal, (small, large) = what == "svd_vae", WIDTHS

    def weight(name: str, *shape: int) -> None:
        w[f"{name}.weight"] = (rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
        w[f"{name}.bias"] = rng.normal(0, 0.2, shape[0]).astype(np.float32)

    def norm(name: str, size: int) -> None:
        w[f"{name}.weight"] = rng.normal(1, 0.2, size).astype(np.float32)
        w[f"{name}.bias"] = rng.normal(0, 0.2, size).astype(np.float32)

    def residual(name: str, before: int, after: int, *taps: int) -> None:
        norm(f"{name}.norm1", before)
        weight(f"{name}.conv1", after, before, *taps)
        norm(f"{name}.norm2", after)
        weight(f"{name}.conv2", after, after, *taps)
        if before != after:
            weight(f"{name}.conv_shortcut", after, before, 1, 1)

    def block(name: str, before: int, after: int, over_time: bool) -> None:
        residual(f"{name}.spatial_res_block" if over_time else name, before, after, 3, 3)
        if over_time:
            residual(f"{name}.temporal_res_block", after, after, 3, 1, 1)
            w[f"{name}.time_mixer.mix_factor"] = rng.normal(size=1).astype(np.float32)

    def half(name: str, enter: int, leave: int, first: int, last: int, over_time: bool) -> None:
        weight(f"{name}.conv_in", first, enter, 3, 3)
        for j in range(2):
            block(f"{name}.mid_block.resnets.{j}", large, large, over_time)
        norm(f"{name}.mid_block.attentions.0.group_norm", large)
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            weight(f"{name}.mid_block.attentions.0.{part}", large, large)
        norm(f"{name}.conv_norm_out", last)
        weight(f"{name}.conv_out", leave, last, 3, 3)

    layers = config_of(what)["layers_per_block"]
    half("encoder", 3, 2 * LATENT, small, large, False)
    half("decoder", LATENT, 3, large, small, temporal)
    for side, order, count in (("encoder.down", (small, large), layers), ("decoder.up", (large, small), layers + 1)):
        for i, width in enumerate(order):
            for j in range(count):
                before = order[i - 1] if i and not j else width
                block(f"{side}_blocks.{i}.resnets.{j}", before, width, temporal and side == "decoder.up")
    weight("encoder.down_blocks.0.downsamplers.0.conv", small, small, 3, 3)
    weight("decoder.up_blocks.0.upsamplers.0.conv", large, large, 3, 3)
    weight("quant_conv", 2 * LATENT, 2 * LATENT, 1, 1)
    weight(*(("decoder.time_conv_out", 3, 3, 3, 1, 1) if temporal else ("post_quant_conv", LATENT, LATENT, 1, 1)))
    return w


def release(folder: pathlib.Path, what: str, seed: int = 0, **changes: object) -> tuple[pathlib.Path, Weights]:
    """The file of a release, beside its config.json, and its weights."""
    weights = weights_of(what, np.random.default_rng(seed))
    return write_released(folder, config_of(what, **changes), weights, "diffusion_pytorch_model.safetensors"), weights


def import_tiny(folder: pathlib.Path, what: str) -> tuple[pathlib.Path, Weights]:
    """A checkpoint folder of the tiny network inside `folder`, and its weights as released."""
    file, weights = release(folder / f"released-{what}", what)
    import_weights(what, file, folder / what)
    return folder / what, weights


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


class Reference:
    """The network, one formula after the other."""

    def __init__(self, what: str, weights: Weights):
        self.config, self.w = config_of(what), {name: value.astype(np.float64) for name, value in weights.items()}
        self.temporal = what == "svd_vae"

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Means and log variances of pictures [t, 3, h, w]."""
        h = self.conv("encoder.conv_in", x)
        for i in range(2):
            for j in range(self.config["layers_per_block"]):
                h = self.residual(f"encoder.down_blocks.{i}.resnets.{j}", h)
            if i == 0:
                padded = np.pad(h, ((0, 0), (0, 0), (0, 1), (0, 1)))
                h = self.conv("encoder.down_blocks.0.downsamplers.0.conv", padded, pad=0)[..., ::2, ::2]
        return self.conv("quant_conv", self.end("encoder", self.middle("encoder", h)))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Pictures of raw latents [t, c, h, w]."""
        h = self.conv("decoder.conv_in", z if self.temporal else self.conv("post_quant_conv", z))
        h = self.middle("decoder", h)
        for i in range(2):
            for j in range(self.config["layers_per_block"] + 1):
                h = self.block(f"decoder.up_blocks.{i}.resnets.{j}", h)
            if i == 0:
                h = self.conv("decoder.up_blocks.0.upsamplers.0.conv", h.repeat(2, axis=2).repeat(2, axis=3))
        x = self.end("decoder", h)
        return self.over_time("decoder.time_conv_out", x) if self.temporal else x

    def middle(self, side: str, h: np.ndarray) -> np.ndarray:
        block = self.block if side == "decoder" else self.residual
        h = self.attention(f"{side}.mid_block.attentions.0", block(f"{side}.mid_block.resnets.0", h))
        return block(f"{side}.mid_block.resnets.1", h)

    def end(self, side: str, h: np.ndarray) -> np.ndarray:
        return self.conv(f"{side}.conv_out", silu(self.norm(f"{side}.conv_norm_out", h, 1e-6)))

    def block(self, name: str, h: np.ndarray) -> np.ndarray:
        if not self.temporal:
            return self.residual(name, h)
        s = self.residual(f"{name}.spatial_res_block", h)
        time = f"{name}.temporal_res_block"
        t = self.over_time(f"{time}.conv1", silu(self.norm(f"{time}.norm1", s, 1e-5, whole=True)))
        t = s + self.over_time(f"{time}.conv2", silu(self.norm(f"{time}.norm2", t, 1e-5, whole=True)))
        share = 1 / (1 + np.exp(-self.w[f"{name}.time_mixer.mix_factor"]))
        return (1 - share) * s + share * t

    def residual(self, name: str, x: np.ndarray) -> np.ndarray:
        h = self.conv(f"{name}.conv1", silu(self.norm(f"{name}.norm1", x, 1e-6)))
        h = self.conv(f"{name}.conv2", silu(self.norm(f"{name}.norm2", h, 1e-6)))
        return h + (self.conv(f"{name}.conv_shortcut", x) if f"{name}.conv_shortcut.weight" in self.w else x)

    def attention(self, name: str, x: np.ndarray) -> np.ndarray:
        tokens = self.norm(f"{name}.group_norm", x, 1e-6).reshape(*x.shape[:2], -1).swapaxes(1, 2)
        linear = lambda part, y: y @ self.w[f"{name}.{part}.weight"].T + self.w[f"{name}.{part}.bias"]
        q, k, v = (linear(part, tokens) for part in ("to_q", "to_k", "to_v"))
        weights = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(x.shape[1]))
        y = linear("to_out.0", weights / weights.sum(axis=-1, keepdims=True) @ v)
        return x + y.swapaxes(1, 2).reshape(x.shape)

    def conv(self, name: str, x: np.ndarray, pad: int | None = None) -> np.ndarray:
        w = self.w[f"{name}.weight"]
        pad = w.shape[-1] // 2 if pad is None else pad
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        return np.einsum("tchwij,dcij->tdhw", seen, w, optimize=True) + self.w[f"{name}.bias"][:, None, None]

    def over_time(self, name: str, x: np.ndarray) -> np.ndarray:
        w, padded = self.w[f"{name}.weight"][..., 0, 0], np.pad(x, ((1, 1), (0, 0), (0, 0), (0, 0)))
        y = sum(np.einsum("tchw,dc->tdhw", padded[k : k + len(x)], w[:, :, k]) for k in range(3))
        return y + self.w[f"{name}.bias"][:, None, None]

    def norm(self, name: str, x: np.ndarray, epsilon: float, whole: bool = False) -> np.ndarray:
        """Over the channels of a group and the pixels of one frame, or of all."""
        groups = x.reshape(len(x), self.config.get("norm_num_groups", 32), -1, *x.shape[2:])
        axes = (0, 2, 3, 4) if whole else (2, 3, 4)
        y = (groups - groups.mean(axes, keepdims=True)) / np.sqrt(groups.var(axes, keepdims=True) + epsilon)
        return y.reshape(x.shape) * self.w[f"{name}.weight"][:, None, None] + self.w[f"{name}.bias"][:, None, None]
