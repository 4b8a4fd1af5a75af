"""Results on disk, one for each video and protocol, so that a run continues where it was stopped.

    FOLDER/KEY.json    the values, the means of segments, what was measured with which weights; or why it could not be measured
    FOLDER/KEY.npz     features, if the protocol compares sets of videos

KEY is a hash of everything that decides the result: the contents of the files, the protocol's definition, the weights. So a
file, a protocol or a network that changes is measured again, and nothing else is. The JSON file is written last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float

from xactor_jax.evaluation.report import finite
from xactor_jax.evaluation.trends import segments
from xactor_jax.scoring.protocol import Measured, Network, Protocol
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import write_whole

SEGMENT_SECONDS = 10.0
"""Length of the segments over which curves are averaged."""


class Curve(NamedTuple):
    """Means over segments, and the middles of the segments in minutes."""

    minutes: list[float]
    values: list[float]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a protocol found in one video, without features. `problem` says in one sentence why there is nothing."""

    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
    problem: str = ""


def key_of(protocol: Protocol, network: Network | None, files: Mapping[str, Any]) -> str:
    """Hash of everything that decides a result; `files` are hashes of the files' contents, and what was made of them."""
    about = [protocol.name, protocol.definition, [number.name for number in protocol.numbers], network.hash if network else ""]
    return hashlib.sha256(json.dumps([about, dict(files)], sort_keys=True).encode()).hexdigest()[:24]


def curve_of(values: Float[np.ndarray, "n"], frames: int) -> Curve:
    """Means over segments of 10 seconds of a curve that is evenly spaced over `frames` frames; a shorter rest is dropped."""
    per_minute = len(values) / (frames / FRAME_RATE / 60)
    parts = segments(len(values), max(1, round(per_minute * SEGMENT_SECONDS / 60)))
    known = lambda x: float(x[np.isfinite(x)].mean()) if np.isfinite(x).any() else math.nan
    return Curve([(p.start + p.stop) / 2 / per_minute for p in parts], [known(np.asarray(values)[p]) for p in parts])


def write(folder: epath.Path, key: str, measured: Measured, frames: int, about: Mapping[str, Any]) -> None:
    """Writes a result; `about` says what was measured, for people."""
    if measured.features is not None:
        buffer = io.BytesIO()
        np.savez(buffer, features=measured.features)
        write_whole(folder / f"{key}.npz", buffer.getvalue())
    curves = {name: curve_of(curve, frames)._asdict() for name, curve in measured.curves.items() if len(curve)}
    values = {name: float(value) for name, value in measured.values.items()}
    _write_json(folder, key, {**about, "frames": frames, "values": values, "curves": curves})


def write_problem(folder: epath.Path, key: str, problem: str, about: Mapping[str, Any]) -> None:
    """Writes that there is no result, and why. The next run tries again."""
    _write_json(folder, key, {**about, "problem": problem})


def _write_json(folder: epath.Path, key: str, content: Mapping[str, Any]) -> None:
    write_whole(folder / f"{key}.json", json.dumps(finite(content), indent=1, allow_nan=False) + "\n")


def read(folder: epath.Path, key: str) -> Result | None:
    """A result; None if there is none yet. Values that are unknown are `nan`."""
    try:
        content = json.loads((folder / f"{key}.json").read_text())
    except FileNotFoundError:
        return None
    number = lambda x: math.nan if x is None else x
    curves = {
        name: Curve(curve["minutes"], [number(x) for x in curve["values"]]) for name, curve in content.get("curves", {}).items()
    }
    values = {name: number(value) for name, value in content.get("values", {}).items()}
    return Result(values, curves, content.get("problem", ""))


class Features(Sequence):
    """The features of several results, each read when it is needed, so that memory does not grow with their number."""

    def __init__(self, folder: epath.PathLike, keys: Sequence[str]):
        self._files = [epath.Path(folder) / f"{key}.npz" for key in keys]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Float[np.ndarray, "n d"]:
        with np.load(io.BytesIO(self._files[index].read_bytes()), allow_pickle=False) as file:
            return file["features"]
