"""What a recorded voice says in a clip: sentences and pauses in the tape's time, and the clock that turns it into the clip's.

With r(t) the tempo at moment t of the clip, the moment of the script that is heard then is

    s(t) = ∫₀ᵗ r(u) du                                                                                                    (1)

so what begins at s in the script begins at s⁻¹(s) in the clip, sounds and samples alike.
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
"""Least and most seconds between two sentences, beside the silence at their own ends."""

BEGINS_INSIDE = 0.5
"""Share of clips whose first sentence has begun before them."""


@dataclasses.dataclass(frozen=True)
class Clock:
    """Equation 1: `script` is s at the ends of all ticks of the clip, preceded by 0."""

    script: Float[np.ndarray, "ticks+1"]

    @property
    def seconds(self) -> float:
        """Length of the script that the clip holds."""
        return float(self.script[-1])

    def to_clip(self, moments: np.ndarray) -> np.ndarray:
        """Seconds of the script → seconds of the clip, those outside it at its ends."""
        return np.interp(moments, self.script, np.arange(self.script.size) / TICK_RATE)

    def to_script(self, moments: np.ndarray) -> np.ndarray:
        """Seconds of the clip → seconds of the script."""
        return np.interp(moments, np.arange(self.script.size) / TICK_RATE, self.script)


def make_clock(tempo: Float[np.ndarray, "ticks"]) -> Clock:
    """The clock of a clip from its tempo at every tick."""
    return Clock(np.concatenate([[0.0], np.cumsum(tempo) / TICK_RATE]))


SHORTEST = 0.1
"""Seconds of a sentence at the end of a clip that are worth beginning it: sentences begin with silence."""


class Line(NamedTuple):
    """A sentence and the second of the script at which its sound begins; below zero where it has begun before the clip."""

    sentence: Sentence
    start: float


def _drawn(rng: np.random.Generator, sentences: tuple[Sentence, ...]) -> Iterator[Sentence]:
    """Sentences for ever, none again before all others."""
    while True:
        yield from (sentences[i] for i in rng.permutation(len(sentences)))


def make_script(rng: np.random.Generator, sentences: tuple[Sentence, ...], seconds: float) -> list[Line]:
    """Lines that fill so many seconds; the last one may go on after them. No line in less than `SHORTEST`."""
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
    """The sounds of a script in the clip's time, which they fill exactly: pauses between sentences are sounds too."""
    phoneme = np.concatenate([np.r_[0, line.sentence.phoneme] for line in lines] + [[0]])
    stress = np.concatenate([np.r_[1.0, line.sentence.stress] for line in lines] + [[1.0]])
    place = np.concatenate([np.r_[0.0, np.linspace(0.0, 1.0, line.sentence.phoneme.size)] for line in lines] + [[0.0]])
    ends = np.concatenate([line.start + np.r_[0.0, line.sentence.ends] for line in lines] + [[clock.seconds]])
    ticks = np.diff(np.round(clock.to_clip(ends) * TICK_RATE).astype(np.int64), prepend=0)
    return Utterance(phoneme.astype(np.int64), ticks, stress, place)
