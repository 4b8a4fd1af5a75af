"""Tables of names: every key used once or named, every shape checked."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pretrained.keys import check_keys
from xactor_jax.errors import UserError
from xactor_jax.pretrained.name_map import (
    Constant,
    Rule,
    Table,
    batch_norm,
    convert,
    counter,
    exported,
    in_file,
    joined,
    layer,
    norm,
)
from xactor_jax.pretrained.transforms import conv_kernel, linear_kernel, pointwise_kernel, weight_normed_conv_kernel

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


def test_the_way_back_is_exact(weights):
    tree = convert(weights, TABLE, SHAPES)
    back = exported(tree, TABLE)
    assert {name: array.shape for name, array in back.items()} == {name: array.shape for name, array in weights.items()}
    for name in set(weights) - {"conv.g", "conv.v"}:
        np.testing.assert_array_equal(back[name], weights[name].astype(np.float32))
    again = convert(back, TABLE, SHAPES)
    np.testing.assert_array_equal(again["conv"]["kernel"], tree["conv"]["kernel"])
    np.testing.assert_allclose(back["conv.g"][0, 0], np.abs(weights["conv.g"][0, 0]), rtol=1e-5)


@pytest.mark.parametrize(
    "transform, shape", [(conv_kernel, (4, 3, 5, 6)), (linear_kernel, (4, 3)), (pointwise_kernel, (4, 3, 1, 1))]
)
def test_transforms_are_undone(rng, transform, shape):
    w = rng.normal(size=shape).astype(np.float32)
    (back,) = transform.backward(transform.forward(w))
    np.testing.assert_array_equal(back, w)


def test_pointwise_convolutions_are_linear_maps(rng):
    w, x = rng.normal(size=(4, 3, 1, 1)), rng.normal(size=3)
    np.testing.assert_allclose(x @ pointwise_kernel.forward(w), np.einsum("i,oihw->o", x, w))


def count(shape: tuple[int, ...]) -> np.ndarray:
    """A fixed table: 0, 1, 2, …, a tenth of it."""
    return np.arange(shape[0], dtype=np.float32)[None] / 10


NORMED = Table(
    rules=batch_norm("block.{i}.bn", "unit{i}/norm"),
    constants=(counter("block.{i}.bn", "unit{i}/norm"), Constant("block.{i}.table", "unit{i}/norm/scale", count)),
)
NORMED_SHAPES = {f"unit3/norm/{name}": (4,) for name in ("scale", "bias", "mean", "variance")}


@pytest.fixture
def normed(rng) -> dict[str, np.ndarray]:
    values = {f"block.3.bn.{name}": rng.normal(size=4) for name in ("weight", "bias", "running_mean", "running_var")}
    return values | {"block.3.bn.num_batches_tracked": np.array(777), "block.3.table": count((4,))}


def test_fixed_tables_are_checked_and_written_again(normed):
    tree = convert(normed, NORMED, NORMED_SHAPES)
    np.testing.assert_array_equal(tree["unit3"]["norm"]["variance"], normed["block.3.bn.running_var"].astype(np.float32))
    back = exported(tree, NORMED)
    assert set(back) == set(normed)
    np.testing.assert_allclose(back["block.3.table"], [[0, 0.1, 0.2, 0.3]], rtol=1e-6)
    steps = back["block.3.bn.num_batches_tracked"]
    assert steps == 0 and steps.shape == () and steps.dtype == np.int64


def test_files_may_lack_fixed_tables_or_round_them(normed):
    half = {**normed, "block.3.table": normed["block.3.table"].astype(np.float16)}
    assert convert(half, NORMED, NORMED_SHAPES)
    fewer = {name: value for name, value in normed.items() if name.split(".")[-1] not in ("table", "num_batches_tracked")}
    assert convert(fewer, NORMED, NORMED_SHAPES)


@pytest.mark.parametrize("table, reason", [(np.ones((1, 4)), "not the fixed table"), (np.zeros((1, 5)), "should be")])
def test_other_tables_are_refused(normed, table, reason):
    with pytest.raises(UserError, match=f"block.3.table .*{reason}"):
        convert({**normed, "block.3.table": table}, NORMED, NORMED_SHAPES)


def test_tables_of_layers_that_are_not_there_are_surplus(normed):
    with pytest.raises(UserError, match=r"holds block\.4\.table"):
        convert({**normed, "block.4.table": count((4,))}, NORMED, NORMED_SHAPES)


HUGE = 2**40
HUGE_SHAPES = {"deep0/part1/kernel": (HUGE, 2), "deep0/part1/bias": (2,), "norm/scale": (HUGE,), "norm/bias": (HUGE,)}
HUGE_KEYS = {"layers.0.to.1.weight": (2, HUGE), "layers.0.to.1.bias": (2,), "last.weight": (HUGE,), "last.bias": (HUGE,)}


def test_keys_are_checked_without_arrays():
    used = check_keys({**HUGE_KEYS, "head.weight": (3,)}, TABLE, HUGE_SHAPES)
    assert used["layers.0.to.1.weight"] == "deep0/part1/kernel" and set(used) == set(HUGE_KEYS)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"last.bias": None}, "lacks last.bias"),
        ({"more.bias": (2,)}, "holds more.bias"),
        ({"last.bias": (3,)}, "cannot be read as"),
        ({"layers.0.to.1.weight": (HUGE, 2)}, "cannot be read as"),
    ],
)
def test_keys_that_do_not_fit_are_named_without_arrays(change, reason):
    keys = {name: shape for name, shape in (HUGE_KEYS | change).items() if shape is not None}
    with pytest.raises(UserError, match=reason):
        check_keys(keys, TABLE, HUGE_SHAPES)


def test_keys_that_would_not_be_exported_again_are_named(normed):
    shapes = {name: value.shape for name, value in normed.items()}
    assert len(check_keys(shapes, NORMED, NORMED_SHAPES)) == 4
    del shapes["block.3.table"]
    with pytest.raises(ValueError, match=r"not be what was released: .*block\.3\.table"):
        check_keys(shapes, NORMED, NORMED_SHAPES)


def test_tables_of_several_files_are_read_together(weights, normed):
    table = joined(in_file("a", TABLE), in_file("b", NORMED, "inner"))
    files = {f"a:model.{name}": value for name, value in weights.items()} | {"a:head.x": np.ones(1)}
    files |= {f"b:{name}": value for name, value in normed.items()}
    shapes = {**SHAPES, **{f"inner/{path}": shape for path, shape in NORMED_SHAPES.items()}}
    tree = convert(files, table, shapes)
    np.testing.assert_array_equal(tree["norm"]["bias"], weights["last.bias"].astype(np.float32))
    np.testing.assert_array_equal(tree["inner"]["unit3"]["norm"]["mean"], normed["block.3.bn.running_mean"].astype(np.float32))
    assert set(exported(tree, table)) == {f"a:{name}" for name in weights} | {f"b:{name}" for name in normed}
    with pytest.raises(UserError, match=r"holds b:last\.weight"):
        convert({**files, "b:last.weight": np.ones(4)}, table, shapes)
