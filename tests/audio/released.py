"""A tiny wav2vec 2.0 as it is released (names, layouts, config.json), and what it computes, in float64 NumPy."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable

import numpy as np
from safetensors.numpy import save_file

from xactor_jax.pretrained.importing import import_weights

Weights = dict[str, np.ndarray]

SIZES = {
    "model_type": "wav2vec2",
    "conv_dim": [4, 6, 6, 6, 6, 6, 8],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "layer_norm_eps": 1e-5,
}
DESIGNS = {
    "group": {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False},
    "layer": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
}


def config_of(design: str, **changes: object) -> dict:
    """A config.json."""
    return {**SIZES, **DESIGNS[design], **changes}


def weights_of(config: dict, rng: np.random.Generator) -> Weights:
    """Random weights under their released names, in PyTorch's layouts; kernels keep the size of what they are applied to."""
    w: Weights = {}

    def draw(name: str, *shape: int) -> None:
        w[name] = rng.normal(size=shape).astype(np.float32) / np.float32(math.sqrt(math.prod(shape[1:])) if shape[1:] else 3)

    def norm(name: str, size: int) -> None:
        draw(f"{name}.weight", size)
        draw(f"{name}.bias", size)
        w[f"{name}.weight"] += 1

    def linear(name: str, out: int, size: int) -> None:
        draw(f"{name}.weight", out, size)
        draw(f"{name}.bias", out)

    width, before = config["hidden_size"], 1
    for i, (out, kernel) in enumerate(zip(config["conv_dim"], config["conv_kernel"], strict=True)):
        draw(f"feature_extractor.conv_layers.{i}.conv.weight", out, before, kernel)
        if config["conv_bias"]:
            draw(f"feature_extractor.conv_layers.{i}.conv.bias", out)
        if i == 0 or config["feat_extract_norm"] == "layer":
            norm(f"feature_extractor.conv_layers.{i}.layer_norm", out)
        before = out
    norm("feature_projection.layer_norm", before)
    linear("feature_projection.projection", width, before)
    taps, groups = config["num_conv_pos_embeddings"], config["num_conv_pos_embedding_groups"]
    draw("encoder.pos_conv_embed.conv.weight_g", 1, 1, taps)
    draw("encoder.pos_conv_embed.conv.weight_v", width, width // groups, taps)
    draw("encoder.pos_conv_embed.conv.bias", width)
    norm("encoder.layer_norm", width)
    for i in range(config["num_hidden_layers"]):
        block = f"encoder.layers.{i}"
        for name in ("q", "k", "v", "out"):
            linear(f"{block}.attention.{name}_proj", width, width)
        linear(f"{block}.feed_forward.intermediate_dense", config["intermediate_size"], width)
        linear(f"{block}.feed_forward.output_dense", width, config["intermediate_size"])
        norm(f"{block}.layer_norm", width)
        norm(f"{block}.final_layer_norm", width)
    return w


def write_released(folder: pathlib.Path, config: dict, weights: Weights, name: str = "model.safetensors") -> pathlib.Path:
    """The two files of a release; returns the one with the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({key: np.ascontiguousarray(value) for key, value in weights.items()}, folder / name)
    return folder / name


def import_tiny(folder: pathlib.Path, design: str = "group", seed: int = 1) -> pathlib.Path:
    """A checkpoint folder of the tiny network inside `folder`."""
    config = config_of(design)
    file = write_released(folder / f"released{seed}", config, weights_of(config, np.random.default_rng(seed)))
    import_weights("wav2vec2", file, folder / f"wav2vec2-{seed}")
    return folder / f"wav2vec2-{seed}"


GELU = np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))), otypes=[np.float64])


def conv(x: np.ndarray, w: np.ndarray, stride: int = 1, groups: int = 1) -> np.ndarray:
    """y[o, t] = Σ_{i, k} w[o, i, k] x[i, stride · t + k], output channel o reading the input channels of its own group."""
    out, reads, taps = w.shape
    result = np.zeros((out, (x.shape[1] - taps) // stride + 1))
    for o in range(out):
        first = o // (out // groups) * reads
        for t in range(result.shape[1]):
            result[o, t] = np.sum(w[o] * x[first : first + reads, stride * t : stride * t + taps])
    return result


def standardised(x: np.ndarray, axis: int) -> np.ndarray:
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


class Reference:
    """The network on one waveform, in float64, one formula after the other."""

    def __init__(self, config: dict, weights: Weights):
        self.c, self.w = config, {name: value.astype(np.float64) for name, value in weights.items()}

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Hidden states [states, frames, width]."""
        x = waveform.astype(np.float64)
        z = self.features((x - x.mean()) / np.sqrt(x.var() + 1e-7))
        h = self.linear("feature_projection.projection", self.layer_norm("feature_projection.layer_norm", z))
        h = h + self.position(h.T).T
        stable = self.c["do_stable_layer_norm"]
        final = lambda h: self.layer_norm("encoder.layer_norm", h)
        states = [h if stable else final(h)]
        for i in range(self.c["num_hidden_layers"]):
            states.append(self.block(f"encoder.layers.{i}", states[-1]))
        return np.stack([*states[:-1], final(states[-1]) if stable else states[-1]])

    def features(self, x: np.ndarray) -> np.ndarray:
        """[frames, channels]; in between, arrays are [channels, frames]."""
        z = x[None]
        for i, stride in enumerate(self.c["conv_stride"]):
            name = f"feature_extractor.conv_layers.{i}"
            z = conv(z, self.w[f"{name}.conv.weight"], stride)
            z = z + self.w.get(f"{name}.conv.bias", np.zeros(len(z)))[:, None]
            if f"{name}.layer_norm.weight" in self.w:
                axis = 0 if self.c["feat_extract_norm"] == "layer" else 1  # over channels, or over time
                scale, offset = self.w[f"{name}.layer_norm.weight"], self.w[f"{name}.layer_norm.bias"]
                z = standardised(z, axis) * scale[:, None] + offset[:, None]
            z = GELU(z)
        return z.T

    def position(self, h: np.ndarray) -> np.ndarray:
        name, taps = "encoder.pos_conv_embed.conv", self.c["num_conv_pos_embeddings"]
        v, g = self.w[f"{name}.weight_v"], self.w[f"{name}.weight_g"]
        kernel = np.stack([g[0, 0, k] * v[:, :, k] / np.linalg.norm(v[:, :, k]) for k in range(taps)], axis=-1)
        padded = np.pad(h, ((0, 0), (taps // 2, taps // 2)))
        y = conv(padded, kernel, groups=self.c["num_conv_pos_embedding_groups"])[:, : h.shape[1]]
        return GELU(y + self.w[f"{name}.bias"][:, None])

    def block(self, name: str, h: np.ndarray) -> np.ndarray:
        first, second = (lambda x, n=n: self.layer_norm(f"{name}.{n}", x) for n in ("layer_norm", "final_layer_norm"))
        feed_forward: Callable = lambda x: self.linear(
            f"{name}.feed_forward.output_dense", GELU(self.linear(f"{name}.feed_forward.intermediate_dense", x))
        )
        if self.c["do_stable_layer_norm"]:
            h = h + self.attention(f"{name}.attention", first(h))
            return h + feed_forward(second(h))
        h = first(h + self.attention(f"{name}.attention", h))
        return second(h + feed_forward(h))

    def attention(self, name: str, h: np.ndarray) -> np.ndarray:
        q, k, v = (self.linear(f"{name}.{part}_proj", h) for part in ("q", "k", "v"))
        size = h.shape[1] // self.c["num_attention_heads"]
        heads = []
        for start in range(0, h.shape[1], size):
            part = slice(start, start + size)
            logits = q[:, part] @ k[:, part].T / math.sqrt(size)
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, part])
        return self.linear(f"{name}.out_proj", np.concatenate(heads, axis=1))

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def layer_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return standardised(x, 1) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
