"""Tables of names: every key used once or named, every shape checked."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.pretrained.name_map import (
    Rule,
    Table,
    convert,
    layer,
    norm,
)
from xactor_jax.pretrained.transforms import conv_kernel, linear_kernel, weight_normed_conv_kernel

TABLE = Table(
    rules=(
        *layer("layers.{i}.to.{j}", "deep{i}/part{j}"),
        *norm("last", "norm"),
        Rule("conv.g", "conv/kernel", weight_normed_conv_kernel, 0),
        Rule("conv.v", "conv/kernel", weight_normed_conv_kernel, 1),
        Rule("conv.old_g", "conv/kernel", weight_normed_conv_kernel, 0),
    ),
    prefixes=("model.",),
    ignored=("head.", "step"),
)
SHAPES = {
    "deep0/part11/kernel": (3, 2),
    "deep0/part11/bias": (2,),
    "norm/scale": (4,),
    "norm/bias": (4,),
    "conv/kernel": (5, 3, 2),
}


@pytest.fixture
def weights(rng) -> dict[str, np.ndarray]:
    shapes = {"layers.0.to.11.weight": (2, 3), "layers.0.to.11.bias": (2,), "last.weight": (4,), "last.bias": (4,)}
    shapes |= {"conv.g": (1, 1, 5), "conv.v": (2, 3, 5)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def test_arrays_find_their_places(weights):
    tree = convert(weights, TABLE, SHAPES)
    np.testing.assert_allclose(tree["deep0"]["part11"]["kernel"], weights["layers.0.to.11.weight"].T, rtol=1e-6)
    np.testing.assert_allclose(tree["norm"]["scale"], weights["last.weight"], rtol=1e-6)
    assert tree["norm"]["scale"].dtype == np.float32
    assert set(tree) == {"deep0", "norm", "conv"}


def test_weight_normalised_kernels_have_the_norms_of_g(weights):
    kernel = convert(weights, TABLE, SHAPES)["conv"]["kernel"]
    np.testing.assert_allclose(np.sqrt((kernel**2).sum(axis=(1, 2))), np.abs(weights["conv.g"][0, 0]), rtol=1e-5)
    ratio = kernel / weights["conv.v"].transpose(2, 1, 0)
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] * np.ones((1, 3, 2)), rtol=1e-5)


def test_kernels_are_turned(rng):
    w = rng.normal(size=(4, 3, 5, 6))
    x = rng.normal(size=(3, 5, 6))
    np.testing.assert_allclose(
        np.einsum("hwi,hwio->o", x.transpose(1, 2, 0), conv_kernel.forward(w)), np.einsum("ihw,oihw->o", x, w)
    )
    np.testing.assert_allclose(x[:, 0, 0] @ linear_kernel.forward(w[:, :, 0, 0]), w[:, :, 0, 0] @ x[:, 0, 0])


def test_prefixes_other_spellings_and_keys_not_needed(weights):
    renamed = {f"model.{name}": value for name, value in weights.items()} | {
        "head.weight": np.ones(3),
        "model.step": np.ones(1),
    }
    renamed["conv.old_g"] = renamed.pop("model.conv.g")
    expected, found = convert(weights, TABLE, SHAPES), convert(renamed, TABLE, SHAPES)
    np.testing.assert_array_equal(found["conv"]["kernel"], expected["conv"]["kernel"])


@pytest.mark.parametrize(
    "key, named",
    [("layers.0.to.11.bias", r"layers\.0\.to\.11\.bias"), ("conv.g", r"conv\.g"), ("conv.v", r"conv\.v")],
)
def test_missing_keys_are_named_as_they_are_released(weights, key, named):
    del weights[key]
    with pytest.raises(UserError, match=f"the file lacks .*{named}"):
        convert(weights, TABLE, SHAPES)


@pytest.mark.parametrize("key", ["layers.1.to.11.weight", "layers.x.to.11.weight", "last.weight.more", "other"])
def test_surplus_keys_are_named(weights, key):
    with pytest.raises(UserError, match=f"the file holds {key}"):
        convert({**weights, key: np.ones(3)}, TABLE, SHAPES)


def test_of_many_keys_the_first_are_named(weights):
    with pytest.raises(UserError, match="other0, other1, other2, other3, other4 and 4 more"):
        convert({**weights, **{f"other{i}": np.ones(1) for i in range(9)}}, TABLE, SHAPES)


@pytest.mark.parametrize("first, second", [("last.bias", "model.last.bias"), ("conv.g", "conv.old_g")])
def test_a_weight_that_is_there_twice_is_refused(weights, first, second):
    with pytest.raises(UserError, match=f"both {first} and {second}"):
        convert({**weights, second: weights[first]}, TABLE, SHAPES)


@pytest.mark.parametrize(
    "key, shape",
    [
        ("last.bias", (5,)),
        ("layers.0.to.11.weight", (3, 2)),
        ("layers.0.to.11.weight", (6,)),
        ("conv.v", (2, 3)),
        ("conv.g", (5,)),
    ],
)
def test_wrong_shapes_are_named(weights, key, shape):
    with pytest.raises(UserError, match=f"{key} .*cannot be read as"):
        convert({**weights, key: np.ones(shape)}, TABLE, SHAPES)


def test_a_path_that_no_rule_leads_to_is_a_fault_of_the_table(weights):
    with pytest.raises(KeyError, match="no rule leads to forgotten"):
        convert(weights, TABLE, {**SHAPES, "forgotten": (1,)})
