"""What a protocol is: one computation on a video, the numbers that it gives, and the publication that defines it.

Two programs give different numbers under one name because they crop, resample or average differently. So every number of a
report carries the name of its protocol, and a protocol states all of these choices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from xactor_jax.scoring.video import Case

Better = Literal["higher", "lower", "truth"]
"""Which values are good: high, low, or those close to the value of the true video."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
    """One number of a protocol."""

    name: str
    """Key in reports, in lower case, as "sync_c"."""
    title: str
    """Name in tables, with the unit, as "Sync-C"."""
    better: Better
    digits: int = 3


@dataclasses.dataclass(frozen=True)
class Network:
    """An imported network: its config, its parameters, and the hash of the checkpoint that they were read from."""

    config: ConfigDict
    params: Any
    hash: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a protocol found in one video."""

    values: Mapping[str, float]
    """Name of a number → its value for this video; `nan` where there is none (no face, no speech)."""
    curves: Mapping[str, Float[np.ndarray, "n"]] = dataclasses.field(default_factory=dict)
    """Name of a number → its value for each frame or window, in order, evenly spaced over the video. Reports take means over
    segments of 10 seconds. Only numbers that are the mean of such a curve have one; `nan` where there is no value."""
    features: Float[np.ndarray, "n d"] | None = None
    """What `Protocol.pool` compares: one row for each picture or clip."""


Measure = Callable[[Case, Network | None], Measured]
Pool = Callable[[Sequence[Float[np.ndarray, "n d"]], Sequence[Float[np.ndarray, "m d"]]], dict[str, float]]
"""(features of the generated videos, features of the true ones) → numbers of the whole set, such as FID."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """One computation. `measure` must not depend on other videos; what needs all of them is `pool`."""

    name: str
    """As "syncnet"."""
    source: str
    """Publication and code that define it."""
    definition: str
    """One or two sentences: crop, rate, sizes, averaging; whatever changes the numbers."""
    numbers: tuple[Number, ...]
    measure: Measure
    kind: str = ""
    """Kind of network (`launch/import_weights.py --what`) whose weights it needs; "": none, it always runs."""
    needs_truth: bool = False
    """Whether it compares with a true video."""
    needs_sound: bool = False
    pool: Pool | None = None
    """Set for numbers that are defined for a set of videos only. `measure` then gives features."""
    limits: str = ""
    """What the number does not show, for readers of reports."""
