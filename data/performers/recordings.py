"""Speech of performers made of recorded sentences. Every person has a voice of their own, and the mood changes the delivery.

A voice is one of the recorded base voices (`data.performers.tapes`) with changed pitch, melody, formants and tempo
(`disguise`), changed timbre and breath (`timbre`), recorded in a room (`room`). Mouth motion follows the sounds of the
recording, in the time of the clip (`script`).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from data.performers.disguise import Source, disguise
from data.performers.emotion import Mood
from data.performers.motion import smooth
from data.performers.mouth import Speech, effort_of, mouth_tracks, per_frame, per_tick
from data.performers.phonemes import TICK_RATE
from data.performers.room import Room, make_room, record
from data.performers.script import Clock, Line, make_clock, make_script, make_utterance
from data.performers.tapes import BASES, BETWEEN, HELD_OUT, HIGH, LEVEL, Tape, load_tape
from data.performers.timbre import Equaliser, colour, frame_times
from data.performers.voice import VOICE, person_rng
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

TRAIN = "train"
"""The training split uses all base voices except the held-out one; the other splits use only that one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedVoice:
    """Properties of a person's voice."""

    base: str
    f0: float  # factor of the base voice's median fundamental
    melody: float  # factor of the melody's range
    formants: float  # factor of the formant frequencies
    rate: float  # factor of the base voice's tempo
    breathiness: float  # share of noise
    equaliser: Equaliser
    room: Room


def bases_of(split: str) -> tuple[str, ...]:
    """The base voices of a split. No voice of the training split is used in another split."""
    return tuple(base for base in BASES if base != HELD_OUT) if split == TRAIN else (HELD_OUT,)


def fits(base: str, man: bool | None) -> bool:
    """Whether a base voice fits a person's sex; None: every voice fits."""
    return man is None or base in BETWEEN or (base in HIGH) != man


def make_recorded_voice(seed: int, person: int, bases: tuple[str, ...], man: bool | None = None) -> RecordedVoice:
    """The voice of a person, made from one of the base voices; deterministic in its arguments.

    A higher voice gets a shorter vocal tract. High base voices are mostly lowered and low ones raised, since larger changes in
    the other direction are hard to understand. A man gets a man's voice if there is one, else a lowered one; a woman likewise.
    """
    rng = person_rng(seed, person, VOICE)
    fitting = [base for base in bases if fits(base, man)] or bases
    base = fitting[rng.integers(len(fitting))]
    reach = (-1.2, 1.2) if fits(base, man) else (-1.2, -0.6) if man else (0.6, 1.2)
    height = rng.uniform(*reach) + (-0.5 if base in HIGH else 0.5)
    bells = zip(rng.uniform((250.0, 900.0, 2500.0), (600.0, 2000.0, 5000.0)), rng.uniform(-4.0, 4.0, 3), strict=True)
    return RecordedVoice(
        base=base,
        f0=float(2.0 ** (0.22 * height)),
        melody=float(rng.uniform(0.8, 1.25)),
        formants=float(np.clip(1.0 + 0.05 * height + rng.normal(0.0, 0.012), 0.9, 1.1)),
        rate=float(rng.uniform(0.92, 1.12)),
        breathiness=float(rng.uniform(0.0, 0.15)),
        equaliser=Equaliser(float(rng.uniform(-2.0, 1.5)), tuple((float(f), float(g)) for f, g in bells)),
        room=make_room(rng),
    )


@dataclasses.dataclass(frozen=True)
class _Curves:
    """Effects of the mood at every tick of the clip."""

    f0: Float[np.ndarray, "ticks"]
    f0_range: Float[np.ndarray, "ticks"]
    loudness: Float[np.ndarray, "ticks"]
    brightness: Float[np.ndarray, "ticks"]
    breath: Float[np.ndarray, "ticks"]

    def at(self, name: str, moments: np.ndarray) -> np.ndarray:
        """Values of one curve at times of the clip, in seconds."""
        values = getattr(self, name)
        return np.interp(moments, (np.arange(values.size) + 0.5) / TICK_RATE, values)


def _curves(mood: Mood) -> _Curves:
    return _Curves(**{field.name: per_tick(mood.effect(field.name)) for field in dataclasses.fields(_Curves)})


def _source(tape: Tape, line: Line) -> Source:
    """The recorded sound of a line, and its glottal epochs."""
    sentence = line.sentence
    wave = tape.wave[sentence.start : sentence.start + sentence.samples] / np.float32(32768.0)
    first = sentence.start / SAMPLE_RATE
    low, high = np.searchsorted(tape.epochs, (first, first + sentence.seconds))
    return Source(wave, tape.epochs[low:high] - first)


@dataclasses.dataclass(frozen=True)
class _SpokenLine:
    """A line in the clip: its sound from sample `start` on, and its melody in octaves at every tick from `tick` on."""

    start: int
    wave: Float[np.ndarray, "samples"]
    tick: int
    melody: Float[np.ndarray, "ticks"]


def _speak_line(
    voice: RecordedVoice, tape: Tape, line: Line, clock: Clock, curves: _Curves, rng: np.random.Generator
) -> _SpokenLine:
    """A line in the person's voice and mood."""
    source, level = _source(tape, line), voice.f0 * tape.f0
    begin, end = clock.to_clip(np.array([line.start, line.start + line.sentence.seconds]))
    first, last = int(begin * TICK_RATE), int(np.ceil(end * TICK_RATE))
    offset, seconds = first / TICK_RATE, (last - first) / TICK_RATE
    to_source = lambda t: clock.to_script(t + offset) - line.start
    octaves = source.melody(tape.f0)
    melody = lambda t: voice.melody * curves.at("f0_range", t + offset) * octaves(to_source(t))
    fundamental = lambda t: level * curves.at("f0", t + offset) * 2.0 ** melody(t)
    wave = disguise(source, seconds, to_source, fundamental, voice.formants, rng)
    loudness, brightness, breath = (curves.at(n, frame_times(wave.size) + offset) for n in ("loudness", "brightness", "breath"))
    wave = colour(wave, voice.equaliser, loudness, brightness, voice.breathiness + breath, rng)
    ticks = (np.arange(last - first) + 0.5) / TICK_RATE
    return _SpokenLine(round(offset * SAMPLE_RATE), wave, first, melody(ticks))


def _loudness(wave: Float[np.ndarray, "samples"]) -> Float[np.ndarray, "t"]:
    """Root mean square of every frame, divided by the level of the recordings: about 1 in a vowel."""
    return np.sqrt(np.mean(wave.reshape(-1, SAMPLES_PER_FRAME) ** 2, axis=1)) / LEVEL


def speak(voice: RecordedVoice, mood: Mood, rng: np.random.Generator) -> Speech:
    """Random sentences in a voice and mood, for as many frames as the mood has; 640 samples per frame."""
    tape, curves = load_tape(voice.base), _curves(mood)
    clock = make_clock(voice.rate * per_tick(mood.effect("rate")))
    lines = make_script(rng, tape.sentences, clock.seconds)
    utterance = make_utterance(lines, clock)
    wave, melody = np.zeros(len(mood.label) * SAMPLES_PER_FRAME, np.float32), np.zeros(clock.script.size - 1)
    for line in lines:
        spoken = _speak_line(voice, tape, line, clock, curves, rng)
        wave[spoken.start : spoken.start + spoken.wave.size] += spoken.wave[: wave.size - spoken.start]
        melody[spoken.tick : spoken.tick + spoken.melody.size] = spoken.melody
    mouth = {name: per_frame(track) for name, track in mouth_tracks(utterance, effort_of(utterance, mood)).items()}
    stress = utterance.spread(utterance.stress * (utterance.phoneme > 0))
    return Speech(
        audio=np.round(32767.0 * np.tanh(record(wave, voice.room))).astype(np.int16),
        **mouth,
        loudness=_loudness(wave),
        melody=per_frame(smooth(melody, 0.02 * TICK_RATE)),
        stress=per_frame(smooth(stress, 0.05 * TICK_RATE)),
        utterance=utterance,
    )
