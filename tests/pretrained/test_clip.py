"""A released image encoder of CLIP becomes a checkpoint that computes the same: compared with float64 NumPy."""

from __future__ import annotations

import math

import cv2
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.audio.released import write_released
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.pretrained import clip
from xactor_jax.pretrained.importing import export_weights, import_weights
from xactor_jax.video.clip import MEAN, STD, ClipModel, clip_input

CONFIG = {
    "model_type": "clip_vision_model",
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 6,
    "patch_size": 3,
    "projection_dim": 5,
}


def weights_of(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights under their released names, in PyTorch's layouts."""
    draw = lambda *shape: (rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]) or 1)).astype(np.float32)
    w = {
        "embeddings.class_embedding": draw(8),
        "embeddings.patch_embedding.weight": draw(8, 3, 3, 3),
        "embeddings.position_embedding.weight": draw(5, 8),
    }
    for name in ("pre_layrnorm", "post_layernorm", *(f"encoder.layers.{i}.layer_norm{n}" for i in (0, 1) for n in (1, 2))):
        w |= {f"{name}.weight": 1 + draw(8) / 3, f"{name}.bias": draw(8) / 3}
    for i in range(2):
        sizes = {f"self_attn.{part}_proj": (8, 8) for part in ("q", "k", "v", "out")} | {"mlp.fc1": (12, 8), "mlp.fc2": (8, 12)}
        for name, shape in sizes.items():
            w |= {f"encoder.layers.{i}.{name}.weight": draw(*shape), f"encoder.layers.{i}.{name}.bias": draw(shape[0]) / 3}
    return {f"vision_model.{name}": value for name, value in w.items()} | {"visual_projection.weight": draw(5, 8)}


def embedding(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Of one standardised picture [6, 6, 3]."""
    w = {name.removeprefix("vision_model."): value.astype(np.float64) for name, value in weights.items()}
    linear = lambda name, h: h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, h: np.ndarray) -> np.ndarray:
        y = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        return y * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(name: str, h: np.ndarray) -> np.ndarray:
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            q, k, v = (linear(f"{name}.{letter}_proj", h)[:, part] for letter in "qkv")
            weights = np.exp(q @ k.T / 2)
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ v)
        return linear(f"{name}.out_proj", np.concatenate(heads, axis=1))

    patches = [x[i : i + 3, j : j + 3] for i in (0, 3) for j in (0, 3)]
    tokens = [np.einsum("ijc,dcij->d", patch, w["embeddings.patch_embedding.weight"]) for patch in patches]
    h = np.stack([w["embeddings.class_embedding"], *tokens]) + w["embeddings.position_embedding.weight"]
    h = norm("pre_layrnorm", h)
    for i in range(2):
        name = f"encoder.layers.{i}"
        h = h + attention(f"{name}.self_attn", norm(f"{name}.layer_norm1", h))
        wide = linear(f"{name}.mlp.fc1", norm(f"{name}.layer_norm2", h))
        h = h + linear(f"{name}.mlp.fc2", wide / (1 + np.exp(-1.702 * wide)))
    return norm("post_layernorm", h[0]) @ w["visual_projection.weight"].T


def test_a_checkpoint_computes_what_was_released_and_goes_back(tmp_path, rng):
    weights = weights_of(rng)
    import_weights("clip", write_released(tmp_path / "r", CONFIG, weights), tmp_path / "out")
    config, (params, _) = load_variables(tmp_path / "out", "clip")
    model = ClipModel.from_network(config.network)
    images = rng.uniform(-1, 1, (2, 6, 6, 3)).astype(np.float32)  # of the encoder's own size: nothing is resized
    expected = [embedding(weights, ((image + 1) / 2 - MEAN) / STD) for image in images]
    np.testing.assert_allclose(jax.jit(model.embed)(params, images), expected, atol=1e-4)
    export_weights("clip", tmp_path / "out", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys() and all(np.array_equal(back[name], weights[name]) for name in back)


def test_the_file_of_both_encoders_gives_the_image_s(tmp_path, rng):
    weights = weights_of(rng)
    both = {"model_type": "clip", "projection_dim": 5, "vision_config": {**CONFIG, "projection_dim": 99}}
    more = {
        "text_model.final_layer_norm.bias": np.ones(3),
        "text_projection.weight": np.ones((5, 3)),
        "logit_scale": np.ones(1),
    }
    more["vision_model.embeddings.position_ids"] = np.arange(5)[None]
    for name, config, extra in (("a", CONFIG, {}), ("b", both, more)):
        import_weights("clip", write_released(tmp_path / f"r{name}", config, weights | extra), tmp_path / name)
    a, b = (load_variables(tmp_path / name, "clip")[1].params for name in "ab")
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_networks_that_are_not_clip_s_are_refused(tmp_path, rng):
    file = write_released(tmp_path / "r", {**CONFIG, "model_type": "siglip_vision_model"}, weights_of(rng))
    with pytest.raises(UserError, match="model_type"):
        import_weights("clip", file, tmp_path / "out")
    file = write_released(tmp_path / "r", {**CONFIG, "hidden_act": "relu"}, weights_of(rng))
    with pytest.raises(UserError, match=r"clip\.activation=relu is not possible"):
        import_weights("clip", file, tmp_path / "out")
    write_released(tmp_path / "r", CONFIG, weights_of(rng))
    (tmp_path / "r" / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(UserError, match="image_mean"):
        import_weights("clip", file, tmp_path / "out")


def keys_cubic(x: np.ndarray) -> np.ndarray:
    """Keys's cubic convolution with a = −½ (1981, eq. 15 and 16)."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def smaller(x: np.ndarray, size: int) -> np.ndarray:
    """Rows resized with that kernel, stretched by how much smaller they get."""
    scale = len(x) / size
    distance = (np.arange(len(x))[None] + 0.5) / scale - (np.arange(size)[:, None] + 0.5)
    weights = keys_cubic(distance)
    return np.tensordot(weights / weights.sum(axis=1, keepdims=True), x, axes=1)


def test_pictures_are_resized_cut_and_standardised(rng):
    wide = cv2.GaussianBlur(rng.uniform(0, 1, (12, 20, 3)), (0, 0), 1.5)
    resized = smaller(smaller(wide, 6).swapaxes(0, 1), 10).swapaxes(0, 1)
    expected = (resized[:, 2:8] - MEAN) / STD
    for picture, wanted in ((wide, expected), (wide.swapaxes(0, 1), expected.swapaxes(0, 1))):
        found = jax.jit(clip_input, static_argnums=1)((2 * picture[None] - 1).astype(np.float32), 6)
        np.testing.assert_allclose(found[0], wanted, atol=1e-4)


def test_vit_l_14_has_the_released_sizes():
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    config = clip.read_config({**sizes, "patch_size": 14, "projection_dim": 768}, {})
    assert sum(map(np.prod, clip.parameter_shapes(config).values())) == 303_966_208
