from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.stages import make_task
from tests.tiny import drawn, tiny_config, write_checkpoint
from tests.video import tiny
from xactor_jax.errors import UserError
from xactor_jax.variables import Variables
from xactor_jax.video import rendering
from xactor_jax.video.conditions import FrameConditions, without_motion
from xactor_jax.video.draft import Draft
from xactor_jax.video.prediction import predictor
from xactor_jax.video.preparation import prepare
from xactor_jax.video.task import VideoTask


@pytest.fixture(scope="module")
def task():
    return VideoTask.from_config(tiny.draft_config())


@pytest.fixture(scope="module")
def variables(task):
    return tiny.random_variables(task)


@pytest.fixture(scope="module")
def clip(task):
    """Reference picture, its motion, and 9 frames of motion; one of each."""
    rng = np.random.default_rng(5)
    image, reference, motion = (rng.uniform(-1, 1, shape) for shape in ((1, 16, 16, 3), (1, 6), (1, 9, 6)))
    return tuple(jnp.asarray(x, jnp.float32) for x in (image, reference, motion))


@pytest.fixture(scope="module")
def drafts(task, variables, clip):
    """Each frame's draft by itself, by what stage 1 offers: the reference as small as stage 1 sees it, drawn, and enlarged."""
    motion_model, frozen = task.model.draft.motion, variables.buffers["draft"]

    @jax.jit
    def draw(m):
        seen = jax.image.resize(clip[0], (1, 8, 8, 3), "linear")
        return jax.image.resize(motion_model.decode(Variables(**frozen), seen, m[None], clip[1]), (1, 16, 16, 3), "linear")

    return np.concatenate([draw(m) for m in np.asarray(clip[2][0])])


@pytest.fixture(scope="module")
def portrait(task, variables, clip):
    return jax.jit(partial(prepare, task.model))(variables, *clip[:2])


def stream(task, variables, clip, **changed):
    settings = replace(task.model.render_settings, **changed)
    image, reference, motion = clip
    pieces = [np.asarray(motion[0, part]) for part in (slice(2), slice(2, 7), slice(7, 9))]
    frames = rendering.render(task.model, variables, jax.random.key(7), image[0], reference[0], pieces, settings)
    return np.concatenate(list(frames)).astype(int)


slow = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("offline", "keep"), [(False, True), slow(False, False), slow(True, True)])
def test_denoising_from_a_low_level_gives_the_drafts(task, variables, clip, drafts, offline, keep):
    """At a level near 0 nothing is left to denoise: out come the drafts, as they are or as the autoencoder has them."""
    task = replace(task, model=replace(task.model, keep_draft=keep))
    frames = stream(task, variables, clip, first_time=1e-4, offline=offline)
    frozen, model = variables.buffers["autoencoder"], task.model.autoencoder
    expected = drafts if keep else jax.jit(lambda x: model.decode(frozen, model.encode(frozen, x)))(drafts)
    np.testing.assert_allclose(frames, (np.clip(expected, -1, 1) + 1) * 127.5, atol=2)
    assert np.abs(np.diff(frames, axis=0)).max() > 10


@pytest.mark.parametrize("offline", [False, True])
def test_without_steps_the_drafts_are_shown(task, variables, clip, drafts, offline):
    """Offline too, and in batches: nothing depends on other frames."""
    frames = stream(task, variables, clip, steps=0, offline=offline)
    np.testing.assert_allclose(frames, (np.clip(drafts, -1, 1) + 1) * 127.5, atol=1)
    settings, keys = replace(task.model.render_settings, steps=0, offline=offline), jax.random.key(7)[None]
    batch = jax.jit(lambda v, *rest: rendering.draw_batch(task.model, v, keys, *rest, settings))(variables, *clip)
    assert np.abs(frames - np.asarray(batch.frames[0], int)).max() <= 1 and batch.finite.all()


def test_no_steps_need_drafts_and_train_nothing(task):
    settings = replace(task.model.render_settings, steps=0)
    settings.check(4, 1000, drafts=True)
    with pytest.raises(UserError, match="0 denoising steps show the drafts, which this renderer does not have"):
        settings.check(4, 1000, drafts=False)
    drawing = replace(task, model=replace(task.model, render_settings=settings))  # trains on all levels
    with pytest.raises(UserError, match=r"render\.steps=0 has no noise level to train on"):
        replace(drawing, settings=replace(task.settings, sampled_levels=True))


@pytest.mark.slow  # quick: test_a_sample_does_not_depend_on_its_batch, of a renderer with drafts
@pytest.mark.parametrize("offline", [False, True])
def test_streams_and_batches_are_one(task, variables, clip, offline):
    settings, keys = replace(task.model.render_settings, offline=offline), jax.random.key(7)[None]
    batch = jax.jit(lambda v, *rest: rendering.draw_batch(task.model, v, keys, *rest, settings).frames)(variables, *clip)[0]
    assert np.abs(stream(task, variables, clip, offline=offline) - np.asarray(batch, int)).max() <= 1


def test_the_denoiser_sees_each_frame_s_draft(task, variables, clip, portrait):
    """Another draft of one frame changes the prediction, also where frames do not see each other."""
    motion = clip[2]
    x, t = jax.random.normal(jax.random.key(2), (1, 1, 4, *task.model.latent_shape)), jnp.float32(0.6)

    @jax.jit
    def run(variables, draft):
        return predictor(task.model, variables, portrait, task.model.render_settings)(
            x, t, FrameConditions(motion[:, None, :4], draft)
        )

    before, after = (run(variables, draft) for draft in (x, x.at[:, :, 2].add(1.0)))
    assert np.abs(after - before)[0, 0, 2].max() > 1e-2


def test_nothing_moves_in_the_negative_branch(task, clip, portrait):
    _, reference, motion = clip
    latents = jnp.zeros((2, 4, *task.model.latent_shape))
    found = without_motion(portrait, FrameConditions(motion[:, :8].reshape(2, 4, 6), latents))
    np.testing.assert_array_equal(found.motion, np.broadcast_to(reference, (2, 4, 6)))
    np.testing.assert_array_equal(found.draft, np.broadcast_to(portrait.latent, latents.shape))


def test_what_is_left_to_the_truth_is_diffused(task, variables):
    """Without anything that training adds: the statistics are those of the frames' latents less the drafts'."""
    batch = tiny.random_batch(task, 2)
    quiet = replace(task, noise=replace(task.noise, bias=0.0, drift=0.0, jitter=0.0), settings=replace(task.settings))
    fresh = variables._replace(buffers={**variables.buffers, "residual_count": jnp.zeros((), jnp.int32)})
    std = jax.jit(lambda v: quiet.loss(v, batch, jax.random.key(4), True).buffers["residual_std"])(fresh)
    frozen = variables.buffers["autoencoder"]
    encode = jax.jit(lambda x: task.model.autoencoder.encode(frozen, x))
    own = (variables.buffers["draft"], batch["reference"], batch["reference_motion"])
    one = jax.jit(lambda m: task.model.draft.draw(*own, m))
    pictures = jnp.concatenate([one(batch["motion_latents"][:, [i]]) for i in range(task.model.window)], axis=1)
    residual = np.asarray(encode(batch["frames"])) - encode(pictures)
    np.testing.assert_allclose(std, np.sqrt((residual**2).mean((0, 1, 2, 3))), rtol=1e-3)


def test_drafts_come_from_the_motion_checkpoint(tmp_path):
    config = tiny_config("motion")
    variables = drawn(make_task(config))
    whole = write_checkpoint(tmp_path / "whole", config, variables)
    draft = Draft(make_task(config).model)
    found = draft.load(str(whole))
    jax.tree.map(
        np.testing.assert_array_equal, found["params"]["generator"]["decoder"], variables.params["generator"]["decoder"]
    )
    wanted = jax.eval_shape(draft.init, jax.random.key(0))
    assert jax.tree.structure(wanted) == jax.tree.structure(found)
    variables.params["generator"].pop("decoder")
    no_decoder = write_checkpoint(tmp_path / "no_decoder", config, variables)
    with pytest.raises(UserError, match=r"has no decoder, so it draws no drafts: add --config\.network\.draft=False"):
        draft.load(str(no_decoder))
