from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.video.sampler import RenderSettings, denoise_segment, frame_noise
from xactor_jax.video.windows import SegmentPlan

PLAN = SegmentPlan(window=4, overlap=2, windows=3, known=2)
SHAPE = (3, 3, 2)
PROCESS = GaussianProcess()
TIMES = RenderSettings(steps=4, first_time=0.8).times()


sample = jax.jit(denoise_segment, static_argnums=(0, 1, 2))


def wandering_predict(x, t, motion):
    """Neither linear nor alike in all windows, so that averaging and order of steps show."""
    bias = jnp.arange(x.shape[1]).reshape(1, -1, 1, 1, 1, 1)
    return jnp.tanh(x + bias * t) + motion[..., :1, None, None] * t


def inputs(rng, known=None):
    noise = jnp.asarray(rng.normal(size=(1, PLAN.length, *SHAPE)), jnp.float32)
    motion = jnp.asarray(rng.normal(size=(1, PLAN.length, 5)), jnp.float32)
    reference, known = (jnp.asarray(rng.normal(size=(1, frames, *SHAPE)), jnp.float32) for frames in (1, PLAN.known))
    return noise, reference, motion, known


def brute_force(noise, reference, motion, known, has_known):
    """The sampler again, in float64 loops over steps, windows and frames; v-prediction, cosine schedule."""
    eps, times = np.asarray(noise[0], np.float64), np.asarray(TIMES, np.float64)
    alpha, sigma = (lambda t: np.cos(np.pi * t / 2)), (lambda t: np.sin(np.pi * t / 2))
    x = alpha(times[0]) * np.asarray(reference[0]) + sigma(times[0]) * eps
    hold = lambda x, t: alpha(t) * np.asarray(known[0]) + sigma(t) * eps[: PLAN.known]
    for t, s in itertools.pairwise(times):
        if has_known:
            x[: PLAN.known] = hold(x, t)
        total, count = np.zeros_like(x), np.zeros(PLAN.length)
        for w in range(PLAN.windows):
            for i in range(PLAN.window):
                frame = 2 * w + i
                total[frame] += np.tanh(x[frame] + w * t) + float(motion[0, frame, 0]) * t
                count[frame] += 1
        v = total / count[:, None, None, None]
        x = alpha(s) * (alpha(t) * x - sigma(t) * v) + sigma(s) * (sigma(t) * x + alpha(t) * v)
    if has_known:
        x[: PLAN.known] = known[0]
    return x


def test_sampler_is_ddim_over_averaged_windows(rng):
    noise, reference, motion, known = inputs(rng)
    for has_known in (False, True):
        x = sample(PROCESS, wandering_predict, PLAN, TIMES, noise, reference, motion, known, has_known)
        np.testing.assert_allclose(x[0], brute_force(noise, reference, motion, known, has_known), atol=2e-5)


def test_known_frames_stay_what_they_were(rng):
    noise, reference, motion, known = inputs(rng)
    x = sample(PROCESS, wandering_predict, PLAN, TIMES, noise, reference, motion, known, True)
    np.testing.assert_allclose(x[:, : PLAN.known], known, atol=1e-6)


def test_a_perfect_denoiser_finds_the_clean_clip(rng):
    noise, reference, motion, known = inputs(rng)
    clean = rng.normal(size=noise.shape).astype(np.float32)
    windows = np.stack([clean[:, 2 * w : 2 * w + 4] for w in range(3)], axis=1)

    def predict(x, t, motion):
        alpha, sigma = PROCESS.alpha_sigma(t)
        return (alpha * x - windows) / sigma

    x = sample(PROCESS, predict, PLAN, TIMES, noise, reference, motion, known, False)
    np.testing.assert_allclose(x, clean, atol=1e-4)


def test_noise_of_a_frame_depends_only_on_its_index(key):
    draw = jax.jit(frame_noise, static_argnums=(2, 3))
    whole, few = np.asarray(draw(key, 0, 10, SHAPE)), np.asarray(draw(key, 6, 3, SHAPE))
    np.testing.assert_array_equal(few, whole[6:9])
    assert not np.allclose(whole[0], whole[1])
    assert not np.allclose(draw(jax.random.key(1), 0, 3, SHAPE), whole[:3])


def test_times_fall_from_the_first_to_zero():
    np.testing.assert_allclose(RenderSettings(steps=4, first_time=0.8).times(), [0.8, 0.6, 0.4, 0.2, 0.0], atol=1e-6)
