"""The phones of the synthesisers that speak for `speech.py`, as sounds of `data.performers.phonemes`.

Diphthongs and affricates are two sounds, each with its share of the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Timed(NamedTuple):
    """One sound and when it ends, seconds."""

    sound: str
    end: float


PAUSE = "_"
FIRST_SHARE = {"ɑɪ": 0.6, "ɑʊ": 0.55, "ɔɪ": 0.55, "ɛɪ": 0.5, "oʊ": 0.55, "tʃ": 0.45, "dʒ": 0.45, "əl": 0.4}
"""Of the time of two sounds in one, what the first takes."""

_FLITE = (
    "aa:ɑ ae:æ ah:ʌ ao:ɔ aw:ɑʊ ax:ə ay:ɑɪ eh:ɛ er:ɜ ey:ɛɪ ih:ɪ iy:i ow:oʊ oy:ɔɪ uh:ʊ "
    "uw:u b:b ch:tʃ d:d dh:ð f:f g:ɡ hh:h jh:dʒ k:k l:l m:m n:n ng:ŋ p:p "
    "r:ɹ s:s sh:ʃ t:t th:θ v:v w:w y:j z:z zh:ʒ pau:_"
)
FLITE = dict(pair.split(":") for pair in _FLITE.split())
"""Flite's radio phones → sounds."""

KOKORO = {
    **{sound: sound for sound in "iɪɛæɑɔuʌəʊɜpbtdkɡmnŋfvszʃʒθðhwjlɹ"},
    **{
        "A": "ɛɪ",
        "I": "ɑɪ",
        "O": "oʊ",
        "W": "ɑʊ",
        "Y": "ɔɪ",
        "ʤ": "dʒ",
        "ʧ": "tʃ",
        "T": "d",
        "ᵻ": "ɪ",
        "ᵊ": "ə",
        "a": "ɑ",
        "o": "ɔ",
    },
}
"""Kokoro's letters → sounds."""

ESPEAK = (
    ("ʔˌn̩", "tən"),
    ("ʔn̩", "tən"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"),
    ("^", ""),
    ("e", "A"),
    ("r", "ɹ"),
    ("ɬ", "l"),
    ("ʔ", "t"),
    ("ɾ", "T"),
    ("ɚ", "əɹ"),
    ("ɐ", "ə"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ː", ""),
    ("o", "ɔ"),
    ("n̩", "ən"),
    ("l̩", "ᵊl"),
)
"""What espeak-ng writes with `--ipa --tie=^` → Kokoro's letters, in this order."""


def kokoro_letters(ipa: str) -> str:
    """A transcription of espeak-ng in Kokoro's letters."""
    for written, letter in ESPEAK:
        ipa = ipa.replace(written, letter)
    return ipa


def split(phones: Iterable[Timed]) -> list[Timed]:
    """Phones of one or two sounds as sounds."""
    out, start = [], 0.0
    for sounds, end in phones:
        middle = start + FIRST_SHARE.get(sounds, 0.5) * (end - start)
        ends = (end,) if len(sounds) == 1 else (middle, end)
        out += [Timed(*pair) for pair in zip(sounds, ends, strict=True)]
        start = end
    return out
