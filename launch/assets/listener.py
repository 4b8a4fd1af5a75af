"""Whether a take can be understood: what the recogniser pocketsphinx hears, against what was to be said."""

from __future__ import annotations

import functools
import re

import numpy as np
from synthesisers import RATE, Take

CLEAR = 0.65
"""Share of a sentence's words that must be heard."""


@functools.cache
def _decoder() -> object:
    from pocketsphinx import Decoder

    return Decoder(samprate=RATE, loglevel="FATAL")


def _words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def heard(take: Take) -> str:
    """The recogniser's guess."""
    wave = np.pad(0.7 * take.wave / np.abs(take.wave).max(), RATE // 5)
    decoder = _decoder()
    decoder.start_utt()
    decoder.process_raw((32767.0 * wave).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def accuracy(text: str, guess: str) -> float:
    """1 - (substitutions + insertions + deletions) / words, of the best alignment."""
    said, found = _words(text), _words(guess)
    costs = np.arange(len(found) + 1)
    for i, word in enumerate(said, 1):
        before, costs = costs, np.full(len(found) + 1, i)
        for j, other in enumerate(found, 1):
            costs[j] = min(before[j] + 1, costs[j - 1] + 1, before[j - 1] + (word != other))
    return 1.0 - costs[-1] / len(said)


def is_clear(text: str, take: Take) -> bool:
    """Whether enough of the sentence is heard."""
    return accuracy(text, heard(take)) >= CLEAR
