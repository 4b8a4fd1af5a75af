"""What a batch of the renderer has, and that precomputed values give the loss of the pictures they were computed from."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.layers.test_convolution import randomise
from tests.video import tiny
from xactor_jax.errors import UserError
from xactor_jax.pictures import to_float
from xactor_jax.variables import Variables, applied
from xactor_jax.video.encoders import embedding_encoder, latent_encoder
from xactor_jax.video.entries import batch_entries
from xactor_jax.video.examples import embedding_of, latents_of, pictures_of
from xactor_jax.video.frozen import frozen_hash
from xactor_jax.video.task import VideoTask

LATENTS = {"frame_latents", "reference_latent"}
ALL = {*LATENTS, "reference_embedding"}


def with_clip(config: ConfigDict) -> ConfigDict:
    """Adds a small encoder of reference pictures."""
    config.clip.update(depth=1, image_size=8, patch=4, width=8, heads=2, mlp_width=8, projection=5)
    return config


@pytest.mark.parametrize(
    ("precomputed", "changes", "wanted"),
    [
        ("auto", {}, {"frames", "reference"}),
        ("none", {"phase": "temporal"}, {"frames", "reference"}),
        ("none", {"train_motion": True}, {"frames", "reference"}),
        ("latents", {"phase": "all"}, LATENTS),
        ("all", {"phase": "spatial"}, LATENTS),
        ("all", {"phase": "spatial", "clip.depth": 1}, ALL),
        ("latents", {"phase": "temporal", "clip.depth": 1}, {*LATENTS, "reference"}),
        ("all", {"network.draft": True, "clip.depth": 1}, {*ALL, "reference"}),
        ("latents", {"train_motion": True}, {*LATENTS, "frames", "reference"}),
        ("all", {"phase": "finish", "clip.depth": 1}, {"frames", "reference", "reference_latent", "reference_embedding"}),
    ],
)
def test_what_a_phase_reads(precomputed, changes, wanted):
    config = tiny.video_config()
    config.update_from_flattened_dict({"data.precomputed": precomputed, **changes})
    entries = batch_entries(config)
    assert {name for name, has in entries._asdict().items() if has} == wanted
    assert entries.pixels == bool(wanted & {"frames", "reference"})


@functools.cache
def frozen_networks():
    """A task, and random variables of its frozen networks."""
    task = VideoTask.from_config(with_clip(tiny.video_config()))
    variables = tiny.random_variables(task)
    clip = randomise(jax.eval_shape(task.model.clip.init, jax.random.key(0)), jax.random.key(5), 0.3)
    return task, variables._replace(buffers={**variables.buffers, "clip": clip})


def encoders(batch_size: int):
    task, variables = frozen_networks()
    m, b = task.model, variables.buffers
    return latent_encoder(m.autoencoder, b["autoencoder"], batch_size), embedding_encoder(m.clip, b["clip"], batch_size)


def random_frames(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def test_encoded_frames_are_standardised_means_whatever_the_batch():
    """Equation 1 of autoencoder.py with the statistics of tiny.random_variables: mean 0.1, standard deviation 2."""
    (task, variables), frames = frozen_networks(), random_frames(5)
    weights, pictures = variables.buffers["autoencoder"]["params"], jnp.asarray(to_float(frames))
    encoded = jax.jit(functools.partial(applied, task.model.autoencoder.module, method="encode"))
    mean, _ = encoded(weights, pictures)
    embedded = jax.jit(task.model.clip.embed)(variables.buffers["clip"], pictures)
    for size in (2, 5):
        latents, embeddings = (encode(frames) for encode in encoders(size))
        assert latents.dtype == embeddings.dtype == jnp.bfloat16
        np.testing.assert_allclose(latents.astype(np.float32), (np.asarray(mean) - 0.1) / 2.0, rtol=2**-8, atol=1e-4)
        np.testing.assert_allclose(embeddings.astype(np.float32), embedded, rtol=2**-8, atol=1e-4)


def test_frames_that_do_not_divide_into_cells_are_refused():
    with pytest.raises(UserError, match=r"18 pixels a side do not divide into .* cells of 4: .* 16 or 20 pixels"):
        encoders(2)[0](np.zeros((1, 18, 18, 3), np.uint8))


def test_the_hash_is_of_what_encodes():
    _, variables = frozen_networks()
    tree = jax.device_get(variables.buffers["autoencoder"])
    changed = lambda part, tree: {**tree, part: jax.tree.map(lambda x: x + 1, tree[part])}
    own = frozen_hash("autoencoder", tree)
    assert own == frozen_hash("autoencoder", {**tree, "params": changed("decoder", tree["params"])})
    others = {**tree, "params": changed("encoder", tree["params"])}, changed("buffers", tree)
    assert len({own, *(frozen_hash("autoencoder", other) for other in others)}) == 3
    clip = jax.device_get(variables.buffers["clip"])
    assert frozen_hash("clip", clip) != frozen_hash("clip", changed("projection", clip))


def batches(task: VideoTask, reads: tuple[str, ...]) -> tuple[dict, dict]:
    """One batch with pictures, and the same with precomputed values and only those pictures in `reads`."""
    pixels, frames = tiny.random_batch(task, 2), random_frames(10)
    latents, embeddings = (encode(frames) for encode in encoders(4))
    pixels |= {"frames": to_float(frames[:8]).reshape(2, 4, 16, 16, 3), "reference": to_float(frames[8:])}
    stored = {"frame_latents": latents[:8].reshape(2, 4, *latents.shape[1:]), "reference_latent": latents[8:]}
    stored |= {"reference_embedding": embeddings[8:]}
    kept = {name: x for name, x in pixels.items() if name not in ("frames", "reference") or name in reads}
    return jax.tree.map(jnp.asarray, (pixels, kept | stored))


def set_up(phase: str, draft: bool = False):
    """A loss as a function of parameters and batch, its parameters, and two batches that should give the same."""
    config = with_clip(tiny.draft_config() if draft else tiny.video_config())
    config.phase = phase
    config.finish.update(widths=(4, 8), part_side=8)
    task = VideoTask.from_config(config)
    own, frozen = tiny.random_variables(task), frozen_networks()[1].buffers
    buffers = {**own.buffers, **{name: frozen[name] for name in ("autoencoder", "clip")}}
    loss = lambda params, batch: task.loss(Variables(params, buffers), batch, jax.random.key(0), True).loss
    return loss, own.params, *batches(task, {"finish": ("frames", "reference")}.get(phase, ("reference",) * draft))


def test_values_of_a_batch_replace_those_of_its_pictures():
    """Within the precision of bfloat16, and the loss then needs no picture."""
    (task, variables), (pixels, stored) = frozen_networks(), batches(frozen_networks()[0], ())
    for of in (latents_of, embedding_of):
        near = lambda expected, found: np.testing.assert_allclose(found, expected, rtol=2**-8, atol=1e-4)
        found = jax.jit(functools.partial(of, task.model))
        jax.tree.map(near, *(found(variables, batch) for batch in (pixels, stored)))
    out = jax.eval_shape(lambda v, batch: task.loss(v, batch, jax.random.key(0), True), variables, stored)
    assert out.loss.shape == ()


@pytest.mark.slow  # quick: test_values_of_a_batch_replace_those_of_its_pictures
@pytest.mark.parametrize(("phase", "draft"), [("spatial", False), ("temporal", False), ("all", True), ("finish", True)])
def test_gradients_are_those_of_the_pictures(phase, draft):
    loss, params, pixels, stored = set_up(phase, draft)
    value = jax.jit(jax.value_and_grad(loss))
    (expected, gradient), (found, found_gradient) = value(params, pixels), value(params, stored)
    assert float(found) == pytest.approx(float(expected), rel=1e-2)
    flat = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    gradient, found_gradient = flat(gradient), flat(found_gradient)
    assert np.linalg.norm(gradient) > 0
    assert np.linalg.norm(gradient - found_gradient) < 0.03 * np.linalg.norm(gradient)


def test_pictures_that_a_batch_lacks_are_decoded_for_the_preview():
    """Equation 2 of autoencoder.py, for the frames and the reference."""
    config = with_clip(tiny.video_config())
    config.data.precomputed = "all"
    task, variables = VideoTask.from_config(config), frozen_networks()[1]
    _, stored = batches(task, ())
    assert {name: x.shape for name, x in stored.items()} == {name: x.shape for name, x in task.example_batch(2).items()}
    shown = jax.jit(functools.partial(pictures_of, task.model))(variables, stored)
    raw = stored["reference_latent"].astype(jnp.float32) * 2.0 + 0.1
    decode = jax.jit(functools.partial(applied, task.model.autoencoder.module, method="decode"))
    decoded = decode(variables.buffers["autoencoder"]["params"], raw)
    np.testing.assert_allclose(shown[1], np.clip(decoded, -1, 1), atol=1e-5)
    assert shown[0].shape == (2, 4, 16, 16, 3)
    (grid,) = jax.eval_shape(task.preview, variables, stored, jax.random.key(0)).values()
    assert grid.shape == (4 * 16, 3 * 16, 3)
