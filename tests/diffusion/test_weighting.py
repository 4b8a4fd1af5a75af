"""Loss weights against their definition in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.weighting import loss_weight, min_snr_weight


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_min_snr_is_its_definition(prediction: str, gamma: float) -> None:
    t = np.linspace(0.01, 0.99, 25).reshape(5, 5)
    snr = 1 / np.tan(np.pi * t / 2) ** 2
    clipped = np.minimum(snr, gamma)
    want = {"v": clipped / (snr + 1), "eps": clipped / snr, "x0": clipped}[prediction]
    got = min_snr_weight(GaussianProcess(prediction=prediction), jnp.float32(t), gamma)
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_ends_are_finite(prediction: str) -> None:
    weight = min_snr_weight(GaussianProcess(prediction=prediction), jnp.array([0.0, 1.0]))
    assert np.isfinite(weight).all() and (weight >= 0).all() and weight.max() <= 5.0


def test_names_of_a_config() -> None:
    process, t = GaussianProcess(), jnp.array([0.1, 0.7])
    np.testing.assert_array_equal(loss_weight("min_snr", process, t), min_snr_weight(process, t))
    np.testing.assert_array_equal(loss_weight("none", process, t), [1.0, 1.0])
    with pytest.raises(ValueError, match="min_snr"):
        loss_weight("other", process, t)
