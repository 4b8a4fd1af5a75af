from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.video import tiny
from xactor_jax.errors import UserError
from xactor_jax.video import denoising, preparation, rendering
from xactor_jax.video.conditions import FrameConditions
from xactor_jax.video.prediction import predictor
from xactor_jax.video.rendering import draw_batch, render
from xactor_jax.video.task import VideoTask


@pytest.fixture(scope="module")
def task():
    return VideoTask.from_config(tiny.video_config())


@pytest.fixture(scope="module")
def variables(task):
    return tiny.random_variables(task)


@pytest.fixture(scope="module")
def portrait(task, variables, clip):
    """By the program that streams use."""
    return rendering.prepare(task.model, variables, *(jnp.asarray(x)[None] for x in clip[:2]))


@pytest.fixture(scope="module")
def clip(task):
    """Reference picture, its motion, and 23 frames of motion."""
    rng = np.random.default_rng(5)
    image = rng.uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    return image, rng.normal(size=6).astype(np.float32), 2.0 * rng.normal(size=(23, 6)).astype(np.float32)


WHOLE = lambda task: replace(task.model.render_settings, offline=True, guidance_scale=2.0)
"""Of clips as wholes; all tests share one program, for nine frames."""


def stream(task, variables, clip, frames, chunk, settings=None):
    image, reference, motion = clip
    pieces = (motion[i : min(i + chunk, frames)] for i in range(0, frames, chunk))
    return np.concatenate(list(render(task.model, variables, jax.random.key(7), image, reference, pieces, settings)))


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 23])
def test_streaming_does_not_depend_on_the_chunks(task, variables, clip, frames):
    whole = stream(task, variables, clip, frames, frames)
    assert whole.shape == (frames, 16, 16, 3) and whole.dtype == np.uint8
    for chunk in (1, 3, 8):
        np.testing.assert_array_equal(stream(task, variables, clip, frames, chunk), whole)


@pytest.mark.slow  # quick: test_a_sample_does_not_depend_on_its_batch
@pytest.mark.parametrize("frames", [1, 9])
def test_batches_are_the_streamed_clips(task, variables, clip, frames):
    image, reference, motion = (jnp.asarray(x) for x in clip)
    keys = jnp.stack([jax.random.key(7), jax.random.key(8)])
    twice = lambda x: jnp.stack([x, x])
    draw = jax.jit(lambda *inputs: draw_batch(task.model, *inputs).frames)
    batch = np.asarray(draw(variables, keys, twice(image), twice(reference), twice(motion[:frames])), int)
    assert batch.shape == (2, frames, 16, 16, 3)
    assert np.abs(batch[0] - stream(task, variables, clip, frames, 4)).max() <= 1
    assert np.abs(batch[1] - batch[0]).max() > 3


def test_frames_do_not_depend_on_motion_of_later_segments(task, variables, clip):
    image, reference, motion = clip
    new = task.model.render_settings.plan(task.model.window).new
    changed = np.concatenate([motion[: 2 * new], motion[2 * new :] + 1.0])
    before, after = (stream(task, variables, (image, reference, m), 23, 23) for m in (motion, changed))
    np.testing.assert_array_equal(before[: 2 * new], after[: 2 * new])
    assert not np.array_equal(before[2 * new :], after[2 * new :])


def test_segments_take_over_the_last_frames_of_the_one_before(task, variables, clip, portrait):
    """A segment keeps known latents as they are and attends to them."""
    model, settings = task.model, task.model.render_settings
    plan = settings.plan(model.window)

    def segment(index, known):
        own = (jax.random.key(0)[None], index, clip[2][None, : plan.length], known)
        return rendering.segment(model, settings, variables, portrait, *own)[0].frames

    zeros, ones = jnp.zeros((1, plan.known, *model.latent_shape)), jnp.ones((1, plan.known, *model.latent_shape))
    np.testing.assert_array_equal(segment(0, zeros), segment(0, ones))
    assert not np.array_equal(segment(1, zeros), segment(1, ones))


@pytest.mark.parametrize("offline", [False, True])
def test_rendering_stops_at_the_first_frame_that_is_not_finite(task, variables, clip, offline):
    """Which as bytes would be black."""
    image, reference, motion = clip
    streamed = task.model.render_settings
    settings, new = WHOLE(task) if offline else streamed, streamed.plan(task.model.window).new
    motion = np.array(motion[:9])
    motion[new + 1] = np.nan
    frames, pieces = render(task.model, variables, jax.random.key(7), image, reference, [motion], settings), []
    with pytest.raises(UserError, match=r"the picture of frame \d+ is not finite: lower the guidance"):
        for piece in frames:
            pieces.append(piece)
    assert sum(map(len, pieces)) == (0 if offline else new)


@pytest.fixture(scope="module")
def predicted(task, variables, clip, portrait):
    """Prediction on two windows under settings, of motion or, where there is none, of the reference's own."""
    _, reference, motion = (jnp.asarray(x)[None] for x in clip)
    x, t = jax.random.normal(jax.random.key(2), (1, 2, 4, *task.model.latent_shape)), jnp.float32(0.6)
    moving = motion[:, :8].reshape(1, 2, 4, 6)
    run = jax.jit(lambda settings, motion: predictor(task.model, variables, portrait, settings)(x, t, FrameConditions(motion)))
    return lambda settings, still=False: run(settings, jnp.broadcast_to(reference, moving.shape) if still else moving)


def test_guidance_leads_away_from_the_reference_s_own_motion(task, predicted):
    plain = replace(task.model.render_settings, guidance_scale=1.0)
    positive, negative = predicted(plain), predicted(plain, still=True)
    assert not np.allclose(positive, negative, atol=1e-2)
    guided = predicted(replace(plain, guidance_scale=2.5))
    np.testing.assert_allclose(guided, negative + 2.5 * (positive - negative), atol=1e-4)


def test_other_numbers_compile_nothing_again_and_are_used(task, variables, clip):
    base = replace(task.model.render_settings, guidance_scale=2.0)
    programs = lambda: (rendering.segment._cache_size(), rendering.whole._cache_size())
    numbers = {"guidance_scale": 3.0}, {"first_time": 0.7}
    for settings, changes in (
        (replace(base, offline=True), numbers),
        (replace(base, first_time=0.9, blur_size=3, blur_sigma=1.0), (*numbers, {"blur_sigma": 9.0})),
    ):
        first, before = stream(task, variables, clip, 9, 9, settings), programs()
        for change in changes:
            assert not np.array_equal(stream(task, variables, clip, 9, 9, replace(settings, **change)), first), change
        assert programs() == before


def test_negative_branch_can_go_without_the_reference(task, predicted):
    settings = replace(task.model.render_settings, guidance_scale=2.0)
    without = predicted(replace(settings, guidance_keeps_reference=False))
    assert not np.allclose(predicted(settings), without, atol=1e-2)


def test_an_embedding_of_the_reference_goes_into_the_pictures(task, variables, clip):
    image, reference, motion = clip
    drawn = lambda **shown: next(render(task.model, variables, jax.random.key(7), image, reference, [motion[:3]], **shown))
    without, embedding = drawn(), np.linspace(-2, 2, 5, dtype=np.float32)
    assert not np.array_equal(drawn(embedding=embedding), without)
    np.testing.assert_array_equal(drawn(embedding=0 * embedding), without)


def test_residual_of_the_reference_itself_is_nothing(task, variables):
    z_ref = jax.random.normal(jax.random.key(0), (2, *task.model.latent_shape))
    z = jnp.broadcast_to(z_ref[:, None], (2, 4, *z_ref.shape[1:]))
    x = task.model.to_diffused(variables, z, z_ref[:, None])
    assert np.abs(x).max() == 0.0
    np.testing.assert_allclose(task.model.from_diffused(variables, x, z_ref[:, None]), z, atol=1e-6)
    moved = z + 1.0
    x = task.model.to_diffused(variables, moved, z_ref[:, None])
    np.testing.assert_allclose(x, 2.0, atol=1e-5)  # residual_std is 0.5
    np.testing.assert_allclose(task.model.from_diffused(variables, x, z_ref[:, None]), moved, atol=1e-5)


def test_without_residual_latents_are_diffused_as_they_are(task, variables):
    model = replace(task.model, predict_residual=False)
    z = jax.random.normal(jax.random.key(0), (2, 4, *model.latent_shape))
    np.testing.assert_array_equal(model.to_diffused(variables, z, z[:, :1]), z)
    np.testing.assert_array_equal(model.from_diffused(variables, z, z[:, :1]), z)


@pytest.mark.parametrize("residual", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_denoising_from_a_low_level_starts_from_the_reference(task, variables, clip, residual):
    """At a level near 0 there is nothing left to denoise: what comes out is the reference as the autoencoder has it."""
    own = replace(task, model=replace(task.model, predict_residual=residual))
    frames = stream(own, variables, clip, 3, 3, replace(own.model.render_settings, first_time=1e-4))
    frozen, autoencoder = variables.buffers["autoencoder"], task.model.autoencoder
    rebuilt = jax.jit(lambda x: autoencoder.decode(frozen, autoencoder.encode(frozen, x)))(jnp.asarray(clip[0])[None])
    np.testing.assert_allclose(frames.astype(int), np.broadcast_to((rebuilt + 1) * 127.5, frames.shape), atol=2)


def test_whole_clips_are_the_same_however_motion_comes_and_devices_share(task, variables, clip, portrait):
    """Streamed in pieces of motion, and latents by eight devices and by one."""
    frames = stream(task, variables, clip, 9, 9, WHOLE(task))
    assert frames.shape == (9, 16, 16, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(stream(task, variables, clip, 9, 4, WHOLE(task)), frames)
    arguments = (variables, portrait, jax.random.key(7)[None], clip[2][None, :9])
    shared, single = (rendering.whole(task.model, WHOLE(task), d, *arguments) for d in (tuple(jax.local_devices()), ()))
    np.testing.assert_allclose(shared, single, atol=1e-4)
    assert len(shared.sharding.device_set) == 8 and len(single.sharding.device_set) == 1


@pytest.mark.slow  # quick: the one above, and test_a_sample_does_not_depend_on_its_batch
def test_whole_clips_are_the_same_as_one_of_a_batch_on_one_device(task, variables, clip):
    settings = WHOLE(task)
    frames = stream(task, variables, clip, 9, 9, settings)
    image, reference, motion = (jnp.asarray(x)[None] for x in clip)
    arguments = (variables, jax.random.key(7)[None], image, reference, motion[:, :9])
    batch = np.asarray(jax.jit(lambda *a: draw_batch(task.model, *a, settings).frames)(*arguments), int)
    assert np.abs(batch[0] - frames).max() <= 1


def test_in_whole_clips_the_first_frame_depends_on_the_last(task, variables, clip):
    image, reference, motion = clip
    settings = WHOLE(task)
    changed = np.concatenate([motion[:8], motion[8:9] + 30.0])
    before, after = (stream(task, variables, (image, reference, m), 9, 9, settings) for m in (motion, changed))
    assert not np.array_equal(before[0], after[0])


def test_no_motion_gives_no_whole_clip(task, variables, clip):
    image, reference, _ = clip
    settings = replace(task.model.render_settings, offline=True)
    none = [np.zeros((0, 6), np.float32)]
    assert not list(render(task.model, variables, jax.random.key(0), image, reference, none, settings))


def test_denoising_may_start_from_the_blurred_reference(task, variables, portrait):
    """In the coordinates that are diffused; without a blur the reference itself, which is zero there."""
    model = task.model
    base = jax.jit(partial(preparation.base_of, model))(variables, portrait, jnp.zeros((1, 3, 6))).latent
    plain = denoising.start_of(model, model.render_settings, variables, base)
    assert not plain.any()
    settings = replace(model.render_settings, blur_size=3, blur_sigma=1e6)
    z = np.pad(np.asarray(portrait.latent[0], np.float64), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    rows, columns, _ = portrait.latent.shape[1:]
    mean = sum(z[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9
    expected = (mean - np.asarray(portrait.latent[0])) / np.asarray(variables.buffers["residual_std"])
    np.testing.assert_allclose(denoising.start_of(model, settings, variables, base)[0, 0], expected, atol=1e-4)
