"""X-NeMo's motion encoder: its file becomes a checkpoint of the motion stage, computes what was released, and goes back."""

from __future__ import annotations

import math
import pickle

import jax
import numpy as np
import pytest
from etils import epath
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

from tests.golden import golden, inputs, read_keys, relative_error, values  # noqa: F401
from tests.pretrained.archives import called, dictionary, named, text, write_archive, write_tensors
from tests.pretrained.keys import check_keys
from tests.tiny import tiny_checkpoints, tiny_variables, write_checkpoint
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.motion.model import MotionModel, latent_statistics
from xactor_jax.pretrained.importing import KINDS, export_weights, import_weights
from xactor_jax.pretrained.name_map import convert, exported
from xactor_jax.training.experiment import load_config

WHAT = "xnemo_motion"
KIND = KINDS[WHAT]
TOKENS = {"bbox_proj.0.weight": (64, 3), "final_proj.bias": (8,), "pe": (1, 4, 2)}


@pytest.fixture(scope="module")
def config() -> ConfigDict:
    """As small as the architecture gets."""
    c = load_config("configs/motion.py:base")
    c.precision = "float32"
    c.network.update(image_size=64, encoder_size=64, latent_dim=8, blocks=1)
    c.network.update(widths=(8,), encoder_widths=(8, 32, 32), attention_width=64)
    c.network.variance = False
    return c


@pytest.fixture(scope="module")
def weights(config) -> dict[str, np.ndarray]:
    """A whole released file of that size."""
    zeros = {path: np.zeros(shape, np.float32) for path, shape in KIND.parameter_shapes(config).items()}
    keys = {key: array.shape for key, array in exported(unflatten_dict(zeros, sep="/"), KIND.table).items()}
    return values(keys) | {key: np.ones(shape, np.float32) for key, shape in TOKENS.items()}


def test_files_become_checkpoints_and_files_again(tmp_path, config, weights):
    torch = write_tensors(tmp_path / "xnemo_motion_encoder.pth", weights)
    import_weights(WHAT, torch, tmp_path / "a", config)
    export_weights(WHAT, tmp_path / "a", tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert set(again) == set(weights) - set(TOKENS)
    for key, array in again.items():
        np.testing.assert_array_equal(array, weights[key])
    import_weights(WHAT, tmp_path / "again.safetensors", tmp_path / "b", config)
    assert checkpoint_hash(tmp_path / "a") == checkpoint_hash(tmp_path / "b")


@pytest.mark.slow  # quick: test_it_computes_what_was_released
def test_latents_are_given_as_they_are_and_each_weight_counts(tmp_path, config, weights):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    import_weights(WHAT, write_tensors(tmp_path / "x.pth", weights), tmp_path / "a", config)
    _, variables = load_variables(tmp_path / "a", "motion")
    mean, std = latent_statistics(variables.buffers)
    assert not np.any(mean) and np.all(std == 1)
    encode = jax.jit(MotionModel.from_config(config).encode)
    raw = encode(variables, images)
    bias = {**weights, "model.fc.bias": weights["model.fc.bias"] + 1}
    import_weights(WHAT, write_tensors(tmp_path / "y.pth", bias), tmp_path / "b", config)
    np.testing.assert_allclose(encode(load_variables(tmp_path / "b", "motion")[1], images), raw + 1, rtol=1e-4, atol=1e-4)


def test_what_was_not_released_is_left_out_of_an_export(tmp_path, config, weights):
    whole = config.copy_and_resolve_references()
    whole.network.variance = True
    variables = tiny_variables(whole)
    assert "to_log_variance" in variables.params["generator"]["encoder"] and "decoder" in variables.params["generator"]
    export_weights(WHAT, write_checkpoint(tmp_path / "run", whole, variables), tmp_path / "x.safetensors")
    assert set(load_file(tmp_path / "x.safetensors")) == set(weights) - set(TOKENS)


def test_another_encoder_is_not_exported_as_this_one(tmp_path):
    folder = tiny_checkpoints(tmp_path, ("motion",))["motion"]
    with pytest.raises(UserError, match="encoder is not X-NeMo's"):
        export_weights(WHAT, folder, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def changed(weights: dict, **changes) -> dict:
    return {key: array for key, array in (weights | changes).items() if array is not None}


BROKEN = {
    "a missing key": ({"model.m0.b2_plus_1.bn2.running_var": None}, "lacks model.m0.b2_plus_1.bn2.running_var"),
    "a surplus key": ({"model.m0.b2_plus_2.bn2.bias": np.ones(4)}, "holds model.m0.b2_plus_2.bn2.bias"),
    "a surplus shortcut": ({"model.conv3.downsample.2.weight": np.ones((32, 32, 1, 1))}, "holds model.conv3.downsample.2"),
    "a wrong shape": ({"model.fc.weight": np.ones((8, 65))}, "model.fc.weight (8, 65) cannot be read as"),
    "another kernel": ({"model.conv1.weight": np.ones((8, 3, 3, 3))}, "model.conv1.weight (8, 3, 3, 3) cannot be read as"),
}


QUICK = ("a missing key", "another kernel")


@pytest.mark.parametrize("what", [w if w in QUICK else pytest.param(w, marks=pytest.mark.slow) for w in BROKEN])
def test_files_of_another_network_are_refused(tmp_path, config, weights, what):
    changes, reason = BROKEN[what]
    file = write_tensors(tmp_path / "x.pth", changed(weights, **changes))
    with pytest.raises(UserError) as caught:
        import_weights(WHAT, file, tmp_path / "out", config)
    assert reason in str(caught.value) and not (tmp_path / "out").exists()


def test_a_pickle_that_runs_something_is_refused(tmp_path, config):
    target = tmp_path / "touched"
    content = dictionary({"model.fc.bias": called(named("posix", "system"), text(f"touch {target}"))})
    file = write_archive(tmp_path / "x.pth", content, {})
    with pytest.raises(UserError, match="only tensors are read"):
        import_weights(WHAT, file, tmp_path / "out", config)
    assert not target.exists()
    pickle.loads(b"\x80\x02" + content + b".")
    assert target.exists()  # elsewhere it does run


def test_the_export_program_writes_released_names(launched, tmp_path, config, weights):
    save_file(weights, tmp_path / "x.safetensors")
    import_weights(WHAT, tmp_path / "x.safetensors", tmp_path / "run", config)
    export = lambda what, to: launched("export.py", "--released", what, "--from", tmp_path / "run", "--to", tmp_path / to)
    assert export(WHAT, "y.safetensors")[:2] == (0, f"{tmp_path / 'y.safetensors'}\n")
    np.testing.assert_array_equal(load_file(tmp_path / "y.safetensors")["model.fc.weight"], weights["model.fc.weight"])
    status, _, said = export("unheard_of", "z.safetensors")
    assert status == 2 and "no kind of network 'unheard_of': use wav2vec2" in said


@pytest.fixture(scope="module")
def released_config() -> ConfigDict:
    return KIND.adapt(load_config(KIND.preset))


def test_every_released_key_is_imported_once_and_exported_again(golden, released_config):  # noqa: F811
    keys, shapes = read_keys(golden / "x-nemo-tiny" / "motion_encoder.keys.json"), KIND.parameter_shapes(released_config)
    used = check_keys(keys, KIND.table, shapes)
    left = set(keys) - set(used)
    assert len(keys) == 407 and sorted(used.values()) == sorted(shapes)
    assert sum(key.endswith("num_batches_tracked") for key in left) == 56
    assert {key.split(".")[0] for key in left if not key.endswith("num_batches_tracked")} == {"bbox_proj", "final_proj", "pe"}


def test_it_has_as_many_parameters_as_was_released(golden, released_config):  # noqa: F811
    """61,365,553 here and 299,840 that make tokens of a latent; running statistics are not counted."""
    sizes = {path: math.prod(shape) for path, shape in KIND.parameter_shapes(released_config).items()}
    statistics = sum(size for path, size in sizes.items() if path.split("/")[-1] in ("mean", "variance"))
    keys = read_keys(golden / "x-nemo-tiny" / "motion_encoder.keys.json")
    tokens = sum(math.prod(shape) for key, shape in keys.items() if key.startswith(("bbox_proj", "final_proj")))
    assert (sum(sizes.values()) - statistics, statistics, tokens) == (61_365_553, 15_112, 299_840)
    assert 61_365_553 + 299_840 == 61_665_393


def test_it_computes_what_was_released(golden, released_config):  # noqa: F811
    """Of the first face, without the files."""
    folder = golden / "x-nemo-tiny"
    keys, shapes = read_keys(folder / "motion_encoder.keys.json"), KIND.parameter_shapes(released_config)
    params = convert(values(keys), KIND.table, shapes)
    face = inputs("face", (2, 3, 224, 224)).transpose(0, 2, 3, 1)[:1]
    config = released_config.copy_and_resolve_references()
    config.precision = "float32"
    found = jax.jit(MotionModel.from_config(config).posterior)(params, face).mean
    assert relative_error(found, np.load(folder / "motion_encoder.npz")["latent"][:1]) < 1e-5


@pytest.mark.slow
def test_it_computes_what_was_released_from_its_file_and_in_half_precision(golden, tmp_path):  # noqa: F811
    folder = golden / "x-nemo-tiny"
    save_file(values(read_keys(folder / "motion_encoder.keys.json")), tmp_path / "x.safetensors")
    import_weights(WHAT, tmp_path / "x.safetensors", tmp_path / "out", load_config(KIND.preset))
    faces = inputs("face", (2, 3, 224, 224)).transpose(0, 2, 3, 1)
    expected = np.load(folder / "motion_encoder.npz")["latent"]
    config, variables = load_variables(tmp_path / "out", "motion")
    assert relative_error(jax.jit(MotionModel.from_config(config).encode)(variables, faces), expected) < 1e-5
    config.precision = "bfloat16"  # of only the activations: 0.013
    assert 5e-3 < relative_error(jax.jit(MotionModel.from_config(config).encode)(variables, faces), expected) < 0.03
