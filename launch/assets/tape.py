"""Writes the takes of a voice one after the other: NAME.opus, and NAME.json.xz which says what is where."""

from __future__ import annotations

import json
import lzma
import pathlib
from collections.abc import Mapping

import av
import numpy as np
import scipy.signal
from epochs import epochs
from jaxtyping import Float
from phone_sets import PAUSE
from synthesisers import RATE, Take

from data.performers.phonemes import INDEX, PHONEMES, property_of
from data.performers.tapes import EPOCH_RATE, LEVEL
from xactor_jax.media.audio_io import read_audio

LEAD, TAIL, GAP = 0.04, 0.08, 0.1
"""Seconds kept before and after a sentence, and of silence between two."""

BIT_RATE = 20000


def _loudness(wave: Float[np.ndarray, " samples"], seconds: float = 0.02) -> Float[np.ndarray, " samples"]:
    """Root mean square around every sample."""
    size = int(seconds * RATE)
    return np.sqrt(np.maximum(np.convolve(wave**2, np.ones(size) / size, mode="same"), 0.0))


def _levelled(wave: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """The sound at the common level, without rumble and constant."""
    clean = scipy.signal.sosfiltfilt(scipy.signal.butter(2, 45.0, "high", fs=RATE, output="sos"), wave)
    loud = _loudness(clean)
    active = loud > 0.1 * loud.max()
    clean *= LEVEL / np.sqrt(np.mean(clean[active] ** 2))
    return clean * min(1.0, 0.9 / np.abs(clean).max())


def _bounds(wave: Float[np.ndarray, " samples"]) -> tuple[float, float]:
    """First and last moment of sound, seconds."""
    loud = np.flatnonzero(_loudness(wave, 0.01) > 0.02 * LEVEL)
    return loud[0] / RATE, loud[-1] / RATE


def trimmed(take: Take) -> tuple[Float[np.ndarray, " samples"], list[tuple[str, float]]]:
    """A take cut to its sound, with a pause of LEAD before and one of TAIL after it; sounds and their ends in seconds."""
    wave = _levelled(take.wave)
    first, last = _bounds(wave)
    starts = [0.0, *(end for _, end in take.sounds[:-1])]
    spoken = [(s, a, e) for (s, e), a in zip(take.sounds, starts, strict=True)]
    while spoken[0][0] == PAUSE:
        spoken.pop(0)
    while spoken[-1][0] == PAUSE:
        spoken.pop()
    begin = min(first, spoken[0][1]) if spoken[0][1] - first < 0.1 else spoken[0][1]
    end = min(last, spoken[-1][2] + 0.05)
    start, stop = max(0.0, begin - LEAD), min(end + TAIL, wave.size / RATE)
    sounds = [(PAUSE, begin - start)] + [(s, min(e, end) - start) for s, _, e in spoken]
    sounds[-1] = (sounds[-1][0], end - start)
    cut = wave[round(start * RATE) : round(stop * RATE)]
    fade = np.minimum(1.0, np.arange(cut.size) / (0.01 * RATE))
    return cut * fade * fade[::-1], [*sounds, (PAUSE, cut.size / RATE)]


def stresses(wave: Float[np.ndarray, " samples"], sounds: list[tuple[str, float]]) -> Float[np.ndarray, " sounds"]:
    """About 1; more for vowels that are louder and longer than others of the sentence. Consonants have the nearest one's."""
    names, ends = [s for s, _ in sounds], np.array([e for _, e in sounds])
    starts = np.r_[0.0, ends[:-1]]
    power = [
        np.mean(wave[round(a * RATE) : round(b * RATE)] ** 2) if b - a > 1e-3 else 0.0
        for a, b in zip(starts, ends, strict=True)
    ]
    level = 10.0 * np.log10(np.array(power) + 1e-6)
    length = np.log2(np.maximum(ends - starts, 0.02) / (property_of("duration")[[INDEX[n] for n in names]] / 1000.0))
    vowel = np.array([PHONEMES[INDEX[n]].kind == "vowel" for n in names])
    middle = (starts + ends) / 2.0
    raw = 1.0 + 0.03 * (level - level[vowel].mean()) + 0.1 * (length - length[vowel].mean())
    nearest = np.flatnonzero(vowel)[np.argmin(np.abs(middle[:, None] - middle[None, vowel]), axis=1)]
    return np.where(np.array(names) == PAUSE, 1.0, np.clip(raw, 0.75, 1.3)[nearest])


def _encode(wave: Float[np.ndarray, " samples"], path: pathlib.Path) -> None:
    """The sound as Opus in Ogg."""
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options={"application": "audio", "vbr": "on"})
        stream.bit_rate = BIT_RATE
        samples = np.clip(np.round(wave * 32767.0), -32768, 32767).astype(np.int16)
        for start in range(0, samples.size, 960):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _marks(wave: Float[np.ndarray, " samples"], rows: list[dict]) -> list[int]:
    """Epochs of all sentences, each as its distance from the one before, in steps of EPOCH_RATE."""
    found = [row["start"] + epochs(wave[row["start"] : row["start"] + row["samples"]]) for row in rows]
    steps = np.round(np.concatenate(found) * EPOCH_RATE / RATE).astype(int)
    return np.diff(steps, prepend=0).tolist()


def write(path: pathlib.Path, takes: Mapping[str, Take]) -> None:
    """Writes both files of a voice; `path` is without suffix."""
    pieces, rows, position = [], [], 0
    for text, take in takes.items():
        wave, sounds = trimmed(take)
        stress = np.round(100.0 * stresses(wave, sounds)).astype(int).tolist()
        row = {"text": text, "start": position, "samples": wave.size, "sounds": "".join(s for s, _ in sounds)}
        rows.append({**row, "ends": [round(1000.0 * end) for _, end in sounds], "stress": stress})
        pieces += [wave, np.zeros(round(GAP * RATE))]
        position += wave.size + pieces[-1].size
    _encode(np.concatenate(pieces), path.with_suffix(".opus"))
    heard = read_audio(path.with_suffix(".opus"))
    labels = json.dumps({"sentences": rows, "epochs": _marks(heard, rows)}, ensure_ascii=False, separators=(",", ":"))
    path.with_suffix(".json.xz").write_bytes(lzma.compress(labels.encode(), preset=9))
