from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.parallel.partition import fit_spec, follow_params, spec_by_shape, spec_for, tree_shardings
from xactor_jax.run_settings import MeshSettings


@pytest.fixture
def mesh() -> Any:
    return make_mesh(MeshSettings(data=1, fsdp=4, tensor=2))


def leaf(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_the_first_rule_that_matches_wins(mesh: Any) -> None:
    rules = (("a/kernel$", P("tensor")), ("kernel", P(None, "fsdp")), ("a/", P("fsdp")))
    assert spec_for("a/kernel", (8, 8), rules, mesh) == P("tensor")
    assert spec_for("b/kernel", (8, 8), rules, mesh) == P(None, "fsdp")
    assert spec_for("a/bias", (8,), rules, mesh) == P("fsdp")
    assert spec_for("b/bias", (8,), rules, mesh) == P()


def test_entries_that_do_not_divide_fall_back_to_none(mesh: Any) -> None:
    assert fit_spec(P("fsdp", "tensor"), (8, 3), mesh) == P("fsdp", None)
    assert fit_spec(P("fsdp", "tensor"), (6, 6), mesh) == P(None, "tensor")
    assert fit_spec(P(("fsdp", "tensor")), (16, 6), mesh) == P(("fsdp", "tensor"))
    assert fit_spec(P(("fsdp", "tensor")), (4, 6), mesh) == P(None)


def test_a_rule_with_too_many_dimensions_is_a_mistake(mesh: Any) -> None:
    with pytest.raises(ValueError, match="more dimensions"):
        fit_spec(P(None, "fsdp"), (8,), mesh)


def test_rule_by_shape(mesh: Any) -> None:
    assert spec_by_shape((64, 256), mesh) == P(None, "fsdp")
    assert spec_by_shape((256, 64), mesh) == P("fsdp")
    assert spec_by_shape((128, 128), mesh) == P(None, "fsdp")
    assert spec_by_shape((257, 64), mesh) == P(None, "fsdp")
    assert spec_by_shape((257, 63), mesh) == P()
    assert spec_by_shape((8, 8), mesh) == P()
    assert spec_by_shape((8, 8), mesh, min_elements=1) == P(None, "fsdp")


def test_nothing_is_split_where_fsdp_is_one() -> None:
    one = make_mesh(MeshSettings())
    assert spec_by_shape((256, 256), one) == P()


def test_a_tree_of_shapes_becomes_a_tree_of_shardings(mesh: Any) -> None:
    tree = {"a": {"kernel": leaf(64, 64), "bias": leaf(64)}, "b": [leaf(8, 2)]}
    shardings = tree_shardings(tree, (("a/kernel", P("tensor")), ("b/0", P("fsdp"))), mesh)
    specs = jax.tree.map(lambda s: s.spec, shardings)
    assert specs == {"a": {"kernel": P("tensor"), "bias": P()}, "b": [P("fsdp")]}
    array = jax.device_put(np.zeros((64, 64)), shardings["a"]["kernel"])
    assert array.addressable_shards[0].data.shape == (32, 64)


def test_an_optimiser_state_lies_as_its_parameters(mesh: Any) -> None:
    params = {"a": {"kernel": leaf(64, 64)}, "b": {"kernel": leaf(8, 8)}, "c": leaf(16)}
    shardings = tree_shardings(params, (("b/kernel", P("fsdp", "tensor")), ("^c", P("tensor"))), mesh)
    labels = {"a": {"kernel": "x"}, "b": {"kernel": "x"}, "c": "y"}
    optimizer = optax.partition({"x": optax.adamw(1e-3), "y": optax.adam(1e-3)}, labels)
    state = jax.eval_shape(optimizer.init, params)
    followed = follow_params(state, params, shardings, mesh)
    assert jax.tree.structure(followed) == jax.tree.structure(state)
    x, y = followed.inner_states["x"].inner_state[0], followed.inner_states["y"].inner_state[0]
    for moments in (x.mu, x.nu):
        assert moments["a"]["kernel"].spec == P(None, "fsdp") and moments["b"]["kernel"].spec == P("fsdp", "tensor")
    assert y.mu["c"].spec == P("tensor") and x.count.spec == P()


def test_a_copy_of_another_shape_is_replicated(mesh: Any) -> None:
    """Factored moments carry a parameter's name and not its shape."""
    params = {"a": leaf(64, 64)}
    shardings = tree_shardings(params, (("a", P("fsdp", "tensor")),), mesh)
    assert follow_params({"row": {"a": leaf(64)}}, params, shardings, mesh)["row"]["a"].spec == P()
