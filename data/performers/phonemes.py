"""Speech sounds and random sequences of them.

Formants are those of an average adult in Hz (vowels after Peterson and Barney, 1952, "Control methods used in a study of the
vowels", table II, men; consonants by their usual loci). Mouth targets are values of `xactor_jax.labels.CONTROLS`: jaw 0..1,
lip_width -1..1, lip_round 0..1. `dominance` is the strength of a sound's mouth targets against those of its neighbours (Cohen
and Massaro, 1993, "Modeling coarticulation in synthetic visual speech"): a /p/ must close the lips, a /k/ need not.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data.performers.voice import Voice

TICK_RATE = 250
"""Ticks per second, the time steps of speech synthesis; ten per video frame."""


class Phoneme(NamedTuple):
    """One sound. Duration in ms; formants in Hz; voice and noise are linear amplitudes; noise is a band in Hz."""

    name: str
    kind: str
    duration: float
    f1: float
    f2: float
    f3: float
    voice: float
    noise: float
    noise_centre: float
    noise_width: float
    jaw: float
    lip_width: float
    lip_round: float
    dominance: float


PHONEMES = tuple(
    Phoneme(*row)
    for row in (
        ("_", "pause", 300, 500, 1500, 2500, 0.0, 0.0, 3000, 1000, 0.0, 0.0, 0.0, 3.0),
        ("i", "vowel", 120, 270, 2290, 3010, 0.95, 0.0, 3000, 1000, 0.22, 0.95, 0.0, 1.2),
        ("ɪ", "vowel", 95, 390, 1990, 2550, 0.95, 0.0, 3000, 1000, 0.34, 0.5, 0.0, 1.0),
        ("ɛ", "vowel", 110, 530, 1840, 2480, 1.0, 0.0, 3000, 1000, 0.52, 0.4, 0.0, 1.0),
        ("æ", "vowel", 140, 660, 1720, 2410, 1.0, 0.0, 3000, 1000, 0.8, 0.55, 0.0, 1.2),
        ("ɑ", "vowel", 150, 730, 1090, 2440, 1.0, 0.0, 3000, 1000, 1.0, 0.05, 0.0, 1.2),
        ("ɔ", "vowel", 140, 570, 840, 2410, 1.0, 0.0, 3000, 1000, 0.75, -0.35, 0.55, 1.2),
        ("o", "vowel", 130, 450, 880, 2400, 1.0, 0.0, 3000, 1000, 0.5, -0.4, 0.8, 1.2),
        ("u", "vowel", 120, 300, 870, 2240, 0.95, 0.0, 3000, 1000, 0.22, -0.5, 1.0, 1.3),
        ("ʌ", "vowel", 100, 640, 1190, 2390, 1.0, 0.0, 3000, 1000, 0.66, 0.0, 0.0, 1.0),
        ("ə", "vowel", 65, 500, 1400, 2450, 0.85, 0.0, 3000, 1000, 0.4, 0.0, 0.0, 0.6),
        ("p", "stop", 105, 350, 900, 2200, 0.0, 0.35, 1000, 1200, 0.0, 0.0, 0.1, 9.0),
        ("b", "stop", 95, 300, 900, 2200, 0.12, 0.2, 900, 1000, 0.0, 0.0, 0.1, 9.0),
        ("t", "stop", 85, 350, 1750, 2700, 0.0, 0.4, 4500, 1800, 0.16, 0.1, 0.0, 1.2),
        ("d", "stop", 75, 300, 1750, 2700, 0.12, 0.25, 4000, 1800, 0.18, 0.1, 0.0, 1.2),
        ("k", "stop", 90, 350, 2000, 2300, 0.0, 0.4, 2200, 900, 0.24, 0.0, 0.0, 0.6),
        ("ɡ", "stop", 80, 300, 2000, 2300, 0.12, 0.25, 2000, 900, 0.24, 0.0, 0.0, 0.6),
        ("m", "nasal", 100, 260, 1000, 2200, 0.5, 0.0, 3000, 1000, 0.0, 0.0, 0.05, 9.0),
        ("n", "nasal", 80, 270, 1600, 2600, 0.5, 0.0, 3000, 1000, 0.18, 0.1, 0.0, 1.0),
        ("ŋ", "nasal", 85, 280, 2000, 2500, 0.45, 0.0, 3000, 1000, 0.26, 0.0, 0.0, 0.6),
        ("f", "fricative", 100, 350, 1100, 2200, 0.0, 0.16, 5500, 3000, 0.08, 0.2, 0.0, 4.0),
        ("v", "fricative", 75, 300, 1100, 2200, 0.4, 0.08, 5000, 3000, 0.08, 0.2, 0.0, 4.0),
        ("s", "fricative", 110, 350, 1700, 2600, 0.0, 0.38, 6200, 1100, 0.12, 0.45, 0.0, 2.0),
        ("z", "fricative", 85, 300, 1700, 2600, 0.35, 0.2, 6000, 1100, 0.12, 0.45, 0.0, 2.0),
        ("ʃ", "fricative", 110, 350, 1800, 2500, 0.0, 0.38, 3300, 900, 0.16, -0.35, 0.65, 2.0),
        ("h", "fricative", 65, 500, 1500, 2500, 0.0, 0.12, 1800, 1500, 0.4, 0.0, 0.0, 0.3),
        ("w", "approximant", 75, 300, 650, 2200, 0.7, 0.0, 3000, 1000, 0.16, -0.55, 1.0, 2.0),
        ("j", "approximant", 65, 280, 2250, 3000, 0.7, 0.0, 3000, 1000, 0.2, 0.75, 0.0, 1.2),
        ("l", "approximant", 70, 350, 1150, 2700, 0.7, 0.0, 3000, 1000, 0.3, 0.1, 0.0, 0.8),
        ("ɹ", "approximant", 70, 320, 1150, 1600, 0.7, 0.0, 3000, 1000, 0.24, -0.25, 0.45, 1.0),
        # English sounds that occur in recordings, but not in random sequences:
        ("θ", "fricative", 100, 350, 1400, 2500, 0.0, 0.14, 6000, 3000, 0.16, 0.1, 0.0, 2.0),
        ("ð", "fricative", 60, 300, 1400, 2500, 0.4, 0.07, 5500, 3000, 0.16, 0.1, 0.0, 2.0),
        ("ʒ", "fricative", 90, 300, 1800, 2500, 0.35, 0.2, 3200, 900, 0.16, -0.35, 0.65, 2.0),
        ("ʊ", "vowel", 90, 440, 1020, 2240, 0.95, 0.0, 3000, 1000, 0.32, -0.3, 0.6, 1.0),
        ("ɜ", "vowel", 120, 490, 1350, 1690, 0.95, 0.0, 3000, 1000, 0.4, -0.15, 0.3, 1.0),
    )
)

INDEX = {phoneme.name: i for i, phoneme in enumerate(PHONEMES)}
BILABIALS = tuple(INDEX[name] for name in "pbm")
DRAWN = range(INDEX["ɹ"] + 1)
"""Indices of the sounds that random sequences consist of."""

VOWELS = np.array([i for i in DRAWN if PHONEMES[i].kind == "vowel"])
CONSONANTS = np.array([i for i in DRAWN if PHONEMES[i].kind not in ("vowel", "pause")])


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A sequence of P sounds: index into `PHONEMES`, duration in ticks, stress (about 1), position in the phrase (0 to 1)."""

    phoneme: Int[np.ndarray, "p"]
    ticks: Int[np.ndarray, "p"]
    stress: Float[np.ndarray, "p"]
    place: Float[np.ndarray, "p"]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the sounds, repeated for their ticks."""
        return np.repeat(values, self.ticks, axis=0)


def property_of(name: str) -> Float[np.ndarray, "table"]:
    """A numeric column of the table `PHONEMES`."""
    return np.array([getattr(phoneme, name) for phoneme in PHONEMES], np.float64)


def _syllable(rng: np.random.Generator) -> list[int]:
    """A random syllable: up to two consonants, a vowel, up to one consonant. Bilabials are twice as likely as others."""
    weights = np.where(np.isin(CONSONANTS, BILABIALS), 2.0, 1.0)
    weights /= weights.sum()

    def consonants(count: int) -> list[int]:
        return list(rng.choice(CONSONANTS, size=count, replace=False, p=weights))

    onset = consonants(rng.choice(3, p=(0.22, 0.68, 0.1)))
    coda = consonants(rng.choice(2, p=(0.68, 0.32)))
    return [*onset, int(rng.choice(VOWELS)), *coda]


def _phrase(rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """Sounds and stresses of a random phrase of three to ten syllables."""
    sounds, stresses = [], []
    for _ in range(rng.integers(3, 11)):
        syllable = _syllable(rng)
        stress = rng.choice((0.8, 1.0, 1.22), p=(0.4, 0.35, 0.25)) * rng.uniform(0.92, 1.08)
        sounds += syllable
        stresses += [stress] * len(syllable)
    return sounds, stresses


def _durations(sounds: np.ndarray, stress: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Ticks of each sound. Stress lengthens vowels; the last two sounds are longer; tempo changes consonants less."""
    is_vowel = np.isin(sounds, VOWELS)
    tempo = np.where(is_vowel, rate, rate**0.5)
    stretch = np.where(is_vowel, stress, 1.0) * rng.uniform(0.85, 1.15, sounds.size)
    stretch[-2:] *= 1.25
    return np.maximum(np.round(property_of("duration")[sounds] * stretch / tempo * TICK_RATE / 1000.0), 8).astype(np.int64)


def make_utterance(rng: np.random.Generator, num_ticks: int, voice: Voice, rate: Float[np.ndarray, "num_ticks"]) -> Utterance:
    """Random phrases separated by pauses, exactly `num_ticks` long. `rate` is the emotion's factor of the tempo."""
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    now = 0
    while now < num_ticks:
        pause = round(TICK_RATE * rng.uniform(0.12, 0.4) * (1.0 if not rows else 1.8))
        sounds, stress = (np.array(values) for values in _phrase(rng))
        ticks = _durations(sounds, stress, voice.rate * rate[min(now + pause, num_ticks - 1)], rng)
        place = np.linspace(0.0, 1.0, sounds.size)
        rows.append((np.r_[0, sounds], np.r_[pause, ticks], np.r_[1.0, stress], np.r_[0.0, place]))
        now += pause + int(ticks.sum())
    phoneme, ticks, stress, place = (np.concatenate(column) for column in zip(*rows, strict=True))
    ends = np.minimum(np.cumsum(ticks), num_ticks)
    return Utterance(phoneme.astype(np.int64), np.diff(ends, prepend=0), stress, place)
