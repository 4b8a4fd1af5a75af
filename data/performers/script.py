"""The script of a clip with a recorded voice: sentences and pauses in the time of the recording, and the clock of the clip.

r(t) is the tempo at time t of the clip. The time of the script that is spoken then is

    s(t) = ∫₀ᵗ r(u) du                                                                                                    (1)

Time s of the script is therefore at time s⁻¹(s) of the clip, for phonemes as well as for sound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from data.performers.phonemes import TICK_RATE, Utterance
from data.performers.tapes import Sentence

PAUSES = (0.15, 0.7)
"""Shortest and longest pause between two sentences in seconds, in addition to the silence at their ends."""

BEGINS_INSIDE = 0.5
"""Share of clips that begin in the middle of a sentence."""


@dataclasses.dataclass(frozen=True)
class Clock:
    """The map between the times of clip and script (equation 1): `script` is s at 0 and at the end of every tick."""

    script: Float[np.ndarray, "ticks+1"]

    @property
    def seconds(self) -> float:
        """Length of the clip in seconds of the script."""
        return float(self.script[-1])

    def to_clip(self, moments: np.ndarray) -> np.ndarray:
        """Seconds of the script → seconds of the clip; times outside the clip become its start or end."""
        return np.interp(moments, self.script, np.arange(self.script.size) / TICK_RATE)

    def to_script(self, moments: np.ndarray) -> np.ndarray:
        """Seconds of the clip → seconds of the script."""
        return np.interp(moments, np.arange(self.script.size) / TICK_RATE, self.script)


def make_clock(tempo: Float[np.ndarray, "ticks"]) -> Clock:
    """The clock of a clip from its tempo at every tick."""
    return Clock(np.concatenate([[0.0], np.cumsum(tempo) / TICK_RATE]))


SHORTEST = 0.1
"""Seconds left in a clip below which no sentence is begun, because sentences begin with silence."""


class Line(NamedTuple):
    """A sentence, and the second of the script at which it begins; negative if it begins before the clip."""

    sentence: Sentence
    start: float


def _drawn(rng: np.random.Generator, sentences: tuple[Sentence, ...]) -> Iterator[Sentence]:
    """An endless stream of sentences. All are used once before any is used again."""
    while True:
        yield from (sentences[i] for i in rng.permutation(len(sentences)))


def make_script(rng: np.random.Generator, sentences: tuple[Sentence, ...], seconds: float) -> list[Line]:
    """Lines that fill `seconds`. The last one may end later. None begins in the last `SHORTEST` seconds."""
    lines: list[Line] = []
    drawn = _drawn(rng, sentences)
    sentence = next(drawn)
    inside = rng.uniform() < BEGINS_INSIDE
    now = -rng.uniform(0.0, 0.8) * sentence.seconds if inside else rng.uniform(0.0, PAUSES[1])
    while now < seconds - SHORTEST:
        lines.append(Line(sentence, now))
        now += sentence.seconds + rng.uniform(*PAUSES)
        sentence = next(drawn)
    return lines


def make_utterance(lines: list[Line], clock: Clock) -> Utterance:
    """The sounds of a script in the time of the clip, which they fill exactly. Pauses between sentences are sounds, too."""
    phoneme = np.concatenate([np.r_[0, line.sentence.phoneme] for line in lines] + [[0]])
    stress = np.concatenate([np.r_[1.0, line.sentence.stress] for line in lines] + [[1.0]])
    place = np.concatenate([np.r_[0.0, np.linspace(0.0, 1.0, line.sentence.phoneme.size)] for line in lines] + [[0.0]])
    ends = np.concatenate([line.start + np.r_[0.0, line.sentence.ends] for line in lines] + [[clock.seconds]])
    ticks = np.diff(np.round(clock.to_clip(ends) * TICK_RATE).astype(np.int64), prepend=0)
    return Utterance(phoneme.astype(np.int64), ticks, stress, place)
