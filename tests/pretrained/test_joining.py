"""Released files become a renderer that the programs take as it is."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import runpy
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.audio.released import write_released
from tests.media.builders import write_media
from tests.pretrained import released_renderer, test_clip
from tests.pretrained.released_renderer import LATENT_DIM, SIDE, drawn
from tests.sampling.conftest import make_image
from tests.tiny import tiny_checkpoints
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.media.crop import crop_square
from xactor_jax.media.image_io import read_image
from xactor_jax.media.video_io import read_frames
from xactor_jax.motion.model import MotionModel
from xactor_jax.pretrained import xnemo_video
from xactor_jax.pretrained.importing import import_weights
from xactor_jax.pretrained.joining import import_renderer, standardised
from xactor_jax.sampling import reenactment
from xactor_jax.sampling.load import load_models
from xactor_jax.sampling.portrait import middle_square
from xactor_jax.video import denoising, rendering
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel
from xactor_jax.video.denoiser import Denoiser, DenoiserSettings
from xactor_jax.video.preparation import prepare
from xactor_jax.video.sampler import blur, frame_noise

FRAMES, STEPS, SCALE = 4, 3, 2.5


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return released_renderer.release(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def imported(released, tmp_path_factory):
    return released_renderer.import_all(released, tmp_path_factory.mktemp("imported"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A portrait, and a video of four frames that is as large as the motion encoder sees it."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 4, 4, 3), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    return {"image": make_image(folder / "p.png"), "driving": write_media(folder / "d.mp4", frames)}


@pytest.fixture
def render(repository, inputs, tmp_path, monkeypatch):
    """Runs launch/render.py here; returns the frames that it writes, before they are compressed."""

    def run(checkpoints: dict[str, pathlib.Path], *more: str) -> np.ndarray:
        kept = []
        write = reenactment.write_video
        keep = lambda out, frames, *rest: write(out, (kept.append(f) or f for f in frames), *rest)
        monkeypatch.setattr(reenactment, "write_video", keep)
        files = {**inputs, **checkpoints, "out": tmp_path / "v.mp4"}
        options = [f"--{name}={value}" for name, value in files.items()]
        options += ["--crop=none", "--no-relative", f"--steps={STEPS}", "--seed=3", *more]
        monkeypatch.setattr(sys, "argv", ["render.py", *options])
        runpy.run_path(str(repository / "launch" / "render.py"), run_name="__main__")
        return np.concatenate(kept)

    return run


def by_hand(released, inputs, folder: pathlib.Path) -> np.ndarray:
    """X-NeMo's sampler on one window, each network called with weights that were imported apart from the others."""
    for what, file in (("clip", released.clip), ("svd_vae", released.autoencoder)):
        import_weights(what, file, folder / what)
    import_renderer(released.renderer, folder / "bare", released.video_config)
    import_weights("xnemo_motion", released.motion, folder / "motion", released.motion_config)
    picture = lambda x, side: crop_square(x, middle_square(x.shape), side).astype(np.float32) / 127.5 - 1
    portrait = read_image(inputs["image"])
    faces = [picture(portrait, 64), *(picture(frame, 64) for _, frame in read_frames(inputs["driving"]))]
    reference = jnp.asarray(picture(portrait, SIDE))[None]

    config, variables = load_variables(folder / "motion", "motion")
    latents = jax.jit(MotionModel.from_config(config).posterior)(variables.params, jnp.asarray(np.stack(faces))).mean
    still, motion = jnp.broadcast_to(latents[:1], (1, FRAMES, LATENT_DIM)), latents[None, 1:]
    config, clip = load_variables(folder / "clip", "clip")
    shown = jax.jit(ClipModel.from_network(config.network).embed)(clip.params, reference)
    config, vae = load_variables(folder / "svd_vae", "autoencoder")
    autoencoder = AutoencoderModel.from_network(config.network)
    frozen = {"params": vae.params["autoencoder"], "buffers": vae.buffers}
    z_ref = jax.jit(autoencoder.encode)(frozen, reference)

    config, variables = load_variables(folder / "bare", "video")
    denoiser, weights = Denoiser(DenoiserSettings.from_config(config.network, 4)), {"params": variables.params}
    bank = jax.jit(lambda w: denoiser.apply(w, z_ref, shown, method="appearance"))(weights)

    @jax.jit
    def predicted(x, t, motion, sees_reference):
        return denoiser.apply(weights, x, t, motion, z_ref, bank, jnp.full(1, sees_reference), None, shown)

    def guided(x, t):
        positive, negative = predicted(x, t, motion, True), predicted(x, t, still, False)
        return negative + SCALE * (positive - negative)

    kept = np.cumprod(1 - np.linspace(0.00085**0.5, 0.02**0.5, 1000) ** 2)
    draw_from = jax.random.fold_in(jax.random.key(3), 1)
    noise = frame_noise(draw_from, 2, FRAMES, z_ref.shape[1:])[None]
    steps = 1 + 333 * np.arange(STEPS)[::-1]
    x = np.sqrt(kept[steps[0]]) * blur(z_ref, 9, 18.0)[:, None] + np.sqrt(1 - kept[steps[0]]) * noise
    for now, following in zip(steps, [*kept[steps[1:]], 1.0], strict=True):
        eps = guided(x, jnp.full(1, (now + 1) / 1000))
        x0 = (x - np.sqrt(1 - kept[now]) * eps) / np.sqrt(kept[now])
        x = np.sqrt(following) * x0 + np.sqrt(1 - following) * eps
    return np.asarray((jax.jit(autoencoder.decode)(frozen, x)[0] + 1) * 127.5)


@pytest.mark.slow  # quick: weights are those of the parts, below; the embedding shows; sampler and guidance in tests/video
def test_what_is_rendered_is_what_the_networks_give_by_hand(released, imported, inputs, render, tmp_path, caplog):
    frames = render(imported)
    assert frames.shape == (FRAMES, SIDE, SIDE, 3) and frames.std() > 10 and "another motion stage" not in caplog.text
    np.testing.assert_allclose(frames, by_hand(released, inputs, tmp_path), atol=1.0)
    assert len(list(read_frames(tmp_path / "v.mp4"))) == FRAMES
    said = json.loads((tmp_path / "v.json").read_text())
    assert said["checkpoints"]["video"]["hash"] == checkpoint_hash(imported["video"])


def test_another_motion_stage_than_its_own_is_warned_of(imported, tmp_path, caplog):
    load_models({**imported, **tiny_checkpoints(tmp_path, ("motion",))})
    assert "video was trained on another motion stage" in caplog.text


def test_the_embedding_is_computed_where_only_a_portrait_is_prepared(imported, monkeypatch):
    """And not again in a segment or in a whole clip, by what is traced of each."""
    traced, embed = [], ClipModel.embed
    monkeypatch.setattr(ClipModel, "embed", lambda *arguments: traced.append(None) or embed(*arguments))
    _, variables, *_ = stage = load_models(imported).video
    model, settings, key = stage.model, stage.model.render_settings, jax.random.key(0)[None]
    image, motion = np.zeros((1, SIDE, SIDE, 3), np.float32), np.zeros((1, 6, LATENT_DIM), np.float32)
    portrait = jax.eval_shape(partial(prepare, model), variables, image, motion[:, 0])
    assert len(traced) == 1
    whole = partial(denoising.whole, model, settings, ())
    z = jax.eval_shape(whole, variables, portrait, key, motion)
    assert z.shape == (1, 6, *model.latent_shape) and len(traced) == 1


@pytest.mark.slow  # quick: the one above
def test_the_embedding_is_computed_once_for_a_portrait(imported, monkeypatch):
    """Of two segments, each of them of several steps."""
    seen, embed = [], ClipModel.embed

    def counting(self, params, images):
        jax.debug.callback(lambda x: seen.append(x.shape), images)
        return embed(self, params, images)

    monkeypatch.setattr(ClipModel, "embed", counting)
    video = load_models(imported).video
    settings = dataclasses.replace(video.model.render_settings, offline=False, windows_per_segment=1)
    model = dataclasses.replace(video.model, window=5)  # no other test's, whose compiled program would be used
    image, motion = np.zeros((SIDE, SIDE, 3), np.float32), np.ones((6, LATENT_DIM), np.float32)
    frames = list(rendering.render(model, video.variables, jax.random.key(0), image, motion[0], [motion], settings))
    jax.effects_barrier()
    assert [len(piece) for piece in frames] == [3, 3] and seen == [(1, SIDE, SIDE, 3)]


@pytest.mark.slow  # quick: test_an_embedding_of_the_reference_goes_into_the_pictures, and where it is computed, above
def test_the_embedding_shows_in_the_frames(imported):
    video = load_models(imported).video
    image, motion = np.zeros((SIDE, SIDE, 3), np.float32), np.ones((4, LATENT_DIM), np.float32)
    run = lambda *embedding: rendering.render(
        video.model, video.variables, jax.random.key(0), image, motion[0], [motion], None, *embedding
    )
    shown, without_embedding = (np.concatenate(list(run(*given))) for given in ((), (np.zeros(5, np.float32),)))
    assert np.abs(shown.astype(int) - without_embedding).max() > 3


@pytest.mark.slow  # quick: test_what_is_rendered_is_what_the_networks_give_by_hand
def test_in_half_precision_the_frames_are_nearly_the_same(released, imported, inputs, render, tmp_path):
    half = released_renderer.import_all(released, tmp_path / "half", "bfloat16")
    error = np.abs(render(half).astype(int) - render(imported)).mean()
    assert 0.1 < error < 6, error


def test_a_renderer_takes_latents_as_its_motion_stage_standardises_them():
    rng = np.random.default_rng(0)
    layer = {"kernel": rng.normal(size=(7, 4)).astype(np.float32), "bias": rng.normal(size=4).astype(np.float32)}
    z, box = rng.normal(size=(3, 5)), rng.normal(size=(3, 2))
    mean, std = rng.normal(size=5), rng.uniform(0.1, 3, 5)
    mapped = lambda r, weights: np.concatenate([r, box], axis=1) @ weights["kernel"] + weights["bias"]
    np.testing.assert_allclose(mapped(z, standardised(layer, mean, std)), mapped(std * z + mean, layer), rtol=1e-4, atol=1e-5)
    for name, array in standardised(layer, np.zeros(5, np.float32), np.ones(5, np.float32)).items():
        np.testing.assert_array_equal(array, layer[name])


def test_frozen_networks_may_be_folders_of_earlier_imports(released, imported, tmp_path):
    import_weights("clip", released.clip, tmp_path / "clip")
    import_weights("svd_vae", released.autoencoder, tmp_path / "vae")
    parts = {"autoencoder": tmp_path / "vae", "clip": tmp_path / "clip", "motion": imported["motion"]}
    import_renderer(released.renderer, tmp_path / "video", released.video_config, **parts)
    assert checkpoint_hash(tmp_path / "video") == checkpoint_hash(imported["video"])
    assert (tmp_path / "video/config.json").read_bytes() == (imported["video"] / "config.json").read_bytes()
    buffers, vae = load_variables(imported["video"], "video")[1].buffers, load_variables(tmp_path / "vae", "autoencoder")[1]
    jax.tree.map(np.testing.assert_array_equal, buffers["clip"], load_variables(tmp_path / "clip", "clip")[1].params)
    own = {"params": vae.params["autoencoder"], "buffers": vae.buffers}
    jax.tree.map(np.testing.assert_array_equal, buffers["autoencoder"], own)


def other_parts(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Networks that do not fit."""
    write_released(folder / "unknown", {"_class_name": "AutoencoderTiny"}, {})
    write_released(folder / "none", {}, {}).unlink()
    weights = test_clip.weights_of(np.random.default_rng(0)) | {"visual_projection.weight": np.ones((6, 8), np.float32)}
    wide = write_released(folder / "wide", {**test_clip.CONFIG, "projection_dim": 6}, weights)
    return {"unknown": folder / "unknown/model.safetensors", "none": folder / "none", "wide": wide}


def test_what_does_not_fit_is_one_sentence(released, imported, tmp_path):
    other = other_parts(tmp_path)
    for match, parts in [
        ("is of 'AutoencoderTiny': use a release of AutoencoderKL or", {"autoencoder": other["unknown"]}),
        ("stage motion, not autoencoder", {"autoencoder": imported["motion"]}),
        ("have 6 numbers, the renderer takes 5", {"clip": other["wide"]}),
        ("is no config of a run or an export", {"motion": other["none"]}),
    ]:
        with pytest.raises(UserError, match=match):
            import_renderer(released.renderer, tmp_path / "out", released.video_config, **parts)
    assert not (tmp_path / "out").exists()


def test_what_lacks_a_network_is_not_sampled_with(released, imported, tmp_path):
    import_renderer(released.renderer, tmp_path / "bare", released.video_config)
    whole, bare = (load_variables(folder, "video")[1].params for folder in (imported["video"], tmp_path / "bare"))
    jax.tree.map(np.testing.assert_array_equal, whole, bare)
    with pytest.raises(UserError, match=r"bare has no autoencoder: import it again with .* --autoencoder FILE"):
        load_models({**imported, "video": tmp_path / "bare"})
    config = released.video_config
    state = drawn(xnemo_video.trunk_shapes(config), xnemo_video.trunk_table(1))
    save_file({key.removeprefix("unet:"): x for key, x in state.items()}, tmp_path / "x.safetensors")
    import_weights("sd_unet", {"unet": tmp_path / "x.safetensors"}, tmp_path / "trunk", config)
    with pytest.raises(UserError, match="trunk has no motion_tokens: it is a part of a renderer"):
        load_models({**imported, "video": tmp_path / "trunk"})


def test_a_motion_stage_without_decoder_says_so(imported):
    stage = load_models({"motion": imported["motion"]}).motion
    with pytest.raises(UserError, match="has no decoder, as those of released encoders"):
        stage.model.decode(stage.variables, jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, LATENT_DIM)))


def test_the_program_says_what_means_nothing(launched, released, tmp_path):
    wrong = ["--what", "clip", "--from", released.clip, "--to", tmp_path / "x", "--motion", "m"]
    assert launched("import_weights.py", *wrong) == (2, "", "error: --motion means nothing to clip: leave it out.\n")


@pytest.mark.slow  # quick: test_frozen_networks_may_be_folders_of_earlier_imports
def test_the_program_makes_a_whole_renderer(launched, released, imported, tmp_path):
    sizes = "from tests.pretrained.released_renderer import video_config\ndef get_config(): return video_config()\n"
    (tmp_path / "sizes.py").write_text(sizes)
    given = ["--what", "xnemo_video", "--to", tmp_path / "video", f"--config={tmp_path / 'sizes.py'}"]
    given += ["--autoencoder", released.autoencoder, "--clip", released.clip, "--motion", imported["motion"]]
    done = launched("import_weights.py", *given, "--from", *(f"{role}={file}" for role, file in released.renderer.items()))
    assert done[:2] == (0, f"{tmp_path / 'video'}: {checkpoint_hash(imported['video'])}\n"), done[2]
