"""Recorded voices: sentences spoken by synthesisers that anybody may use, with their sounds in time (data/assets/speech).

launch/assets/speech.py made them. NAME.opus holds the sentences of a voice one after the other, NAME.json.xz what is said
where, and when the glottis closes in voiced speech.
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
"""Every voice of the folder."""

HIGH = ("slt", "gongitsune", "mezzo")
"""The women among them."""

BETWEEN = ("alto",)
"""Between the sexes; all others are men's."""

HELD_OUT = "slt"
"""Speaks to nobody of the training split: persons of other splits have this voice and its variants, and no other."""

LEVEL = 0.07
"""Root mean square of every voice while it is heard (what is louder than a tenth of the loudest 20 ms), of full scale."""

EPOCH_RATE = 32000
"""Steps a second in which moments of the glottis are written."""


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One sentence: sounds (indices of `PHONEMES`), their ends in seconds and stress; it begins and ends with a pause."""

    text: str
    start: int
    samples: int
    phoneme: Int[np.ndarray, "p"]
    ends: Float[np.ndarray, "p"]
    stress: Float[np.ndarray, "p"]

    @property
    def seconds(self) -> float:
        """Length of its sound."""
        return self.samples / SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Tape:
    """A base voice: sound at 16 kHz, sentences in it, and moments of the glottis in seconds of the tape."""

    wave: Int16[np.ndarray, "samples"]
    sentences: tuple[Sentence, ...]
    epochs: Float[np.ndarray, "marks"]

    @functools.cached_property
    def f0(self) -> float:
        """The voice's median fundamental, Hz."""
        periods = np.diff(self.epochs)
        return float(1.0 / np.median(periods[periods < 0.02]))


def _sentence(row: dict) -> Sentence:
    phoneme = np.array([INDEX[sound] for sound in row["sounds"]])
    ends = np.array(row["ends"]) / 1000.0
    return Sentence(row["text"], row["start"], row["samples"], phoneme, ends, np.array(row["stress"]) / 100.0)


def load_labels(base: str) -> tuple[tuple[Sentence, ...], Float[np.ndarray, "marks"]]:
    """Sentences of a base voice, and moments of the glottis in seconds of the tape."""
    labels = json.loads(lzma.decompress((FOLDER / f"{base}.json.xz").read_bytes()))
    return tuple(_sentence(row) for row in labels["sentences"]), np.cumsum(labels["epochs"]) / EPOCH_RATE


@functools.cache
def load_tape(base: str) -> Tape:
    """A base voice, read once in a process."""
    wave = np.clip(np.round(32768.0 * read_audio(FOLDER / f"{base}.opus")), -32768, 32767).astype(np.int16)
    return Tape(wave, *load_labels(base))
