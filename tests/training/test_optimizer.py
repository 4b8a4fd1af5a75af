from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.toy import ToyTask, toy_config
from xactor_jax.errors import UserError
from xactor_jax.training.optimizer import decayed, freeze, learning_rate, make_optimizer


def first_update(params: Any, gradients: Any, **overrides: Any) -> Any:
    """The update of the first step at the peak learning rate."""
    config = toy_config(optimizer__warmup_steps=0, **overrides)
    optimizer = make_optimizer(config, ToyTask())
    return jax.jit(lambda g, p: optimizer.update(g, optimizer.init(p), p)[0])(gradients, params)


def params_and_gradients(scale: float) -> tuple[Any, Any]:
    params = {"hidden": {"kernel": np.full((2, 2), 3.0, np.float32), "bias": np.full(2, 3.0, np.float32)}}
    return params, jax.tree.map(lambda x: np.full_like(x, scale), params)


def test_adam_and_decay_by_hand() -> None:
    """First step of Adam: m̂ = g, v̂ = g², so the update is −η·(sign(g) + λθ), with the decay only on the kernel."""
    params, gradients = params_and_gradients(1e-2)
    update = first_update(params, gradients, optimizer__weight_decay=0.1)
    np.testing.assert_allclose(update["hidden"]["kernel"], -0.03 * (1 + 0.1 * 3), rtol=1e-4)
    np.testing.assert_allclose(update["hidden"]["bias"], -0.03, rtol=1e-4)


def test_adam_without_weight_decay_does_not_decay() -> None:
    params, gradients = params_and_gradients(1e-2)
    update = first_update(params, gradients, optimizer__weight_decay=0.1, optimizer__name="adam")
    np.testing.assert_allclose(update["hidden"]["kernel"], -0.03, rtol=1e-4)


def test_gradients_are_clipped_by_their_global_norm() -> None:
    """After clipping to 1e-8 (Adam's ε), six equal entries are 1e-8/√6 each, and the update −η·g/(g + ε)."""
    params, gradients = params_and_gradients(5.0)
    update = first_update(params, gradients, optimizer__clip_norm=1e-8, optimizer__weight_decay=0.0)
    g = 1e-8 / 6**0.5
    np.testing.assert_allclose(update["hidden"]["bias"], -0.03 * g / (g + 1e-8), rtol=1e-3)


def test_a_discriminator_has_its_own_rate_and_its_own_clipping() -> None:
    params = {"hidden": {"kernel": jnp.ones((2, 2))}, "discriminator": {"kernel": jnp.ones((2, 2))}}
    gradients = {"hidden": {"kernel": jnp.full((2, 2), 0.1)}, "discriminator": {"kernel": jnp.full((2, 2), 1e6)}}
    settings = {"optimizer__discriminator_scale": 0.25, "optimizer__weight_decay": 0.0, "optimizer__clip_norm": 1e-8}
    update = first_update(params, gradients, **settings)
    np.testing.assert_allclose(update["discriminator"]["kernel"], 0.25 * update["hidden"]["kernel"], rtol=1e-4)


def test_frozen_parameters_get_no_update() -> None:
    params = {"frozen": {"kernel": jnp.ones(2)}, "hidden": {"kernel": jnp.ones((2, 2))}}
    update = first_update(params, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_array_equal(update["frozen"]["kernel"], np.zeros(2))
    assert float(jnp.abs(update["hidden"]["kernel"]).min()) > 0


def test_no_gradient_flows_into_what_is_frozen() -> None:
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    gradients = jax.grad(lambda p: sum(x.sum() for x in freeze(p, {"a": "frozen", "b": "default"}).values()))(params)
    assert float(gradients["a"].sum()) == 0.0 and float(gradients["b"].sum()) == 2.0


def test_which_parameters_decay() -> None:
    """A scanned layer's bias and scale have two dimensions and still do not decay."""
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    tree = {"kernel": leaf(3, 4), "bias": leaf(2, 4), "scale": leaf(2, 4), "embedding": leaf(5, 4), "token": leaf(4)}
    assert decayed(tree) == {"kernel": True, "bias": False, "scale": False, "embedding": True, "token": False}


def test_constant_schedule_and_warm_up() -> None:
    schedule = learning_rate(toy_config(steps=100, optimizer__schedule="constant", optimizer__warmup_steps=10))
    assert [float(schedule(n)) for n in (0, 5, 10, 99)] == pytest.approx([0.0, 0.015, 0.03, 0.03])


def test_cosine_schedule_ends_at_its_fraction() -> None:
    schedule = learning_rate(toy_config(steps=100, optimizer__final_fraction=0.1, optimizer__warmup_steps=10))
    assert float(schedule(55)) == pytest.approx(0.03 * (0.1 + 0.9 * 0.5))
    assert float(schedule(100)) == pytest.approx(0.003)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_without_a_warm_up_the_first_step_has_the_peak(schedule: str) -> None:
    rate = learning_rate(toy_config(steps=100, optimizer__schedule=schedule, optimizer__warmup_steps=0))
    assert float(rate(0)) == pytest.approx(0.03) and float(rate(50)) == pytest.approx(
        {"constant": 0.03, "cosine": 0.03 * 0.525}[schedule]
    )


def test_warm_up_longer_than_the_run() -> None:
    schedule = learning_rate(toy_config(steps=3, optimizer__warmup_steps=100))
    assert np.isfinite([float(schedule(n)) for n in range(4)]).all() and float(schedule(2)) == pytest.approx(0.03)


@pytest.mark.parametrize(("setting", "message"), [("schedule", "use cosine or constant"), ("name", "use adamw or adam")])
def test_unknown_names(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=f"optimizer.{setting}=step is not possible: {message}"):
        make_optimizer(toy_config(**{f"optimizer__{setting}": "step"}), ToyTask())
