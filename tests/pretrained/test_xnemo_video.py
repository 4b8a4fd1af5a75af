"""Released renderers: what they compute, every name of theirs, and their sizes."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

from configs import video
from tests import golden as rule
from tests.golden import golden
from tests.pretrained.keys import check_keys
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.pretrained import xnemo_video
from xactor_jax.pretrained.importing import export_weights, import_weights
from xactor_jax.pretrained.name_map import convert, exported
from xactor_jax.video.denoiser import DenoiserSettings, MotionTokens
from xactor_jax.video.unet import Conditions, UNet


def sized(sizes: dict) -> ConfigDict:
    """The released renderer with the sizes of a golden `config.json`."""
    config = video.get_config("base")
    channels, heads = tuple(sizes["block_out_channels"]), sizes["attention_head_dim"]
    config.network.unet.update(channels=channels, attention=(True,) * (len(channels) - 1) + (False,), heads=heads)
    config.network.unet.update(blocks=sizes["layers_per_block"], groups=sizes["norm_num_groups"], module_groups=32)
    config.network.unet.update(context_width=sizes["cross_attention_dim"], time_width=4 * channels[0])
    return config


def in_files(denoiser: dict, reference: dict, motion: dict) -> dict:
    """The names of the released files, as a table of several files reads them."""
    role = lambda key: "temporal" if "temporal_modules" in key else "denoising"
    named = {f"{role(key)}:{key}": value for key, value in denoiser.items()}
    named |= {f"reference:{key}": value for key, value in reference.items()}
    return named | {f"motion:{key}": value for key, value in motion.items()}


def positions(length: int, width: int) -> np.ndarray:
    """sin and cos of place / 10000^(k / width) for every even k: in turn for frames, apart for tokens, which are narrow."""
    angles = np.arange(length)[:, None] * np.exp(-np.log(10_000) * np.arange(0, width, 2) / width)
    axis = 1 if width == 16 else -1
    return np.stack([np.sin(angles), np.cos(angles)], axis=axis).reshape(length, width)[None].astype(np.float32)


def complete(keys: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A state dict by the rule, with its fixed tables."""
    return rule.values(keys) | {key: positions(*shape[1:]) for key, shape in keys.items() if key.endswith("pe")}


@pytest.fixture(scope="module")
def tiny(request) -> tuple[DenoiserSettings, dict]:
    """Settings and imported parameters of the small released network."""
    folder = request.getfixturevalue("golden") / "x-nemo-tiny"
    config = sized(json.loads((folder / "config.json").read_text()))
    state = [complete(rule.read_keys(folder / f"{name}.keys.json")) for name in ("denoiser", "reference", "motion_encoder")]
    weights, table = in_files(*state), xnemo_video.table(levels=3)
    params = convert(weights, table, xnemo_video.parameter_shapes(config))
    back = exported(params, table)
    kept = {key: array for key, array in weights.items() if not key.startswith("motion:model.")}
    assert back.keys() == kept.keys()
    for key, array in kept.items():
        np.testing.assert_allclose(back[key], array, rtol=0, atol=1e-6 if key.endswith("pe") else 0)
    return DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels), params


def predictions(tiny, dtype) -> dict[str, np.ndarray]:
    """The three golden outputs as one batch, channels second."""
    settings, params = tiny
    given = lambda name, *shape: jnp.asarray(rule.inputs(name, shape))
    latents, reference = jnp.moveaxis(given("latents", 1, 4, 4, 16, 16), 1, -1), given("reference", 1, 4, 16, 16)
    shown, motion = given("image_embed", 1, 1, 24)[:, 0], given("motion_tokens", 1, 4, 32, 16)
    still = jnp.broadcast_to(given("negative_motion_tokens", 1, 1, 32, 16), motion.shape)

    @jax.jit
    def run(params):
        network = UNet(settings.unet.for_reference(features_only=True), dtype)
        clip = jnp.moveaxis(reference, 1, -1)[:, None]
        _, bank = network.apply({"params": params["reference"]}, clip, jnp.zeros(1), Conditions(embedding=shown))
        conditions = Conditions(
            motion=jnp.concatenate([motion, motion, still]),
            bank=tuple(jnp.repeat(entry, 3, axis=0) for entry in bank),
            bank_on=jnp.array([False, True, False]),
            embedding=jnp.concatenate([shown, shown, 0 * shown]),
        )
        x, t = jnp.repeat(latents, 3, axis=0), jnp.full(3, (421 + 1) / 1000)
        return UNet(settings.unet, dtype).apply({"params": params["trunk"]}, x, t, conditions)[0]

    y = np.moveaxis(np.asarray(run(params)), -1, 1)
    return dict(zip(("no_reference", "positive", "negative"), np.split(y, 3), strict=True))


@pytest.mark.parametrize("dtype, most", [(None, 1e-4), pytest.param(jnp.bfloat16, 0.05, marks=pytest.mark.slow)])
def test_the_released_denoiser(golden, tiny, dtype, most):
    expected = np.load(golden / "x-nemo-tiny" / "denoiser.npz")
    errors = {name: rule.relative_error(y, expected[name]) for name, y in predictions(tiny, dtype).items()}
    assert max(errors.values()) < most, errors


def test_the_released_tokens(golden, tiny):
    settings, params = tiny
    known = np.load(golden / "x-nemo-tiny" / "motion_encoder.npz")
    sizes = (settings.motion_tokens, settings.motion_token_width, settings.motion_hidden, settings.box_width)
    network = MotionTokens(*sizes, settings.position_halves)
    weights = {"params": params["motion_tokens"]}
    latent, box = jnp.asarray(known["latent"]), jnp.asarray(known["bbox"], jnp.float32)
    tokens = network.apply(weights, latent, box)
    assert rule.relative_error(tokens, known["tokens"]) < 1e-4
    # The first box is the one of a face where the reference's is, which is meant where none is given.
    np.testing.assert_allclose(network.apply(weights, latent)[0], tokens[0], atol=1e-5)


@pytest.mark.slow  # quick: `tiny`, every name of three levels there and back
def test_every_released_name_is_used_once_and_exported_again(golden):
    names = ("full.denoiser", "full.reference", "x-nemo-tiny/motion_encoder")
    released = in_files(*(rule.read_keys(golden / f"{name}.keys.json") for name in names))
    config = video.get_config("base")
    shapes = xnemo_video.parameter_shapes(config)
    used = check_keys(released, xnemo_video.table(), shapes)
    fixed = {key for key in released if key.endswith("pe")}
    elsewhere = {key for key in released if key.startswith("motion:model.")}
    assert used.keys() == released.keys() - fixed - elsewhere
    assert sorted(used.values()) == sorted(shapes)
    count = lambda start, part="": sum(np.prod(s) for path, s in shapes.items() if path.startswith(start) and part in path)
    assert count("reference/") == 859_508_800  # 860 M
    assert count("trunk/", "/motion/") == 372_088_000
    tables = sum(np.prod(released[key]) for key in fixed if key.startswith("temporal:"))
    assert count("trunk/", "/temporal/") + tables == 454_417_600
    assert count("trunk/") + tables == 1_686_026_564


@pytest.mark.parametrize("name", ["x-nemo-tiny/denoiser", pytest.param("full.denoiser", marks=pytest.mark.slow)])
def test_modules_named_as_animatediff_s_are_the_temporal_ones(golden, name):
    denoiser, small = rule.read_keys(golden / f"{name}.keys.json"), golden / "x-nemo-tiny" / "config.json"
    config = video.get_config("base") if "full" in name else sized(json.loads(small.read_text()))
    renamed = lambda key: f"temporal:{key.replace('temporal_modules', 'motion_modules')}"
    modules = {renamed(key): shape for key, shape in denoiser.items() if "temporal_modules" in key}
    shapes, table = xnemo_video.temporal_shapes(config), xnemo_video.sized(xnemo_video.animatediff_table, config)
    assert set(check_keys(modules, table, shapes).values()) == set(shapes)


def test_released_noise_schedule_is_the_table_of_a_thousand_steps():
    process = video.get_config("base").diffusion
    beta = np.linspace(0.00085**0.5, 0.02**0.5, 1000) ** 2
    kept = np.cumprod(1 - beta)
    steps = np.arange(1000)
    alpha, sigma = GaussianProcess(**process.to_dict()).alpha_sigma((steps + 1) / 1000)
    np.testing.assert_allclose(np.asarray(alpha, np.float64) ** 2, kept, rtol=2e-4)
    np.testing.assert_allclose(np.asarray(sigma, np.float64) ** 2, 1 - kept, rtol=2e-4)
    assert kept[953] == pytest.approx(5.6e-4, rel=0.01)


@pytest.fixture(scope="module")
def small() -> ConfigDict:
    """Two levels, each as narrow as can be."""
    config = sized(
        dict(block_out_channels=(8,) * 2, attention_head_dim=2, layers_per_block=1, norm_num_groups=4, cross_attention_dim=6)
    )
    config.network.unet.update(module_groups=4)
    return config


def test_files_go_in_and_come_out_again(tmp_path, rng, small):
    shapes, table = xnemo_video.parameter_shapes(small), xnemo_video.table(2)
    tree = {path: rng.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}
    released = exported(unflatten_dict(tree, sep="/"), table)
    files = {role: (tmp_path / name).with_suffix(".safetensors") for role, name in xnemo_video.FILES.items()}
    for role, file in files.items():
        own = {key.split(":")[1]: x for key, x in released.items() if key.startswith(f"{role}:")}
        save_file(own | ({"model.conv1.bias": np.ones(1)} if role == "motion" else {}), file)
    import_weights("xnemo_video", files, tmp_path / "checkpoint", small)
    export_weights("xnemo_video", tmp_path / "checkpoint", tmp_path / "again")
    for file in files.values():
        before, after = load_file(file), load_file(tmp_path / "again" / file.name)
        before.pop("model.conv1.bias", None)
        assert before.keys() == after.keys() and all(np.array_equal(before[key], after[key]) for key in before)
