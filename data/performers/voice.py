"""Who speaks: the streams of chance of a person, and the voice that the formant synthesiser gives them."""

from __future__ import annotations

import dataclasses

import numpy as np

FACE, VOICE, STYLE, LOOKS = range(4)
"""Streams of a person: what depends on one of them does not change with the others."""


def person_rng(seed: int, person: int, stream: int) -> np.random.Generator:
    """The generator of one of a person's properties."""
    return np.random.default_rng(np.random.SeedSequence([seed, person, stream], spawn_key=(0,)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """What makes a speaker's sound: median fundamental in Hz, formants over those of the table, noise share, tempo."""

    f0: float
    formant_scale: float
    breathiness: float
    tilt: float  # power of the harmonics' fall with their number
    rate: float  # syllable speed over the average


def make_voice(seed: int, person: int) -> Voice:
    """The voice of a person; the same for the same (seed, person). High voices have short vocal tracts, as people do."""
    rng = person_rng(seed, person, VOICE)
    height = rng.uniform()
    return Voice(
        f0=float(95.0 * 2.2 ** np.clip(height + rng.normal(0.0, 0.08), 0.0, 1.0)),
        formant_scale=float(np.clip(0.92 + 0.24 * height + rng.normal(0.0, 0.03), 0.85, 1.22)),
        breathiness=float(rng.uniform(0.02, 0.25)),
        tilt=float(rng.uniform(0.8, 1.3)),
        rate=float(rng.uniform(0.88, 1.15)),
    )
