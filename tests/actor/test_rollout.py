"""Sampling against the exact answer: the perfect block-causal denoiser of a Gaussian process over time, in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.actor.model import ActorModel
from xactor_jax.actor.network import ActorNetwork
from xactor_jax.actor.rollout import RolloutSettings
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.errors import UserError
from xactor_jax.training.task import Variables

MEAN, DEVIATION, CORRELATION, CHUNK = 0.8, 0.5, 0.9, 3


class ExactNetwork(ActorNetwork):
    """E[v | what a block-causal network may see] for x0 an AR(1) process: mean, deviation and correlation of frames as above."""

    def __call__(self, x, t, conditions, keep, valid):
        process, frames = GaussianProcess(), x.shape[1]
        alpha, sigma = process.alpha_sigma(t[0])
        # A frame that is not valid is one of which nothing is known.
        seen = jnp.where(valid[0], alpha, 0.0)
        index = jnp.arange(frames)
        covariance = DEVIATION**2 * CORRELATION ** jnp.abs(index[:, None] - index)
        y = x[..., 0] - seen * MEAN
        x0 = []
        for end in range(CHUNK, frames + 1, CHUNK):
            a = seen[:end]
            of_y = a[:, None] * covariance[:end, :end] * a + jnp.diag(jnp.where(a > 0, sigma[:end], 1.0) ** 2 + 1e-6)
            gain = covariance[end - CHUNK : end, :end] * a @ jnp.linalg.inv(of_y)
            x0.append(MEAN + y[:, :end] @ gain.T)
        x0 = jnp.concatenate(x0, axis=1)[..., None]
        # v of (x_t, x0): (alpha x_t - x0) / sigma
        return (alpha[:, None] * x - x0) / jnp.maximum(sigma[:, None], 1e-4)


SCHEDULES = {
    "autoregressive": {"schedule": "autoregressive"},
    "pyramid": {"schedule": "pyramid", "offset": 12},
    "uneven pyramid": {"schedule": "pyramid", "offset": 11},
    "full_sequence": {"schedule": "full_sequence", "chunks": 3},
    "ancestral pyramid": {"schedule": "pyramid", "offset": 12, "eta": 1.0},
    "scaled history": {"history_noise": "scale"},
    "clean history": {"history_level": 0.0},
}


def sample(frames: int, batch: int, **settings) -> jax.Array:
    network = ExactNetwork(1, width=8, depth=1, heads=1, chunk=CHUNK, context=6, emotions=1)
    model = ActorModel(network=network, process=GaussianProcess(), audio_dim=1)
    settings = RolloutSettings(**{"steps": 36, "audio_guidance": 1.0, "history_level": 0.02, **settings})
    audio, reference = np.zeros((batch, frames, 1), np.float32), np.zeros((batch, 1), np.float32)
    return model.rollout(Variables({}, {}), jax.random.key(0), audio, reference, settings=settings)[..., 0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_samples_the_true_process(name: str) -> None:
    """Mean, deviation and the correlation from frame to frame, inside chunks and across their borders, early and late."""
    x = np.asarray(sample(20, 4000, **SCHEDULES[name]))
    assert x.shape == (4000, 20)
    np.testing.assert_allclose(x.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(x.std(0), DEVIATION, rtol=0.12 if "ancestral" in name else 0.07)
    neighbours = [np.corrcoef(x[:, i], x[:, i + 1])[0, 1] for i in range(19)]
    np.testing.assert_allclose(neighbours, CORRELATION, atol=0.04)


def test_settings_that_cannot_be_sampled_are_refused() -> None:
    for wrong in ({"schedule": "other"}, {"steps": 0}, {"schedule": "pyramid", "offset": 99}, {"history_level": 1.0}):
        with pytest.raises(UserError):
            RolloutSettings(**wrong)
