from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from xactor_jax.parallel.chips import chip_of
from xactor_jax.parallel.flops import count_flops, marked, model_flops


def count(function, *shapes: tuple[int, ...]) -> float:
    return count_flops(jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)).jaxpr)


def test_products_and_convolutions() -> None:
    assert count(lambda a, b: jnp.einsum("bmk,bkn->bmn", a, b), (2, 3, 5), (2, 5, 7)) == 2 * 2 * 3 * 7 * 5
    convolve = lambda x, w: jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert count(convolve, (2, 8, 8, 3), (3, 3, 3, 16)) == 2 * (2 * 4 * 4 * 16) * (3 * 3 * 3)


def test_grouped_convolutions_see_only_their_own_channels() -> None:
    convolve = lambda x, w: jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4
    )
    assert count(convolve, (1, 4, 4, 8), (3, 3, 2, 8)) == 2 * (4 * 4 * 8) * (3 * 3 * 2)


def test_loops_branches_and_what_is_computed_again() -> None:
    one = 2 * 4 * 4 * 4
    again = lambda x, w: jax.lax.scan(lambda h, _: (jax.jit(jnp.dot)(h, w), None), x, None, length=6)[0]
    assert count(again, (4, 4), (4, 4)) == 6 * one
    either = lambda x, w: jax.lax.cond(x.sum() > 0, lambda: x @ w @ w, lambda: x @ w)
    assert count(either, (4, 4), (4, 4)) == 2 * one
    backward = jax.grad(lambda w, x: jax.checkpoint(lambda w: jnp.sin(jnp.sin(x @ w) @ w).sum())(w))
    assert count(backward, (4, 4), (4, 4)) > count(jax.grad(lambda w, x: jnp.sin(jnp.sin(x @ w) @ w).sum()), (4, 4), (4, 4))


def block(h: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.sin(jnp.sin(h @ w) @ w)


def gradients(block, looped: bool):
    """Of three blocks, one after the other or in a loop."""

    def loss(w: jax.Array, x: jax.Array) -> jax.Array:
        if looped:
            return marked(jax.lax.scan(lambda h, _: (block(h, w), None), x, None, length=3)[0].sum())
        return marked(block(block(block(x, w), w), w).sum())

    return jax.make_jaxpr(jax.value_and_grad(loss))(jnp.ones((4, 4)), jnp.ones((4, 4))).jaxpr


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("policy", [None, jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.everything_saveable])
def test_rematerialisation_is_left_out(looped: bool, policy) -> None:
    plain, again = gradients(block, looped), gradients(jax.checkpoint(jax.jit(block), policy=policy), looped)
    # Six products forward, twelve backward; the gradient of what the first of them sees is not asked for outside a loop.
    assert model_flops(again) == model_flops(plain) == count_flops(plain) == (18 if looped else 17) * 2 * 4**3
    assert count_flops(again) > count_flops(plain) or policy is not None


def test_a_branch_of_the_backward_pass_counts() -> None:
    loss = lambda w: marked(jax.lax.cond(w.sum() > 0, lambda w: (w @ w @ w).sum(), lambda w: (w @ w).sum(), w))
    jaxpr = jax.make_jaxpr(jax.grad(jax.checkpoint(loss)))(jnp.ones((4, 4))).jaxpr
    assert model_flops(jaxpr) == 6 * 2 * 4**3


def test_a_marked_loss_is_the_loss() -> None:
    value, gradient = jax.jit(jax.value_and_grad(lambda x: marked(x**3)))(2.0)
    assert (value, gradient) == (8.0, 12.0)


@pytest.mark.parametrize(
    "kind, name",
    [("TPU v5 lite", "v5e"), ("TPU v5", "v5p"), ("TPU v5p", "v5p"), ("TPU v6 lite", "v6e"), ("NVIDIA H100 80GB HBM3", "H100")],
)
def test_chips_are_known_by_their_kind(kind: str, name: str) -> None:
    assert chip_of(kind).name == name


def test_nothing_is_known_of_a_cpu() -> None:
    assert chip_of("cpu") is None
