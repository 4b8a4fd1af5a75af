"""Noise levels and DDIM steps against those of diffusers, with the settings of X-NeMo's released sampler. See `make parity`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.video.loop import LoopPlan, denoise_loop
from xactor_jax.video.sampler import RenderSettings


@pytest.mark.parametrize("steps", [35, 10])
def test_whole_clips_go_the_way_of_ddim_scheduler(rng, steps):
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.02, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False
    )
    scheduler.set_timesteps(steps)
    noise = rng.normal(size=(1, 6, 4, 4, 2)).astype(np.float32)
    start = rng.normal(size=(1, 1, 4, 4, 2)).astype(np.float32)
    first = torch.tensor([int(scheduler.timesteps[0])])
    x = scheduler.add_noise(torch.from_numpy(np.broadcast_to(start, noise.shape).copy()), torch.from_numpy(noise), first)
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(x + t / 1000), t, x).prev_sample
    process = GaussianProcess(schedule="scaled_linear", prediction="eps", beta_start=0.00085, beta_end=0.02)
    times = RenderSettings(steps=steps, spacing="leading").times(process.steps)
    np.testing.assert_allclose(times[:-1] * 1000 - 1, scheduler.timesteps.numpy(), atol=1e-3)
    predict = lambda x, t, motion: jnp.tanh(x + t - 0.001)
    plan = LoopPlan(frames=6, window=4, overlap=1)
    motion, keys = jnp.zeros((1, 6, 1)), jax.random.key(0)[None]
    ours = denoise_loop(process, predict, plan, times, jnp.asarray(noise), jnp.asarray(start), motion, keys)
    np.testing.assert_allclose(ours, x.numpy(), rtol=1e-3, atol=1e-3)
