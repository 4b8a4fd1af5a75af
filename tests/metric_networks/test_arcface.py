"""ArcFace, imported from a file with released names, against the same layers in float64 NumPy."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.metric_networks.arithmetic import conv, conv_weights, norm, norm_weights
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.metric_networks.arcface import ArcFaceSettings, cosines, make_network
from xactor_jax.pretrained import arcface
from xactor_jax.pretrained.importing import export_weights, import_weights

DEPTHS, WIDTHS, SIDE, LENGTH = (1, 2, 1, 1), (2, 3, 4, 5), 32, 6


def weights_of(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights of a narrow network under their released names."""
    slope = lambda name, width: {f"{name}.weight": rng.uniform(0, 0.5, width).astype(np.float32)}
    w = conv_weights(rng, "conv1", 3, 2, 3) | norm_weights(rng, "bn1", 2) | slope("prelu", 2)
    before = 2
    for n, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
        for name in (f"layer{n}.{i}" for i in range(depth)):
            w |= norm_weights(rng, f"{name}.bn1", before) | conv_weights(rng, f"{name}.conv1", before, width, 3)
            w |= norm_weights(rng, f"{name}.bn2", width) | slope(f"{name}.prelu", width)
            w |= conv_weights(rng, f"{name}.conv2", width, width, 3) | norm_weights(rng, f"{name}.bn3", width)
            if name.endswith(".0"):
                w |= conv_weights(rng, f"{name}.downsample.0", before, width, 1)
                w |= norm_weights(rng, f"{name}.downsample.1", width)
            before = width
    w |= norm_weights(rng, "bn2", 5) | norm_weights(rng, "features", LENGTH)
    fc = rng.normal(size=(LENGTH, 5 * (SIDE // 16) ** 2)) / 4
    return w | {"fc.weight": fc.astype(np.float32), "fc.bias": rng.normal(size=LENGTH).astype(np.float32)}


def embedding(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Of one picture [h, w, 3]."""
    prelu = lambda name, h: np.where(h > 0, h, w[f"{name}.weight"] * h)
    x = prelu("prelu", norm(w, "bn1", conv(w, "conv1", x, pad=1)))
    for n, depth in enumerate(DEPTHS, start=1):
        for i in range(depth):
            name, stride = f"layer{n}.{i}", 1 if i else 2
            h = prelu(f"{name}.prelu", norm(w, f"{name}.bn2", conv(w, f"{name}.conv1", norm(w, f"{name}.bn1", x), pad=1)))
            h = norm(w, f"{name}.bn3", conv(w, f"{name}.conv2", h, stride, pad=1))
            x = h + (x if i else norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x, stride)))
    flat = norm(w, "bn2", x).transpose(2, 0, 1).ravel()
    return norm(w, "features", w["fc.weight"] @ flat + w["fc.bias"])


def test_an_import_computes_what_was_released_and_goes_back(tmp_path, rng, monkeypatch):
    narrow = ArcFaceSettings(widths=WIDTHS, features=LENGTH, side=SIDE)
    monkeypatch.setattr(arcface, "ArcFaceSettings", lambda: narrow)
    weights = weights_of(rng)
    save_file(weights, tmp_path / "backbone.safetensors")
    import_weights("arcface", tmp_path / "backbone.safetensors", tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "arcface")
    assert config.network.depths == DEPTHS
    faces = rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    found = jax.jit(make_network(config.network).apply)({"params": variables.params}, faces)
    np.testing.assert_allclose(found, [embedding(weights, face) for face in faces], atol=1e-4)
    export_weights("arcface", tmp_path / "out", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[name], weights[name]) for name in back if "num_batches" not in name)


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file({"layer1.0.conv1.weight": np.ones((2, 2, 3, 3), np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"no layer1\.0\.prelu\.weight"):
        import_weights("arcface", tmp_path / "x.safetensors", tmp_path / "out")


def test_similarity_is_the_cosine_of_the_angle():
    a, b = np.array([[3.0, 0, 0], [1.0, 1, 0]]), np.array([[1.0, np.sqrt(3), 0], [-2.0, -2, 0]])
    np.testing.assert_allclose(cosines(a, b), [np.cos(np.pi / 3), -1])
