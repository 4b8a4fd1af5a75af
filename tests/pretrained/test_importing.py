"""Released files become checkpoints that load."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

from tests.audio.released import Reference, config_of, weights_of, write_released
from tests.gcs import gcs_bucket  # noqa: F401
from tests.pretrained.archives import write_tensors
from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.pretrained.files import open_weights, write_weights
from xactor_jax.pretrained.importing import KINDS, Kind, export_weights, import_weights
from xactor_jax.pretrained.name_map import Rule, Table, in_file, joined, layer


@pytest.fixture
def config() -> dict:
    return config_of("group")


@pytest.fixture
def weights(config, rng) -> dict[str, np.ndarray]:
    return weights_of(config, rng)


def hidden_states(folder, x: np.ndarray) -> np.ndarray:
    config, variables = load_variables(folder, "wav2vec2")
    network = Wav2Vec2(Wav2Vec2Settings(**config.network))
    return np.asarray(jax.jit(network.apply)({"params": variables.params}, x[None])[0][:, 0])


def test_a_checkpoint_computes_what_was_released(tmp_path, config, weights, rng):
    x = rng.normal(size=1500).astype(np.float32)
    import_weights("wav2vec2", write_released(tmp_path / "r", config, weights), tmp_path / "out")
    np.testing.assert_allclose(hidden_states(tmp_path / "out", x), Reference(config, weights)(x), atol=2e-5)


def test_formats_prefixes_and_spellings_are_one(tmp_path, config, weights):
    import_weights("wav2vec2", write_released(tmp_path / "r", config, weights), tmp_path / "a")
    torch = write_tensors(tmp_path / "r" / "pytorch_model.bin", {f"wav2vec2.{k}": v for k, v in weights.items()})
    import_weights("wav2vec2", torch, tmp_path / "b")
    spelled = {k.replace("weight_g", "parametrizations.weight.original0"): v for k, v in weights.items()}
    spelled = {k.replace("weight_v", "parametrizations.weight.original1"): v for k, v in spelled.items()}
    spelled |= {"lm_head.weight": np.ones((2, 2)), "masked_spec_embed": np.ones(8), "quantizer.codevectors": np.ones(3)}
    import_weights("wav2vec2", write_released(tmp_path / "s", config, spelled), tmp_path / "c")
    assert len({checkpoint_hash(tmp_path / name) for name in "abc"}) == 1


def test_files_and_checkpoints_in_a_bucket(tmp_path, gcs_bucket, config, weights):  # noqa: F811
    file, folder = write_released(tmp_path / "r", config, weights), epath.Path(gcs_bucket) / "pretrained"
    for local in (file, tmp_path / "r" / "config.json"):
        (folder / local.name).write_bytes(local.read_bytes())
    import_weights("wav2vec2", folder / file.name, folder / "out")
    import_weights("wav2vec2", file, tmp_path / "out")
    assert checkpoint_hash(folder / "out") == checkpoint_hash(tmp_path / "out")


def test_half_precision_is_read(tmp_path, config, weights):
    write_released(tmp_path / "r", config, weights)
    save_file({k: v.astype(ml_dtypes.bfloat16) for k, v in weights.items()}, tmp_path / "r" / "half.safetensors")
    import_weights("wav2vec2", tmp_path / "r" / "half.safetensors", tmp_path / "out")
    _, variables = load_variables(tmp_path / "out", "wav2vec2")
    expected = weights["feature_projection.projection.bias"].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(variables.params["projection"]["bias"], expected)


def test_whether_recordings_are_normalised_is_read(tmp_path, config, weights):
    file = write_released(tmp_path / "r", config, weights)
    (tmp_path / "r" / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    import_weights("wav2vec2", file, tmp_path / "out")
    assert load_variables(tmp_path / "out", "wav2vec2")[0].network.normalize is False


def test_an_older_import_is_replaced_and_anything_else_kept(tmp_path, config, weights):
    file = write_released(tmp_path / "r", config, weights)
    import_weights("wav2vec2", file, tmp_path / "out")
    import_weights("wav2vec2", file, tmp_path / "out", dtype="float16")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match="holds something else"):
        import_weights("wav2vec2", file, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def broken_releases(folder, config: dict, weights: dict) -> dict[str, tuple]:
    """What is wrong → (arguments, what the message says)."""
    lacking = {k: v for k, v in weights.items() if k != "encoder.layers.1.attention.q_proj.bias"}
    shapeless = {**weights, "encoder.layer_norm.weight": np.ones(9, np.float32)}
    release = lambda name, w, c=config: write_released(folder / name, c, w)
    cut = release("cut", weights)
    cut.write_bytes(cut.read_bytes()[:5000])
    no_config = release("no_config", weights)
    (folder / "no_config" / "config.json").unlink()
    return {
        "a missing key": (release("lacking", lacking), "lacks encoder.layers.1.attention.q_proj.bias"),
        "a surplus key": (release("surplus", {**weights, "extra.weight": np.ones(2)}), "holds extra.weight"),
        "a wrong shape": (release("shape", shapeless), "encoder.layer_norm.weight (9,) cannot be read as norm/scale (8,)"),
        "the other design": (release("design", weights, config_of("layer")), "lacks"),
        "a cut file": (cut, "damaged or no .safetensors"),
        "no config": (no_config, "config.json cannot be read"),
        "no file": (folder / "none.safetensors", "config.json cannot be read"),
        "another network": (release("hubert", weights, {**config, "model_type": "hubert"}), "model_type"),
        "no weights": (folder / "no_config" / "x.txt", "config.json cannot be read"),
    }


def test_nothing_is_written_when_something_is_wrong(tmp_path, config, weights):
    for file, reason in broken_releases(tmp_path, config, weights).values():
        before = set(tmp_path.iterdir())
        with pytest.raises(UserError) as caught:
            import_weights("wav2vec2", file, tmp_path / "out")
        assert reason in str(caught.value)
        assert set(tmp_path.iterdir()) == before


def test_files_of_no_known_kind_are_refused(tmp_path, config, weights):
    write_released(tmp_path / "r", config, weights)
    with pytest.raises(UserError, match="no file of weights"):
        import_weights("wav2vec2", tmp_path / "r" / "config.json", tmp_path / "out")
    with pytest.raises(UserError, match="does not exist"):
        import_weights("wav2vec2", tmp_path / "r" / "none.bin", tmp_path / "out")


def test_what_is_imported_is_exported_with_the_same_numbers(tmp_path, config, weights):
    import_weights("wav2vec2", write_released(tmp_path / "r", config, weights), tmp_path / "a")
    export_weights("wav2vec2", tmp_path / "a", tmp_path / "r" / "again.safetensors")
    again = load_file(tmp_path / "r" / "again.safetensors")
    assert set(again) == set(weights)
    for name in [name for name in weights if "weight_" not in name]:
        np.testing.assert_array_equal(again[name], weights[name].astype(np.float32))
    import_weights("wav2vec2", tmp_path / "r" / "again.safetensors", tmp_path / "b")
    assert checkpoint_hash(tmp_path / "a") == checkpoint_hash(tmp_path / "b")


def test_half_precision_is_written(tmp_path, config, weights):
    import_weights("wav2vec2", write_released(tmp_path / "r", config, weights), tmp_path / "a")
    export_weights("wav2vec2", tmp_path / "a", tmp_path / "b.safetensors", "float16")
    assert {array.dtype for array in load_file(tmp_path / "b.safetensors").values()} == {np.dtype(np.float16)}


ONE, OTHER = Table(rules=layer("fc", "dense")), Table(rules=(Rule("mean", "buffers/mean"), *layer("fc", "inner/dense")))
SEVERAL = Kind(
    stage="several",
    table=joined(in_file("one", ONE), in_file("other", OTHER)),
    read_config=lambda beside, given: ConfigDict({"stage": "several"}),
    parameter_shapes=lambda config: {
        "dense/kernel": (3, 2),
        "dense/bias": (2,),
        "inner/dense/kernel": (1, 2),
        "inner/dense/bias": (2,),
        "buffers/mean": (4,),
    },
    other_buffers=lambda config: {"count": np.zeros(())},
    files={"one": "released_one.pth", "other": "released_other.pth"},
)


@pytest.fixture
def several(tmp_path, monkeypatch, rng) -> dict[str, dict[str, np.ndarray]]:
    """Role → weights, in files under their released names in `tmp_path`."""
    monkeypatch.setitem(KINDS, "several", SEVERAL)
    shapes = {"one": {"fc.weight": (2, 3), "fc.bias": (2,)}, "other": {"fc.weight": (2, 1), "fc.bias": (2,), "mean": (4,)}}
    draw = lambda shape: rng.normal(size=shape).astype(np.float32)
    arrays = {role: {name: draw(shape) for name, shape in own.items()} for role, own in shapes.items()}
    for role, own in arrays.items():
        write_tensors(tmp_path / SEVERAL.files[role], own)
    return arrays


def test_networks_in_several_files_are_one_checkpoint(tmp_path, several):
    import_weights("several", tmp_path, tmp_path / "a")
    _, variables = load_variables(tmp_path / "a", "several")
    np.testing.assert_array_equal(variables.params["dense"]["kernel"], several["one"]["fc.weight"].T)
    np.testing.assert_array_equal(variables.params["inner"]["dense"]["kernel"], several["other"]["fc.weight"].T)
    np.testing.assert_array_equal(variables.buffers["mean"], several["other"]["mean"])
    assert set(variables.params) == {"dense", "inner"} and set(variables.buffers) == {"mean", "count"}
    export_weights("several", tmp_path / "a", tmp_path / "b")
    for role, own in several.items():
        found = load_file(tmp_path / "b" / f"released_{role}.safetensors")
        assert set(found) == set(own)
        for name, array in own.items():
            np.testing.assert_array_equal(found[name], array)
    files = {role: tmp_path / "b" / f"released_{role}.safetensors" for role in several}
    import_weights("several", files, tmp_path / "c")
    assert checkpoint_hash(tmp_path / "a") == checkpoint_hash(tmp_path / "c")


def test_files_of_several_are_named_in_errors(tmp_path, several):
    with pytest.raises(UserError, match="one=FILE other=FILE"):
        import_weights("several", {"one": tmp_path / "released_one.pth"}, tmp_path / "a")
    write_tensors(tmp_path / "released_other.pth", {"mean": several["other"]["mean"], "fc.bias": np.ones(2)})
    with pytest.raises(UserError, match=r"lacks other:fc\.weight"):
        import_weights("several", tmp_path, tmp_path / "a")
    (tmp_path / "released_one.pth").unlink()
    with pytest.raises(UserError, match=r"released_one\.pth does not exist"):
        import_weights("several", tmp_path, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_kinds_and_names_that_are_not_known_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no kind of network 'gpt': use wav2vec2, .*xnemo_motion"):
        import_weights("gpt", tmp_path / "x.pth", tmp_path / "a")
    with pytest.raises(UserError, match=r"end in \.safetensors"):
        write_weights(tmp_path / "x.pth", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_weights(tmp_path / "file" / "x.safetensors", {"a": np.ones(1)})


def test_released_files_are_not_written_over(tmp_path):
    """That is said before the checkpoint is read, which here is not there at all."""
    (tmp_path / "x.safetensors").write_text("mine")
    with pytest.raises(UserError, match=r"x\.safetensors exists already: remove it or give another name"):
        export_weights("wav2vec2", tmp_path / "none", tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"x\.safetensors is a file, and 2 files are to be written: give a folder"):
        export_weights("lpips", tmp_path / "none", tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"let it end in \.safetensors"):
        export_weights("wav2vec2", tmp_path / "none", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_number_types_that_are_not_read_are_named(tmp_path):
    """As in files of 8 bits a number."""
    kinds = {"a.bias": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    kinds["a.weight"] = {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [4, 6]}
    head = json.dumps(kinds).encode()
    (tmp_path / "x.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(6))
    with (
        open_weights(tmp_path / "x.safetensors") as weights,
        pytest.raises(UserError, match=r"holds a\.weight in the type F8_E4M3, which is not read"),
    ):
        weights["a.weight"]


def test_the_program_imports_and_says_what_is_wrong(repository, launched, tmp_path, config, weights):
    file = write_released(tmp_path / "r", config, weights)
    (tmp_path / "r" / "config.json").rename(tmp_path / "c.json")
    command = [sys.executable, "launch/import_weights.py", "--what=wav2vec2", "--from", file, "--to", tmp_path / "out"]
    given = [*map(str, command), f"--config={tmp_path / 'c.json'}"]
    done = subprocess.run(given, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'out'}: {checkpoint_hash(tmp_path / 'out')}\n", done.stderr
    status, _, said = launched("import_weights.py", "--what=wav2vec2", "--from", file, "--to", tmp_path / "other")
    assert status == 2 and said.count("\n") == 1 and "config.json cannot be read" in said
    assert not (tmp_path / "other").exists()
