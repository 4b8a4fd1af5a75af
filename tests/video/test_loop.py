"""The sampler for whole clips, against loops in float64 and denoisers whose result is known."""

from __future__ import annotations

import itertools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.errors import UserError
from xactor_jax.video import loop
from xactor_jax.video.loop import LoopPlan, average_windows, denoise_loop, group_size, in_groups, loop_offsets, take_windows
from xactor_jax.video.sampler import RenderSettings, blur

RELEASED = GaussianProcess(schedule="scaled_linear", prediction="eps", beta_start=0.00085, beta_end=0.02)
TIMES = RenderSettings(steps=35, spacing="leading").times()
PLAN = LoopPlan(frames=11, window=4, overlap=1)
SHAPE = (3, 3, 2)


denoise = jax.jit(denoise_loop, static_argnums=(0, 1, 2))
offsets_of = jax.jit(loop_offsets, static_argnums=2)
average = jax.jit(average_windows, static_argnums=2)


def released_alphas() -> np.ndarray:
    """alpha-bar of the 1,000 released noise levels, in float64."""
    return np.cumprod(1 - np.linspace(0.00085**0.5, 0.02**0.5, 1000) ** 2)


def test_noise_levels_are_the_published_ones():
    steps = np.asarray(TIMES, np.float64)[:-1] * 1000 - 1
    np.testing.assert_allclose(steps, [*range(953, 0, -28)], atol=1e-4)
    assert len(steps) == 35 and TIMES[-1] == 0
    alpha, _ = RELEASED.alpha_sigma(TIMES[:-1])
    np.testing.assert_allclose(alpha**2, released_alphas()[953::-28], rtol=2e-5)
    assert float(alpha[0] ** 2) == pytest.approx(5.6e-4, rel=0.01)
    np.testing.assert_allclose(RenderSettings(steps=4, spacing="leading").times(10) * 10, [8, 6, 4, 2, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(spacing="trailing"), "render.spacing=trailing is not possible: use even or leading"),
        (dict(spacing="leading", first_time=0.9), "has no effect with leading"),
        (dict(blur_size=4), "give an odd blur_size"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(UserError, match=message):
        RenderSettings(**settings)


def test_more_leading_levels_than_there_are():
    with pytest.raises(UserError, match="1000 leading noise levels of 1000"):
        RenderSettings(steps=1000, spacing="leading").times()


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 8, 11, 24])
@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_windows_cover_every_frame_and_go_around(frames, overlap):
    plan = LoopPlan(frames=frames, window=4, overlap=overlap)
    for offset, windows in enumerate(np.asarray(jax.jit(plan.indices)(np.arange(4)))):
        assert windows.shape == (1 if frames <= 4 else -(-frames // (4 - overlap)), min(4, frames))
        assert set(windows.ravel()) == set(range(frames))
        if frames > 4:
            np.testing.assert_array_equal(np.diff(windows, axis=1) % frames, 1)
            np.testing.assert_array_equal(windows[:, 0], (offset + (4 - overlap) * np.arange(len(windows))) % frames)


def test_released_windows_are_24_frames_that_overlap_by_4():
    windows = np.asarray(LoopPlan(frames=100, window=24, overlap=4).indices(jnp.array(7)))
    np.testing.assert_array_equal(windows[:, 0], [7, 27, 47, 67, 87])
    np.testing.assert_array_equal(windows[-1], [*range(87, 100), *range(11)])


def test_a_frame_is_the_mean_of_what_its_windows_say(rng):
    offsets = jnp.array([0, 3])
    frames = PLAN.indices(offsets)
    y = rng.normal(size=(2, PLAN.windows, 4, 5)).astype(np.float32)
    total, count = np.zeros((2, 11, 5)), np.zeros((2, 11))
    for clip, k, i in itertools.product(range(2), range(PLAN.windows), range(4)):
        frame = (int(offsets[clip]) + 3 * k + i) % 11
        total[clip, frame] += y[clip, k, i]
        count[clip, frame] += 1
    averaged = average(jnp.asarray(y), frames, 11)
    np.testing.assert_allclose(averaged, total / count[..., None], rtol=1e-5, atol=1e-6)
    x = jnp.asarray(rng.normal(size=(2, 11, 5)), jnp.float32)
    np.testing.assert_allclose(average(jax.jit(take_windows)(x, frames), frames, 11), x, rtol=1e-6)


def test_offsets_are_drawn_at_every_step_from_the_key_of_each_clip():
    plan = LoopPlan(frames=200, window=24, overlap=4)
    keys = jax.random.split(jax.random.key(0), 3)
    drawn = np.array([offsets_of(keys, step, plan) for step in range(60)])
    assert drawn.min() >= 0 and drawn.max() < 24 and len(set(drawn[:, 0])) > 15
    assert (drawn[:, 0] != drawn[:, 1]).mean() > 0.8
    np.testing.assert_array_equal(offsets_of(keys[1:2], 7, plan), drawn[7, 1:2])


def draws(rng, frames: int):
    noise = jnp.asarray(rng.normal(size=(2, frames, *SHAPE)), jnp.float32)
    start = jnp.asarray(rng.normal(size=(2, 1, *SHAPE)), jnp.float32)
    return noise, start, jnp.asarray(rng.normal(size=(2, frames, 5)), jnp.float32), jax.random.split(jax.random.key(3), 2)


@pytest.mark.parametrize("frames", [3, 11])
def test_the_exact_denoiser_of_a_gaussian_gives_what_ddim_gives_for_it(rng, frames):
    """x0 ~ N(m, d²): a DDIM step multiplies the distance from the mean by what follows only from x0_hat and eps_hat."""
    mean, std = 0.7, 1.3
    plan = LoopPlan(frames=frames, window=4, overlap=1)

    def predict(x, t, motion):
        alpha, sigma = RELEASED.alpha_sigma(t)
        return sigma * (x - alpha * mean) / (alpha**2 * std**2 + sigma**2)

    noise, start, motion, keys = draws(rng, frames)
    x = denoise(RELEASED, predict, plan, TIMES, noise, start, motion, keys)
    alpha = np.sqrt(np.append(released_alphas()[953::-28], 1.0))
    sigma = np.sqrt(1 - alpha**2)
    distance = alpha[0] * np.asarray(start, np.float64) + sigma[0] * np.asarray(noise, np.float64) - alpha[0] * mean
    for (a, s), (a_next, s_next) in itertools.pairwise(zip(alpha, sigma, strict=True)):
        distance *= (a_next * a * std**2 + s_next * s) / (a**2 * std**2 + s**2)
    np.testing.assert_allclose(x, mean + distance, atol=2e-4)
    assert float(jnp.std(x)) == pytest.approx(std * float(jnp.std(noise)), rel=0.15)


def window_dependent(x, t, motion):
    """Neither linear nor alike at all places of a window, so that offsets and averaging show."""
    place = jnp.arange(x.shape[2]).reshape(1, 1, -1, 1, 1, 1)
    return jnp.tanh(x + place * t) + motion[..., :1, None, None] * t


def test_whole_clips_are_ddim_over_windows_that_move(rng):
    """The sampler again, in float64 loops over clips, steps, windows and frames; v-prediction, cosine schedule."""
    noise, start, motion, keys = draws(rng, PLAN.frames)
    times = RenderSettings(steps=5).times()
    x = np.asarray(denoise(GaussianProcess(), window_dependent, PLAN, times, noise, start, motion, keys))
    alpha, sigma = (lambda t: np.cos(np.pi * t / 2)), (lambda t: np.sin(np.pi * t / 2))
    for clip in range(2):
        y = alpha(1.0) * np.asarray(start[clip], np.float64) + sigma(1.0) * np.asarray(noise[clip], np.float64)
        for index, (t, s) in enumerate(itertools.pairwise(np.asarray(times, np.float64))):
            offset = int(offsets_of(keys[clip : clip + 1], index, PLAN)[0])
            total, count = np.zeros_like(y), np.zeros(11)
            for k, i in itertools.product(range(4), range(4)):
                frame = (offset + 3 * k + i) % 11
                total[frame] += np.tanh(y[frame] + i * t) + float(motion[clip, frame, 0]) * t
                count[frame] += 1
            v = total / count[:, None, None, None]
            y = alpha(s) * (alpha(t) * y - sigma(t) * v) + sigma(s) * (sigma(t) * y + alpha(t) * v)
        np.testing.assert_allclose(x[clip], y, atol=5e-5)


@pytest.mark.parametrize("size", [1, 3, 4, 6])
def test_groups_of_windows_predict_what_all_of_them_do(rng, size):
    x = jnp.asarray(rng.normal(size=(2, 4, 4, *SHAPE)), jnp.float32)
    motion = jnp.asarray(rng.normal(size=(2, 4, 4, 5)), jnp.float32)
    seen = []

    def predict(x, t, motion):
        seen.append(x.shape[1])
        return window_dependent(x, t, motion)

    grouped = jax.jit(in_groups(predict, size))(x, jnp.float32(0.4), motion)
    np.testing.assert_allclose(grouped, jax.jit(window_dependent)(x, 0.4, motion), rtol=1e-6, atol=1e-6)
    assert seen == [size]


def test_groups_fill_the_devices_and_no_more():
    plan = LoopPlan(frames=100, window=24, overlap=4)  # 5 windows
    assert [group_size(plan, together, devices) for together, devices in ((1, 1), (3, 1), (9, 1))] == [1, 3, 5]
    assert [group_size(plan, together, devices) for together, devices in ((1, 4), (9, 4), (1, 8))] == [4, 8, 8]


def test_windows_are_split_over_devices():
    spread = loop.spread_over(tuple(jax.devices()))
    assert len(jax.jit(spread)(jnp.zeros((16, 2))).sharding.device_set) == 8
    assert jax.jit(spread)(jnp.zeros((16, 2))).addressable_shards[0].data.shape == (2, 2)
    x = jnp.zeros(3)
    assert loop.spread_over(jax.devices()[:1])(x) is x


def test_blur_is_the_one_of_opencv(rng):
    z = rng.normal(size=(2, 12, 16, 3)).astype(np.float32)
    for size, sigma in ((9, 18.0), (5, 1.0)):
        expected = [cv2.GaussianBlur(one, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101) for one in z]
        np.testing.assert_allclose(jax.jit(blur, static_argnums=1)(jnp.asarray(z), size, sigma), expected, atol=1e-5)
    np.testing.assert_array_equal(blur(jnp.asarray(z), 0, 18.0), z)
