"""Sampling against the exact answer: the perfect block-causal denoiser of a Gaussian process over time, in closed form.

A schedule with several chunks in flight samples a correlated process only nearly, whatever the network, because no chunk sees
a later one; it is held to the process whose chunks are independent, and loosely to the correlated one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.actor.model import ActorModel
from xactor_jax.actor.network import ActorNetwork, Memory
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.errors import UserError
from xactor_jax.layers.attention import KeyValue, joined
from xactor_jax.variables import Variables

MEAN, STD, CORRELATION, CHUNK = 0.8, 0.5, 0.9, 3
UNUSED = dict(audio_radius=2, audio_memory=0, mlp_ratio=4, look_ahead=-1, scan_layers=False, sink_chunk=False)
"""Sizes of the network that is replaced here by the exact answer."""
SLOW = pytest.mark.slow  # those of the same test without it are quick


class ExactNetwork(ActorNetwork):
    """E[v | what a block-causal network may see], where x0 is an AR(1) process of MEAN, STD and CORRELATION.

    Its memory is what it has been shown: noisy values and their levels.
    """

    independent: bool = False
    """Whether the process starts again in every chunk."""

    def setup(self):
        pass

    def remembered(self, reference, keep):
        nothing = KeyValue(*(jnp.zeros((1, len(reference), 0, 1, 1)),) * 2)
        return Memory(nothing, nothing, nothing)

    def continued(self, x, t, conditions, keep, start, memory, in_flight=False):
        process, shown = GaussianProcess(), lambda v: v.reshape(1, *x.shape[:2], 1, 1)
        seen = joined(memory.past, KeyValue(shown(x[..., 0]), shown(t)))
        x_all, t_all = seen.key[0, :, :, 0, 0], seen.value[0, 0, :, 0, 0]
        frames = start + x.shape[1] - t_all.shape[0] + jnp.arange(t_all.shape[0])
        alpha, sigma = process.alpha_sigma(t_all)
        # A frame from before the beginning is one of which nothing is known.
        known = jnp.where(frames >= 0, alpha, 0.0)
        covariance = STD**2 * CORRELATION ** jnp.abs(frames[:, None] - frames)
        same = (frames[:, None] // CHUNK == frames // CHUNK) | (not self.independent)
        covariance = jnp.where(same, covariance, 0.0)
        y = x_all - known * MEAN

        def gain(chunk):
            """Of E[x0 | frames up to this chunk], or up to the last in flight in a bidirectional window."""
            chunk = frames[-1] // CHUNK if self.bidirectional_window and in_flight else chunk
            a = jnp.where(frames // CHUNK <= chunk, known, 0.0)
            of_y = a[:, None] * covariance * a + jnp.diag(jnp.where(a > 0, sigma, 1.0) ** 2 + 1e-6)
            return covariance * a @ jnp.linalg.inv(of_y)

        own = frames[-x.shape[1] :]
        gains = jax.vmap(gain)(own[::CHUNK] // CHUNK)[jnp.arange(len(own)) // CHUNK, jnp.arange(len(own)) - len(own)]
        x0 = MEAN + (y @ gains.T)[..., None]
        alpha, sigma = alpha[-x.shape[1] :, None], sigma[-x.shape[1] :, None]
        # v of (x_t, x0): (alpha x_t - x0) / sigma
        return (alpha * x - x0) / jnp.maximum(sigma, 1e-4), KeyValue(shown(x[..., 0]), shown(t))


def sample(
    independent: bool, frames: int = 17, batch: int = 2500, bidirectional_window: bool = False, **settings
) -> np.ndarray:
    sizes = dict(width=8, depth=1, heads=1, chunk=CHUNK, context=6, emotions=1, bidirectional_window=bidirectional_window)
    network = ExactNetwork(1, **sizes, **UNUSED, independent=independent)
    model = ActorModel(network=network, process=GaussianProcess(), audio_dim=1)
    settings = RolloutSettings(**{"steps": 36, "audio_guidance": 1.0, "history_level": 0.02, **settings})
    audio, reference = np.zeros((batch, frames, 1), np.float32), np.zeros((batch, 1), np.float32)
    x = np.asarray(model.rollout(Variables({}, {}), jax.random.key(0), audio, reference, settings=settings)[..., 0])
    assert x.shape == (batch, frames)
    return x


def neighbours(x: np.ndarray) -> np.ndarray:
    """Correlation of each frame with the next."""
    return np.array([np.corrcoef(x[:, i], x[:, i + 1])[0, 1] for i in range(x.shape[1] - 1)])


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"history": "none"},
        *(
            pytest.param(schedule, marks=SLOW)
            for schedule in ({"history_noise": "scale"}, {"history": "constant"}, {"history": "linear"})
        ),
    ],
)
def test_autoregressive_sampling_is_the_true_process(history: dict) -> None:
    """Mean, standard deviation and correlation from frame to frame, inside chunks and across their borders, early and late."""
    x = sample(False, **history)
    np.testing.assert_allclose(x.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(x.std(0), STD, rtol=0.1)
    np.testing.assert_allclose(neighbours(x), CORRELATION, atol=0.04)


def test_the_temperature_scales_the_variety_of_motion() -> None:
    """For a Gaussian process, the map from noise to motion is linear, so its standard deviation scales, and its mean stays."""
    x = sample(True, frames=5, history="none", temperature=0.6)
    np.testing.assert_allclose(x.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(x.std(0), 0.6 * STD, rtol=0.1)


FLYING = {
    "pyramid": {"schedule": "pyramid", "offset": 12},
    "pyramid with an offset that does not divide": {"schedule": "pyramid", "offset": 11},
    "ancestral pyramid": {"schedule": "pyramid", "offset": 12, "eta": 1.0, "steps": 72},
    "full sequence": {"schedule": "full_sequence", "chunks": 3},
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "ancestral pyramid" else SLOW) for n in FLYING])
def test_chunks_in_flight_together_are_each_sampled_truly(name: str) -> None:
    x = sample(True, **FLYING[name])
    np.testing.assert_allclose(x.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(x.std(0), STD, rtol=0.1)
    border = np.arange(16) % CHUNK == CHUNK - 1
    np.testing.assert_allclose(neighbours(x), np.where(border, 0.0, CORRELATION), atol=0.06)


def test_chunks_in_flight_together_follow_one_another() -> None:
    x = sample(False, **FLYING["pyramid"])
    np.testing.assert_allclose(x.std(0), STD, rtol=0.2)
    np.testing.assert_allclose(neighbours(x), CORRELATION, atol=0.08)


@pytest.mark.parametrize("name", ["pyramid", pytest.param("full sequence", marks=SLOW)])
def test_with_attention_in_both_directions_chunks_in_flight_are_the_true_process(name: str) -> None:
    """As exact as one chunk after the other: the joint posterior is used, where causal attention leaves a bias."""
    x = sample(False, bidirectional_window=True, **FLYING[name])
    np.testing.assert_allclose(x.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(x.std(0), STD, rtol=0.1)
    np.testing.assert_allclose(neighbours(x), CORRELATION, atol=0.04)


def test_settings_that_cannot_be_sampled_are_refused() -> None:
    for wrong in (
        {"schedule": "other"},
        {"history_noise": "none"},
        {"steps": 0},
        {"schedule": "pyramid", "offset": 99},
        {"history_level": 1.0},
        {"history": "rising"},
        {"stepper": "other"},
        {"history_span": 0},
        {"eta": 0.5, "stepper": "heun"},
        {"eta": 2.0},
    ):
        with pytest.raises(UserError):
            RolloutSettings(**wrong)
