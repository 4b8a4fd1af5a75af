"""SyncNet's released file becomes a checkpoint and goes back. tests/parity compares what it computes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from safetensors.numpy import load_file

from tests.pretrained.archives import write_tensors
from tests.pretrained.keys import check_keys
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.metric_networks.syncnet import SyncNetSettings
from xactor_jax.pretrained.importing import KINDS, export_weights, import_weights

KIND = KINDS["syncnet"]
TINY = SyncNetSettings(lips=(1, 2, 1, 2, 1, 3), sound=(2, 1, 2, 1, 2, 3), hidden=4, embedding=5)


def released(s: SyncNetSettings) -> dict[str, tuple[int, ...]]:
    """Name → shape of every array in the published file."""
    kernels = {
        "netcnnlip": (s.lips, 3, ((5, 7, 7), (1, 5, 5), (1, 3, 3), (1, 3, 3), (1, 3, 3), (1, 6, 6))),
        "netcnnaud": (s.sound, 1, ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3), (5, 4))),
    }
    found: dict[str, tuple[int, ...]] = {}

    def put(name: str, width: int, *rest: int) -> None:
        found.update({f"{name}.weight": (width, *rest), f"{name}.bias": (width,)})

    def put_norm(name: str, width: int) -> None:
        put(name, width)
        found.update({f"{name}.running_mean": (width,), f"{name}.running_var": (width,), f"{name}.num_batches_tracked": ()})

    for name, (widths, before, sizes) in kernels.items():
        for place, width, size in zip((0, 4, 8, 11, 14, 18), widths, sizes, strict=True):
            put(f"{name}.{place}", width, before, *size)
            put_norm(f"{name}.{place + 1}", width)
            before = width
        maps = name.replace("cnn", "fc")
        put(f"{maps}.0", s.hidden, before)
        put_norm(f"{maps}.1", s.hidden)
        put(f"{maps}.3", s.embedding, s.hidden)
    return found


def test_every_released_key_is_used_and_exported_again():
    config = KIND.read_config(epath.Path("."), "")
    shapes = KIND.parameter_shapes(config)
    used = check_keys(released(SyncNetSettings()), KIND.table, shapes)
    assert sorted(used.values()) == sorted(shapes)
    assert config.network.embedding == 1024 and shapes["lips/conv0/kernel"] == (5, 7, 7, 3, 96)


@pytest.fixture
def weights(rng) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in released(TINY).items()}


@pytest.fixture
def config() -> ConfigDict:
    return ConfigDict({"stage": "syncnet", "network": dataclasses.asdict(TINY)})


def test_a_file_becomes_a_checkpoint_and_a_file_again(tmp_path, weights, config):
    import_weights("syncnet", write_tensors(tmp_path / "syncnet_v2.model", weights), tmp_path / "out", config)
    _, variables = load_variables(tmp_path / "out", "syncnet")
    lips = variables.params["lips"]
    np.testing.assert_array_equal(lips["conv1"]["kernel"][0, 2, 3, 0, 1], weights["netcnnlip.4.weight"][1, 0, 0, 2, 3])
    np.testing.assert_array_equal(lips["norm5"]["mean"], weights["netcnnlip.19.running_mean"])
    np.testing.assert_array_equal(variables.params["sound"]["norm"]["variance"], weights["netfcaud.1.running_var"])
    export_weights("syncnet", tmp_path / "out", tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert set(again) == set(weights)
    for name in [name for name in weights if not name.endswith("num_batches_tracked")]:
        np.testing.assert_array_equal(again[name], weights[name])


def test_a_file_of_another_network_is_refused(tmp_path, weights, config):
    del weights["netfclip.3.bias"]
    with pytest.raises(UserError, match=r"lacks netfclip\.3\.bias"):
        import_weights("syncnet", write_tensors(tmp_path / "x.model", weights), tmp_path / "out", config)
