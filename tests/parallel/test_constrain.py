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

from xactor_jax.layers.factored import DoublingConv, JoiningConv
from xactor_jax.parallel.constrain import constrain, split_over
from xactor_jax.parallel.mesh import batch_sharding, make_mesh
from xactor_jax.run_settings import MeshSettings


def mesh_of(data: int, fsdp: int, context: int, tensor: int) -> Any:
    return make_mesh(MeshSettings(data=data, fsdp=fsdp, context=context, tensor=tensor))


CONVOLUTIONS = {
    "plain": (8, lambda kernel, x: nn.Conv(8, (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)),
    "doubling": (8, lambda kernel, x: DoublingConv(8).apply({"params": {"kernel": kernel, "bias": np.zeros(8)}}, x)),
    "joining": (16, lambda kernel, x: JoiningConv(8).apply({"params": {"kernel": kernel, "bias": np.zeros(8)}}, x, x[::2])),
}
"""Channels of the kernel, and the convolution."""


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("shape", [(2, 2, 1, 2), (1, 2, 2, 2)])
def test_gradients_of_kernels_split_over_two_axes(shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> None:
    """Without the constraint, those of the first plain kernel are wrong by half on the first mesh."""
    channels, convolve = CONVOLUTIONS[kind]
    two_convolutions = lambda kernels, x: jnp.sum(jnp.sin(convolve(kernels[1], jnp.sin(convolve(kernels[0], x)))))
    x = rng.normal(size=(8, 4, 4, 8)).astype(np.float32)
    kernels = [0.2 * rng.normal(size=(3, 3, channels, 8)).astype(np.float32) for _ in range(2)]
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
    two, one, dense, doubling = nn.Conv(2, (3, 3)), nn.Conv(2, (3,)), nn.Dense(2), DoublingConv(2)
    traced = lambda module, x: str(jax.make_jaxpr(lambda x: module.init_with_output(jax.random.key(0), x)[0])(x))
    with split_over(mesh):
        assert all(traced(module, picture).count("sharding_constraint[") == 2 for module in (two, doubling))
        assert not any("sharding_constraint[" in text for text in (traced(one, line), traced(dense, picture)))
    assert "sharding_constraint[" not in traced(two, picture)
