"""Deep3D, imported from a file with released names, against the same layers in float64 NumPy."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

from tests.metric_networks.arithmetic import conv, conv_weights, norm, norm_weights, windows
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.deep3d import EXPRESSION, Deep3DSettings, make_network
from xactor_jax.pretrained.importing import export_weights, import_weights

NARROW = Deep3DSettings(depths=(1, 2, 1, 1), widths=(2, 1, 2, 3), parts=(2, 3, 1), side=64)


def weights_of(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights of a narrow network under their released names."""
    w = conv_weights(rng, "backbone.conv1", 3, 2, 7) | norm_weights(rng, "backbone.bn1", 2)
    before = 2
    for n, (depth, width) in enumerate(zip(NARROW.depths, NARROW.widths, strict=True), start=1):
        for name in (f"backbone.layer{n}.{i}" for i in range(depth)):
            for k, (a, b, side) in enumerate(((before, width, 1), (width, width, 3), (width, 4 * width, 1)), start=1):
                w |= conv_weights(rng, f"{name}.conv{k}", a, b, side) | norm_weights(rng, f"{name}.bn{k}", b)
            if name.endswith(".0"):
                w |= conv_weights(rng, f"{name}.downsample.0", before, 4 * width, 1)
                w |= norm_weights(rng, f"{name}.downsample.1", 4 * width)
            before = 4 * width
    for k, n in enumerate(NARROW.parts):
        w |= conv_weights(rng, f"final_layers.{k}", before, n, 1)
        w[f"final_layers.{k}.bias"] = rng.normal(size=n).astype(np.float32)
    return w


def coefficients(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Of one picture [h, w, 3]."""
    relu = lambda h: np.maximum(h, 0)
    x = relu(norm(w, "backbone.bn1", conv(w, "backbone.conv1", x, 2, 3)))
    x = windows(x, 3, 2, 1, fill=-np.inf).max(axis=(-2, -1))
    for n, depth in enumerate(NARROW.depths, start=1):
        for i in range(depth):
            name, stride = f"backbone.layer{n}.{i}", 2 if n > 1 and i == 0 else 1
            h = relu(norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x)))
            h = relu(norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", h, stride, 1)))
            h = norm(w, f"{name}.bn3", conv(w, f"{name}.conv3", h))
            x = relu(h + (x if i else norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x, stride))))
    mean = x.mean(axis=(0, 1))
    parts = [w[f"final_layers.{k}.weight"][:, :, 0, 0] @ mean + w[f"final_layers.{k}.bias"] for k in range(len(NARROW.parts))]
    return np.concatenate(parts)


def test_an_import_computes_what_was_released_and_goes_back(tmp_path, rng):
    weights = weights_of(rng)
    save_file({f"net_recon.{name}": value for name, value in weights.items()}, tmp_path / "x.safetensors")
    config = ConfigDict({"stage": "deep3d", "network": dataclasses.asdict(NARROW)})
    import_weights("deep3d", tmp_path / "x.safetensors", tmp_path / "out", config)
    config, variables = load_variables(tmp_path / "out", "deep3d")
    faces = rng.uniform(0, 1, (2, 64, 64, 3)).astype(np.float32)
    found = jax.jit(make_network(config.network).apply)({"params": variables.params}, faces)
    np.testing.assert_allclose(found, [coefficients(weights, face) for face in faces], rtol=1e-4, atol=1e-4)
    export_weights("deep3d", tmp_path / "out", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[name], weights[name]) for name in back if "num_batches" not in name)


def test_expression_is_the_second_part_of_the_released_coefficients():
    identity, expression, *_ = Deep3DSettings().parts
    assert slice(identity, identity + expression) == EXPRESSION and sum(Deep3DSettings().parts) == 257
