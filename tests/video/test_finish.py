"""The phase on pictures: it compares what is sampled, and trains only the denoiser and its discriminators."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.video import tiny
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.layers.critics import PARTS, WHOLE
from xactor_jax.video.finish import Finish, roll_out
from xactor_jax.video.prediction import predictor
from xactor_jax.video.preparation import base_of, frame_conditions, prepare
from xactor_jax.video.sampler import denoise_segment
from xactor_jax.video.task import VideoTask
from xactor_jax.video.windows import SegmentPlan

TERMS = ("pixel", "gradient", "adversarial", "feature_matching", "part_adversarial", WHOLE, PARTS)


@pytest.fixture(scope="module")
def task():
    c = tiny.draft_config()
    c.phase = "finish"
    c.finish.update(widths=(4, 8), part_side=8)
    return VideoTask.from_config(c)


@pytest.fixture(scope="module")
def variables(task):
    return tiny.random_variables(task)


def test_settings_of_detail_reach_the_discriminators_and_the_loss():
    c = tiny.draft_config()
    c.phase = "finish"
    c.finish.update(input_detail=6.0, detail=3.0)
    finish = Finish.from_config(c)
    assert finish.critics.network.detail == 6.0 and finish.weights.detail == 3.0


def test_a_roll_out_is_what_the_sampler_does_to_one_window(task):
    process, rng = task.model.process, np.random.default_rng(0)
    start, noise = (jnp.asarray(rng.normal(size=(2, 4, 2, 2, 3)), jnp.float32) for _ in range(2))
    plan, times = SegmentPlan(window=4, overlap=2, windows=1, known=0), jnp.array([0.9, 0.6, 0.2, 0.0])
    answer = lambda x, t: jnp.tanh(x) * (0.5 + t.reshape(-1, *(1,) * (x.ndim - 1)))

    @jax.jit
    def both(start, noise):
        conditions = (jnp.zeros((2, 4, 1)), noise[:, :0], False)
        sampled = denoise_segment(process, lambda x, t, _: answer(x, t[None]), plan, times, noise, start, *conditions)
        return sampled, roll_out(process, answer, start, noise, times)

    sampled, found = both(start, noise)
    np.testing.assert_allclose(found, sampled, rtol=1e-4, atol=1e-5)


def test_a_gradient_flows_only_through_the_last_step(task):
    """Each step's answer is scaled by a number of its own, by its noise level."""
    levels, noise = jnp.array([0.9, 0.6, 0.2, 0.0]), jnp.ones((1, 1, 1, 1, 1))

    def last(scales):
        answer = lambda x, t: x * scales[jnp.argmin(jnp.abs(levels - t[0]))]
        return roll_out(task.model.process, answer, 0.5 * noise, noise, levels).sum()

    gradient = np.asarray(jax.jit(jax.grad(last))(jnp.array([0.3, 0.4, 0.5, 0.0])))
    assert not gradient[:2].any() and abs(float(gradient[2])) > 1e-2


def test_the_denoiser_and_the_discriminators_learn(task, variables):
    """The loss is the weighted sum of its terms, and the discriminators have a learning rate of their own."""
    batch, key = tiny.random_batch(task, 2), jax.random.key(3)

    def loss(params):
        out = task.loss(variables._replace(params=params), batch, key, True)
        return out.loss, out.metrics

    gradients, metrics = jax.jit(jax.grad(loss, has_aux=True))(variables.params)
    size = lambda tree: max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(tree))
    assert all(size(gradients[name]) > 0 for name in ("trunk", "motion_tokens", WHOLE, PARTS))
    labels = task.param_labels(variables.params)
    assert all(set(jax.tree.leaves(labels[name])) == {"discriminator"} for name in (WHOLE, PARTS))
    assert set(jax.tree.leaves(labels["trunk"])) == {"default"}
    weights = {name: getattr(task.finish.weights, name, 1.0) for name in TERMS}
    assert float(metrics["loss"]) == pytest.approx(sum(w * float(metrics[name]) for name, w in weights.items()), rel=1e-5)


@pytest.mark.slow  # quick: test_a_roll_out_is_what_the_sampler_does_to_one_window, and the loss of its terms
def test_pictures_are_compared_as_they_are_rendered(task, variables):
    """With motion that nothing disturbs, the noise of the loss's own key: the error reported is that of these pictures."""
    batch, key, m = tiny.random_batch(task, 2), jax.random.key(3), task.model
    batch["frames_apart"] = jnp.zeros(2, bool)
    metrics = jax.jit(lambda v: task.loss(v, batch, key, False).metrics)(variables)

    @jax.jit
    def pictures(v):
        portrait = prepare(m, v, batch["reference"], batch["reference_motion"])
        base = base_of(m, v, portrait, batch["motion_latents"])
        noise = jax.random.normal(jax.random.split(key, 3)[1], (2, 4, *m.latent_shape))
        conditions = jax.tree.map(lambda a: a[:, None], frame_conditions(m, batch["motion_latents"], base))
        predict = predictor(m, v, portrait, m.render_settings)
        x = noise
        for t, s in ((1.0, 0.5), (0.5, 0.0)):
            x = ddim_step(m.process, x, predict(x[:, None], jnp.float32(t), conditions)[:, 0], jnp.float32(t), jnp.float32(s))
        return m.pictures(v, m.from_diffused(v, x, base.latent), base)

    error = np.asarray(pictures(variables) - batch["frames"], np.float64)
    assert float(metrics["psnr"]) == pytest.approx(10 * np.log10(4 / (error**2).mean()), abs=1e-3)
