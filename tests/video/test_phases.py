"""The phases in which the renderer is trained, from released weights: what moves, what does not, and what that takes."""

from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from data.embedded import fill_in_frozen, fill_in_motion
from data.frames import encode_frames
from data.pipelines import FrameWindows
from data.stages import VIDEO
from tests.pretrained import released_renderer
from tests.pretrained.released_renderer import drawn, import_all, release, video_config
from tests.video import tiny
from xactor_jax.checkpoints.exports import load_variables, write_export
from xactor_jax.checkpoints.trees import flat
from xactor_jax.errors import UserError
from xactor_jax.layers.augmentation import DrivingAugmentation
from xactor_jax.motion.model import MotionModel
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.pictures import to_uint8
from xactor_jax.pretrained import xnemo_video
from xactor_jax.pretrained.importing import import_weights
from xactor_jax.pretrained.joining import export_motion
from xactor_jax.sampling.load import load_models
from xactor_jax.training.programs import Programs, make_programs
from xactor_jax.variables import Variables
from xactor_jax.video import examples
from xactor_jax.video.disturbance import MotionNoise
from xactor_jax.video.task import VideoTask

UNREAD = r"spatial/norm1/|reference/up0_1_attention/spatial/(attention|norm_ff|feed_forward|proj_out)|/(mean|variance)$"
"""What has no gradient: queries to a single embedding, what comes behind the last self-attention of a reference, and
the statistics of the motion encoder's normalisation."""


@pytest.fixture(autouse=True)
def plain_start(monkeypatch) -> None:
    """Fresh parameters are all one number: hundreds of draws take long to compile."""
    drawn_at_random = VideoTask.init

    def plain(task: VideoTask, key: jax.Array) -> Variables:
        shapes = jax.eval_shape(lambda k: drawn_at_random(task, k), key)
        return jax.tree.map(lambda x: jnp.full(x.shape, 0.25, x.dtype), shapes)

    monkeypatch.setattr(VideoTask, "init", plain)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return release(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def imported(released, tmp_path_factory):
    """Stage → folder; also the single files of which a renderer can start."""
    folder = tmp_path_factory.mktemp("imported")
    config = released.video_config
    state = drawn(xnemo_video.trunk_shapes(config), xnemo_video.trunk_table(1))
    save_file({key.removeprefix("unet:"): x for key, x in state.items()}, folder / "unet.safetensors")
    import_weights("sd_unet", {"unet": folder / "unet.safetensors"}, folder / "sd_unet", config)
    state = drawn(xnemo_video.temporal_shapes(config), xnemo_video.animatediff_table(1))
    save_file({key.removeprefix("temporal:"): x for key, x in state.items()}, folder / "mm.safetensors")
    import_weights("animatediff", {"temporal": folder / "mm.safetensors"}, folder / "animatediff", config)
    return import_all(released, folder) | {name: folder / name for name in ("sd_unet", "animatediff")}


def config_of(phase: str, init_from: str, frozen: str = "") -> ConfigDict:
    config = video_config()
    config.update(phase=phase, init_from=init_from, batch_size=2, steps=2, ema_decay=0.9)
    config.optimizer.update(warmup_steps=0, learning_rate=1e-2)
    config.pretrained.update(autoencoder=frozen, clip=frozen)
    fill_in_frozen(config)
    return config


def random_batch(task: VideoTask) -> dict[str, np.ndarray]:
    batch = tiny.random_batch(task, 2)
    return jax.device_get({**batch, **{name: to_uint8(batch[name]) for name in ("frames", "reference")}})


def programs_of(config: ConfigDict):
    return make_programs(config, VideoTask.from_config(config), make_mesh(config.mesh, jax.devices()[:1]))


def two_steps(config: ConfigDict, programs: Programs, there: Variables):
    """The state after two steps on noise, from what was imported, and which of the parameters moved.

    The average moves with them, and the frozen networks do not.
    """
    before = flat(jax.device_get((state := programs.init()).params))
    for path, array in flat(there.params).items():
        np.testing.assert_array_equal(before[path], array)
    batch = programs.put(random_batch(VideoTask.from_config(config)))
    for _ in range(2):
        state, metrics = programs.train_step(state, batch)
    assert np.isfinite(metrics["loss"])
    params, ema = (flat(jax.device_get(tree)) for tree in (state.params, state.ema))
    moved = {path: not np.array_equal(params[path], array) for path, array in before.items()}
    assert moved == {path: not np.array_equal(ema[path], array) for path, array in before.items()}
    for name in ("autoencoder", "clip"):
        jax.tree.map(np.testing.assert_array_equal, state.buffers[name], there.buffers[name])
    return state, moved


@pytest.mark.parametrize("phase", ["spatial", "temporal"])
def test_a_phase_trains_its_own_part_and_can(phase):
    """Labels, and one small gradient."""
    config = tiny.video_config()
    config.phase = phase
    task = VideoTask.from_config(config)
    params, buffers = tiny.random_variables(task)
    batch = tiny.random_batch(task, 2)
    gradient = jax.jit(jax.grad(lambda p: task.loss(Variables(p, buffers), batch, jax.random.key(0), True).loss))(params)
    labels, moved = flat(task.param_labels(params)), {path: bool(np.any(x)) for path, x in flat(gradient).items()}
    temporal = {path: "/temporal/" in path for path in labels}
    assert labels == {path: "default" if own == (phase == "temporal") else "frozen" for path, own in temporal.items()}
    of_time = [moved[path] for path, own in temporal.items() if own]
    assert of_time and (all(of_time) if phase == "temporal" else not any(of_time))
    assert all(moved[path] for path in moved if "trunk/" in path and path.endswith("_block/conv1/kernel"))


@pytest.mark.slow
def test_two_steps_of_the_temporal_phase_from_released_weights(imported):
    """Temporal modules move; all else stays as it was imported, bit for bit."""
    programs = programs_of(config := config_of("temporal", str(imported["video"])))
    there = load_variables(imported["video"], "video")[1]
    assert config.autoencoder.temporal and config.clip.depth == 2 and config.autoencoder.image_size == released_renderer.SIDE
    _, moved = two_steps(config, programs, there)
    assert moved == {path: "/temporal/" in path for path in flat(there.params)}


@pytest.mark.parametrize("phase", ["spatial", *(pytest.param(name, marks=pytest.mark.slow) for name in ("all", "temporal"))])
def test_what_is_frozen_has_no_optimiser_state(phase):
    """Two moments of every number that is trained, and a few counters."""
    programs = programs_of(config_of(phase, "", "random"))
    sizes = {path: array.size for path, array in flat(programs.abstract.params).items()}
    trained = sum(n for path, n in sizes.items() if phase == "all" or ("/temporal/" in path) == (phase == "temporal"))
    held = [array.size for array in jax.tree.leaves(programs.abstract.opt_state)]
    assert sum(n for n in held if n > 1) == 2 * trained and held.count(1) < 10
    assert 0 < trained <= sum(sizes.values()) and (trained == sum(sizes.values())) == (phase == "all")


def test_a_trunk_and_temporal_modules_start_their_parts(imported):
    """Stable Diffusion's trunk is the denoiser's and, but for its end, the reference network's; what moves is fresh."""
    start = f"{imported['sd_unet']},{imported['animatediff']}"
    state = programs_of(config_of("spatial", start, "random")).init()
    trunk, modules = (flat(load_variables(imported[name], "video")[1].params) for name in ("sd_unet", "animatediff"))
    origins = set()
    for path, array in flat(state.params).items():
        same = trunk.get(path, trunk.get(path.replace("reference/", "trunk/"), modules.get(path)))
        origins.add((path.split("/")[0], same is not None))
        np.testing.assert_array_equal(array, 0.25 if same is None else same)
    assert origins == {("trunk", True), ("trunk", False), ("reference", True), ("motion_tokens", False)}


@pytest.mark.parametrize(("phase", "changes"), [("spatial", False), pytest.param("temporal", True, marks=pytest.mark.slow)])
def test_in_the_spatial_phase_frames_are_pictures_by_themselves(phase, changes):
    """Temporal modules are gone around: there the loss does not depend on their weights."""
    config = tiny.video_config()
    config.phase = phase
    task = VideoTask.from_config(config)
    params, buffers = tiny.random_variables(task)
    louder = [3 * x if "/temporal/" in path else x for path, x in flat(params).items()]
    batch = tiny.random_batch(task, 2) | {"frames_apart": jnp.zeros(2, bool)}
    loss = jax.jit(lambda p: task.loss(Variables(p, buffers), batch, jax.random.key(0), True).loss)
    other = jax.tree.unflatten(jax.tree.structure(params), louder)
    assert (abs(loss(params) - loss(other)) > 1e-6) == changes


@pytest.mark.parametrize(("phase", "apart"), [("spatial", 1.0), ("temporal", 0.0), ("all", 0.75)])
def test_a_phase_says_whether_frames_are_neighbours(phase, apart):
    config = video_config()
    config.phase, config.data.apart = phase, 0.75
    for train, wanted in ((True, apart), (False, 0.0)):
        windows = VIDEO.examples(config, [], train)
        assert isinstance(windows, FrameWindows) and windows.apart == wanted


def test_an_unknown_phase_is_one_sentence():
    config = video_config()
    config.phase = "first"
    with pytest.raises(UserError, match="phase=first is not possible: use all, spatial, temporal"):
        VideoTask.from_config(config)


def test_an_encoder_of_the_reference_picture_must_be_named():
    config = config_of("spatial", "", "random")
    config.clip.update(depth=1, projection=config.network.unet.context_width)
    config.pretrained.clip = ""
    with pytest.raises(UserError, match=r"needs CLIP's image encoder: import it .* --config\.clip\.depth=0"):
        VideoTask.from_config(config).pretrained_buffers()


@pytest.mark.slow
def test_two_steps_of_the_spatial_phase_with_the_motion_encoder(imported, tmp_path, caplog):
    """All but temporal modules move. The encoder becomes a motion stage again, which only the renderer has as its own."""
    config = config_of("spatial", str(imported["video"]))
    config.train_motion, config.pretrained.motion = True, str(imported["motion"])
    fill_in_motion(config)
    programs, before = programs_of(config), load_variables(imported["motion"], "motion")[1]
    fresh = programs.init()
    jax.tree.map(np.testing.assert_array_equal, fresh.params["motion_encoder"], before.params["generator"]["encoder"])
    jax.tree.map(np.testing.assert_array_equal, fresh.buffers["motion"], before.buffers)
    state, moved = two_steps(config, programs, load_variables(imported["video"], "video")[1])
    assert not any(moved[path] for path in moved if "/temporal/" in path)
    assert all(moved[path] for path in moved if "/temporal/" not in path and not re.search(UNREAD, path))
    write_export(tmp_path / "video", config, Variables(*jax.device_get((state.ema, state.buffers))))
    export_motion(tmp_path / "video", tmp_path / "motion")
    found, expected = load_variables(tmp_path / "motion", "motion")[1].params, state.ema["motion_encoder"]
    jax.tree.map(np.testing.assert_array_equal, found["generator"]["encoder"], expected)
    load_models({"motion": tmp_path / "motion", "video": tmp_path / "video"})
    assert "another motion stage" not in caplog.text
    load_models({"motion": imported["motion"], "video": tmp_path / "video"})
    assert "another motion stage" in caplog.text


def test_a_motion_encoder_trained_by_itself_is_not_exported(imported, tmp_path):
    with pytest.raises(UserError, match="trained without its motion encoder"):
        export_motion(imported["video"], tmp_path / "motion")


def test_in_training_the_motion_encoder_sees_changed_frames_and_an_unchanged_reference(key, monkeypatch):
    """By an encoder whose motion is the mean of a picture. Each frame has changes of its own. Evaluation has none."""
    mean = lambda model, variables, pictures: jnp.tile(pictures.mean(axis=(1, 2, 3))[:, None], (1, 6))
    monkeypatch.setattr(MotionModel, "encode", mean)
    task = VideoTask.from_config(tiny.video_config())
    noise, settings = MotionNoise(bias=0.0, drift=0.0, jitter=0.0), dataclasses.replace(task.settings, motion_drop=0.0)
    motion, augmentation = MotionModel.from_config(tiny.motion_config()), DrivingAugmentation(probability=1.0)
    task = dataclasses.replace(task, motion=motion, augmentation=augmentation, noise=noise, settings=settings)
    variables = tiny.random_variables(dataclasses.replace(task, motion=None))
    variables = Variables(variables.params | {"motion_encoder": {}}, variables.buffers | {"motion": {}})
    batch = tiny.random_batch(task, 2)
    batch["frames"] = jnp.full_like(batch["frames"], 0.25)
    motion = jax.jit(lambda train: task._example(variables, batch, key, train).inputs.motion, static_argnums=0)
    np.testing.assert_allclose(motion(False), 0.25, atol=1e-6)
    assert np.ptp(motion(True)[..., 0], axis=1).min() > 0.05
    seen, reference = examples.motion_of(task.motion, variables, batch)
    np.testing.assert_allclose(reference[:, 0], batch["reference"].mean(axis=(1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(seen, 0.25, atol=1e-6)
