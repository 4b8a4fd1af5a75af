"""Perceptual distances against the same formulas in float64 NumPy, with weights under their released names."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from tests.pretrained.keys import check_keys
from xactor_jax.checkpoints.trees import shapes
from xactor_jax.layers.perceptual import PerceptualModel, PerceptualSettings
from xactor_jax.pretrained import perceptual
from xactor_jax.pretrained.name_map import convert, exported

WIDTHS = (2, 3, 4, 5, 6)
PLACES = {0: 0, 2: 0, 5: 1, 7: 1, 10: 2, 12: 2, 14: 2, 17: 3, 19: 3, 21: 3, 24: 4, 26: 4, 28: 4}
"""Place of a convolution in the released network → its scale."""


def weights_of(rng: np.random.Generator, widths=WIDTHS) -> dict[str, np.ndarray]:
    weights, before = {}, 3
    for place, scale in PLACES.items():
        shape = (widths[scale], before, 3, 3)
        weights[f"features.{place}.weight"] = (rng.normal(size=shape) * np.sqrt(2 / (9 * before))).astype(np.float32)
        weights[f"features.{place}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
        before = shape[0]
    return weights


def lin_of(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {f"lin{i}.model.1.weight": rng.uniform(size=(1, c, 1, 1)).astype(np.float32) for i, c in enumerate(WIDTHS)}


def features_of(weights: dict[str, np.ndarray], image: np.ndarray) -> list[np.ndarray]:
    """Of one picture [h, w, 3] in [-1, 1]: [h, w, c] at five scales."""
    x = ((image.astype(np.float64) + 1) / 2 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    found: dict[int, np.ndarray] = {}
    for place, scale in PLACES.items():
        if scale not in found and scale:
            h, w, c = x.shape
            x = x.reshape(h // 2, 2, w // 2, 2, c).max(axis=(1, 3))
        seen = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), axis=(0, 1))
        y = np.einsum("hwcij,dcij->hwd", seen, weights[f"features.{place}.weight"]) + weights[f"features.{place}.bias"]
        x = found[scale] = np.maximum(y, 0)
    return list(found.values())


def expected(weights, lin, x: np.ndarray, y: np.ndarray) -> float:
    """Of two pictures; LPIPS where there is `lin`."""
    pairs = list(zip(features_of(weights, x), features_of(weights, y), strict=True))
    if not lin:
        return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))
    unit = lambda f: f / (np.linalg.norm(f, axis=-1, keepdims=True) + 1e-10)
    scales = [(unit(a) - unit(b)) ** 2 @ lin[f"lin{i}.model.1.weight"].ravel() for i, (a, b) in enumerate(pairs)]
    return float(sum(scale.mean() for scale in scales))


@pytest.mark.parametrize("lpips", [False, True])
def test_the_distance_of_released_weights(rng, lpips):
    weights, lin = weights_of(rng), lin_of(rng) if lpips else {}
    model = PerceptualModel(PerceptualSettings(widths=WIDTHS, lpips=lpips))
    wanted = shapes(jax.eval_shape(model.init, jax.random.key(0)))
    table = perceptual.LPIPS if lpips else perceptual.VGG16
    named = {f"vgg:{k}": v for k, v in weights.items()} | {f"lin:{k}": v for k, v in lin.items()} if lpips else weights
    params = convert(named, table, wanted)
    x, y = rng.uniform(-1, 1, (2, 2, 16, 32, 3)).astype(np.float32)
    found = jax.jit(model.distance)(params, x, y)
    np.testing.assert_allclose(found, [expected(weights, lin, a, b) for a, b in zip(x, y, strict=True)], rtol=1e-4)
    back = exported(params, table)
    assert back.keys() == named.keys() and all(np.array_equal(back[name], named[name]) for name in back)


ALEX_PLACES = {0: (11, 4, 2), 3: (5, 1, 2), 6: (3, 1, 1), 8: (3, 1, 1), 10: (3, 1, 1)}
"""Place of AlexNet's convolution in the released network → side, stride and padding."""


def windows(x: np.ndarray, side: int, stride: int) -> np.ndarray:
    """[h, w, c] → [h2, w2, c, side, side]."""
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))[::stride, ::stride]


def alex_features_of(weights: dict[str, np.ndarray], image: np.ndarray) -> list[np.ndarray]:
    """Of one picture [h, w, 3] in [-1, 1], scaled as the published code of LPIPS does."""
    x, found = (image.astype(np.float64) - (-0.030, -0.088, -0.188)) / (0.458, 0.448, 0.450), []
    for place, (side, stride, pad) in ALEX_PLACES.items():
        x = windows(x, 3, 2).max(axis=(-2, -1)) if place in (3, 6) else x
        seen = windows(np.pad(x, ((pad, pad), (pad, pad), (0, 0))), side, stride)
        y = np.einsum("hwcij,dcij->hwd", seen, weights[f"features.{place}.weight"]) + weights[f"features.{place}.bias"]
        found.append(x := np.maximum(y, 0))
    return found


def test_lpips_by_alexnet_of_released_weights(rng):
    weights, before = {}, 3
    for (place, (side, _, _)), width in zip(ALEX_PLACES.items(), WIDTHS, strict=True):
        weights[f"alexnet:features.{place}.weight"] = rng.normal(size=(width, before, side, side)).astype(np.float32) / side
        weights[f"alexnet:features.{place}.bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        before = width
    lin = {f"lin:{name}": value for name, value in lin_of(rng).items()}
    model = PerceptualModel(PerceptualSettings(widths=WIDTHS, lpips=True, trunk="alexnet"))
    params = convert(weights | lin, perceptual.LPIPS_ALEX, shapes(jax.eval_shape(model.init, jax.random.key(0))))
    x, y = rng.uniform(-1, 1, (2, 1, 38, 50, 3)).astype(np.float32)
    own = {name.removeprefix("alexnet:"): value for name, value in weights.items()}
    unit = lambda f: f / (np.linalg.norm(f, axis=-1, keepdims=True) + 1e-10)
    pairs = enumerate(zip(alex_features_of(own, x[0]), alex_features_of(own, y[0]), strict=True))
    wanted = sum(((unit(a) - unit(b)) ** 2 @ lin[f"lin:lin{i}.model.1.weight"].ravel()).mean() for i, (a, b) in pairs)
    np.testing.assert_allclose(jax.jit(model.distance)(params, x, y), [wanted], rtol=1e-4)


def test_checkpoints_without_a_trunk_are_vgg16_s():
    older = ConfigDict({"widths": WIDTHS, "lpips": True})
    assert PerceptualModel.from_network(older).settings.trunk == "vgg"


def test_where_nothing_differs_the_gradient_is_finite_and_zero(rng):
    model = PerceptualModel(PerceptualSettings(widths=WIDTHS, lpips=True))
    params = jax.jit(model.init)(jax.random.key(0))
    params["vgg"]["conv28"]["bias"] -= 100.0  # no feature is on at the last scale
    x = jax.numpy.asarray(rng.uniform(-1, 1, (1, 16, 16, 3)), np.float32)
    gradient = jax.jit(jax.grad(lambda y, x: model.distance(params, y, x).sum()))
    elsewhere = np.abs(gradient(-x, x)).max()
    # Zero but for rounding: a compiler may order the sums of the two pictures' features differently.
    np.testing.assert_allclose(gradient(x, x), 0.0, atol=1e-4 * elsewhere)


def test_the_released_networks_are_used_to_the_last_key(rng):
    full = {name: value.shape for name, value in weights_of(rng, PerceptualSettings().widths).items()}
    config = perceptual.read_config(False, epath.Path("."), "")
    more = {"classifier.6.weight": (1000, 4096), "classifier.0.bias": (4096,)}
    assert check_keys(full | more, perceptual.VGG16, perceptual.parameter_shapes(config)).keys() == full.keys()
    assert sum(map(np.prod, full.values())) == 14_714_688
