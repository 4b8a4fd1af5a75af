"""Random streams of a person, and the person's voice in the formant synthesiser."""

from __future__ import annotations

import dataclasses

import numpy as np

FACE, VOICE, STYLE, LOOKS = range(4)
"""Random streams of a person. They are independent: a change in one leaves the others unchanged."""


def person_rng(seed: int, person: int, stream: int) -> np.random.Generator:
    """The random generator of one stream of a person."""
    return np.random.default_rng(np.random.SeedSequence([seed, person, stream], spawn_key=(0,)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """Properties of a voice: median fundamental in Hz, factor of the table's formants, noise share, tempo."""

    f0: float
    formant_scale: float
    breathiness: float
    tilt: float  # harmonics fall with this power of their number
    rate: float  # factor of the average tempo


def make_voice(seed: int, person: int) -> Voice:
    """The voice of a person, determined by (seed, person). High voices have short vocal tracts, as in real people."""
    rng = person_rng(seed, person, VOICE)
    height = rng.uniform()
    return Voice(
        f0=float(95.0 * 2.2 ** np.clip(height + rng.normal(0.0, 0.08), 0.0, 1.0)),
        formant_scale=float(np.clip(0.92 + 0.24 * height + rng.normal(0.0, 0.03), 0.85, 1.22)),
        breathiness=float(rng.uniform(0.02, 0.25)),
        tilt=float(rng.uniform(0.8, 1.3)),
        rate=float(rng.uniform(0.88, 1.15)),
    )
