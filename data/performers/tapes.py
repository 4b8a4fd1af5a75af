"""Recorded base voices: sentences spoken by synthesisers with a free licence, with phoneme times (data/assets/speech).

launch/assets/speech.py made them. NAME.opus holds the sentences of a voice one after the other. NAME.json.xz has their text,
phonemes and positions, and the times of glottal closure (epochs) in voiced speech.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import lzma

import numpy as np
from etils import epath
from jaxtyping import Float, Int, Int16

from data.performers.phonemes import INDEX
from xactor_jax.media.audio_io import read_audio
from xactor_jax.timing import SAMPLE_RATE

FOLDER = epath.Path(__file__).parents[1] / "assets" / "speech"

BASES = ("rms", "slt", "awb", "kal16", "gongitsune", "kumo", "mezzo", "tenor", "alto")
"""All base voices."""

HIGH = ("slt", "gongitsune", "mezzo")
"""Women's voices."""

BETWEEN = ("alto",)
"""Voices that fit both sexes; all others are men's."""

HELD_OUT = "slt"
"""Not used in the training split. Persons of the other splits have variants of this voice, and no other."""

LEVEL = 0.07
"""Root mean square of every voice, of full scale, over the 20 ms pieces that are louder than a tenth of the loudest."""

EPOCH_RATE = 32000
"""Steps per second of the stored epochs."""


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One sentence: sounds (indices of `PHONEMES`), their ends in seconds, and stress. It begins and ends with a pause."""

    text: str
    start: int
    samples: int
    phoneme: Int[np.ndarray, "p"]
    ends: Float[np.ndarray, "p"]
    stress: Float[np.ndarray, "p"]

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.samples / SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Tape:
    """A base voice: sound at 16 kHz, its sentences, and glottal epochs in seconds."""

    wave: Int16[np.ndarray, "samples"]
    sentences: tuple[Sentence, ...]
    epochs: Float[np.ndarray, "marks"]

    @functools.cached_property
    def f0(self) -> float:
        """Median fundamental of the voice, Hz."""
        periods = np.diff(self.epochs)
        return float(1.0 / np.median(periods[periods < 0.02]))


def _sentence(row: dict) -> Sentence:
    phoneme = np.array([INDEX[sound] for sound in row["sounds"]])
    ends = np.array(row["ends"]) / 1000.0
    return Sentence(row["text"], row["start"], row["samples"], phoneme, ends, np.array(row["stress"]) / 100.0)


def load_labels(base: str) -> tuple[tuple[Sentence, ...], Float[np.ndarray, "marks"]]:
    """Sentences of a base voice, and its glottal epochs in seconds."""
    labels = json.loads(lzma.decompress((FOLDER / f"{base}.json.xz").read_bytes()))
    return tuple(_sentence(row) for row in labels["sentences"]), np.cumsum(labels["epochs"]) / EPOCH_RATE


@functools.cache
def load_tape(base: str) -> Tape:
    """A base voice. It is read once per process."""
    wave = np.clip(np.round(32768.0 * read_audio(FOLDER / f"{base}.opus")), -32768, 32767).astype(np.int16)
    return Tape(wave, *load_labels(base))
