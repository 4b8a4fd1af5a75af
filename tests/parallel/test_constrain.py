"""What the compiler makes of two convolutions, and what it may not make of them."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from xactor_jax.parallel.constrain import constrain, split_over
from xactor_jax.parallel.mesh import batch_sharding, make_mesh
from xactor_jax.run_settings import MeshSettings


def mesh_of(data: int, fsdp: int, context: int, tensor: int) -> Any:
    return make_mesh(MeshSettings(data=data, fsdp=fsdp, context=context, tensor=tensor))


def two_convolutions(kernels: list[jax.Array], x: jax.Array) -> jax.Array:
    convolve = lambda kernel, x: nn.Conv(8, (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)
    return jnp.sum(jnp.sin(convolve(kernels[1], jnp.sin(convolve(kernels[0], x)))))


@pytest.mark.parametrize("shape", [(2, 2, 1, 2), (1, 2, 2, 2)])
def test_gradients_of_kernels_split_over_two_axes(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    """Without the constraint, those of the first kernel are wrong by half on the first mesh."""
    x = rng.normal(size=(8, 4, 4, 8)).astype(np.float32)
    kernels = [0.2 * rng.normal(size=(3, 3, 8, 8)).astype(np.float32) for _ in range(2)]
    true = jax.jit(jax.grad(two_convolutions))(kernels, x)
    mesh = mesh_of(*shape)
    split = NamedSharding(mesh, PartitionSpec(None, None, "fsdp", "tensor"))

    def gradient(kernels: list[jax.Array], x: jax.Array) -> list[jax.Array]:
        with split_over(mesh):
            return jax.grad(two_convolutions)(kernels, x)

    sharded = jax.jit(gradient, in_shardings=([split] * 2, batch_sharding(mesh)))(kernels, x)
    for a, b in zip(sharded, true, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize(
    ("shape", "local"),
    [
        ((8, 4, 4, 2), (2, 4, 4, 2)),
        ((4, 6, 4, 4, 2), (2, 3, 4, 4, 2)),
        ((4, 1, 4, 4, 2), (2, 1, 4, 4, 2)),
        ((4, 4, 2), (4, 4, 2)),
    ],
)
def test_rows_and_frames_are_split_and_nothing_else(shape: tuple[int, ...], local: tuple[int, ...]) -> None:
    mesh = mesh_of(2, 1, 2, 2)
    whole = NamedSharding(mesh, PartitionSpec())
    array = jax.jit(lambda x: constrain(x, mesh), in_shardings=whole)(np.zeros(shape, np.float32))
    assert {shard.data.shape for shard in array.addressable_shards} == {local}


def test_only_convolutions_of_pictures_are_constrained_and_only_inside() -> None:
    mesh = mesh_of(8, 1, 1, 1)
    picture, line = np.ones((8, 4, 4, 3), np.float32), np.ones((8, 4, 3), np.float32)
    two, one, dense = nn.Conv(2, (3, 3)), nn.Conv(2, (3,)), nn.Dense(2)
    traced = lambda module, x: str(jax.make_jaxpr(lambda x: module.init_with_output(jax.random.key(0), x)[0])(x))
    with split_over(mesh):
        assert traced(two, picture).count("sharding_constraint[") == 2
        assert not any("sharding_constraint[" in text for text in (traced(one, line), traced(dense, picture)))
    assert "sharding_constraint[" not in traced(two, picture)
