"""Recorded voices: the audio is what the list of sounds says, in any tempo and mood, and nobody's voice is in two splits."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from data.performers import tapes
from data.performers.disguise import Source, disguise
from data.performers.emotion import ACTED_EMOTIONS, Mood
from data.performers.mouth import TICKS_PER_FRAME, Speech
from data.performers.phonemes import INDEX, PHONEMES, TICK_RATE
from data.performers.recordings import RecordedVoice, bases_of, make_recorded_voice, speak
from data.performers.room import Room
from data.performers.script import make_clock, make_script, make_utterance
from data.performers.tapes import BASES, BETWEEN, HELD_OUT, HIGH, load_tape
from data.performers.timbre import Equaliser

DRY = Room(
    reverberation=0.1,
    echo=-120.0,
    delay=0.0,
    noise=-140.0,
    slope=0.0,
    hum=-140.0,
    mains=50.0,
    bandwidth=(40.0, 7900.0),
    level=0.0,
    seed=0,
)
PLAIN = RecordedVoice(
    base=HELD_OUT,
    f0=1.0,
    melody=1.0,
    formants=1.0,
    rate=1.0,
    breathiness=0.0,
    equaliser=Equaliser(0.0, ((1000.0, 0.0),)),
    room=DRY,
)


def felt(emotion: str, frames: int) -> Mood:
    label = ACTED_EMOTIONS.index(emotion)
    return Mood(np.full(frames, label), np.tile(np.eye(len(ACTED_EMOTIONS))[label], (frames, 1)))


@functools.cache
def said(emotion: str, frames: int = 200, **changes) -> Speech:
    return speak(dataclasses.replace(PLAIN, **changes), felt(emotion, frames), np.random.default_rng(2))


def level_per_tick(audio: np.ndarray) -> np.ndarray:
    """dB of the 10 ms around every tick."""
    power = np.convolve((audio / 32768.0) ** 2, np.ones(160) / 160, mode="same")
    return 10.0 * np.log10(power[32::64] + 1e-7)


@pytest.mark.parametrize(("emotion", "rate"), [("neutral", 1.0), ("sad", 0.92), ("angry", 1.12)])
def test_sounds_are_in_the_audio_when_the_utterance_says(emotion, rate):
    """Vowels are loud, pauses and closures are not: the levels fit the sounds best without a shift."""
    speech = said(emotion, rate=rate)
    kind = [PHONEMES[i].kind for i in speech.utterance.phoneme]
    vowel = speech.utterance.spread(np.array([k == "vowel" for k in kind]) * 1.0)
    level = level_per_tick(speech.audio)
    fits = {k: np.corrcoef(vowel, np.roll(level, k))[0, 1] for k in range(-12, 13)}
    assert fits[0] > 0.45
    assert abs(max(fits, key=fits.get)) <= 4  # 16 ms
    middle = speech.utterance.phoneme == INDEX["_"]
    pause = speech.utterance.spread(middle * (speech.utterance.ticks > 20))
    assert np.median(level[pause > 0]) < np.median(level[vowel > 0]) - 25.0


def test_tempo_of_person_and_mood_multiply():
    """The same line lasts 1 / (rate of the person × rate of the mood) as long."""
    lines = make_script(np.random.default_rng(0), load_tape(HELD_OUT).sentences, 30.0)
    for tempo in (0.7, 1.25):
        utterance = make_utterance(lines, make_clock(np.full(round(30.0 / tempo * TICK_RATE), tempo)))
        plain = make_utterance(lines, make_clock(np.ones(30 * TICK_RATE)))
        whole = slice(5, 60)
        np.testing.assert_allclose(utterance.ticks[whole].sum() * tempo, plain.ticks[whole].sum(), atol=1.0)


@pytest.mark.parametrize("frames", [1, 2, 37, 125])
def test_lengths_are_exact(frames):
    speech = speak(PLAIN, felt("happy", frames), np.random.default_rng(frames))
    assert speech.audio.shape == (640 * frames,)
    assert speech.audio.dtype == np.int16
    assert speech.utterance.ticks.sum() == TICKS_PER_FRAME * frames
    assert speech.utterance.ticks.min() >= 0
    for name in ("jaw", "lip_width", "lip_round", "loudness", "melody", "stress"):
        assert getattr(speech, name).shape == (frames,), name


def fundamental(audio: np.ndarray) -> float:
    """The median over loud frames of the lag at which the wave resembles itself most, Hz."""
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(4, 800.0, fs=16000, output="sos"), audio.astype(float))
    pieces = np.lib.stride_tricks.sliding_window_view(low, 1024)[::320]
    pieces = pieces[pieces.std(axis=1) > pieces.std()]
    spectrum = np.abs(np.fft.rfft(pieces * np.hanning(1024), 4096)) ** 2
    lags = np.fft.irfft(spectrum)[:, 40:250]
    return float(np.median(16000.0 / (40 + np.argmax(lags, axis=1))))


def test_pitch_is_that_of_person_and_mood():
    plain = fundamental(said("neutral").audio)
    assert abs(plain / load_tape(HELD_OUT).f0 - 1.0) < 0.06
    for f0 in (0.85, 1.2):
        assert abs(fundamental(said("neutral", f0=f0).audio) / plain / f0 - 1.0) < 0.05
    assert fundamental(said("sad").audio) < 0.95 * plain < 1.05 * plain < fundamental(said("angry").audio)


def vowel(formants: tuple[float, ...], f0: float) -> Source:
    """A second of pulses through resonances."""
    epochs = np.arange(0.01, 1.0, 1.0 / f0)
    wave = np.zeros(16000)
    wave[np.round(epochs * 16000).astype(int)] = 1.0
    for hz in formants:
        pole = 0.97 * np.exp(2j * np.pi * hz / 16000)
        wave = scipy.signal.lfilter([1.0], np.real(np.poly([pole, pole.conj()])), wave)
    return Source(wave, epochs)


def resonances(wave: np.ndarray) -> np.ndarray:
    """Frequencies of the sharp poles of linear prediction (autocorrelation method, order 10 at 16 kHz), Hz."""
    x = wave * np.hanning(wave.size)
    r = scipy.signal.correlate(x, x, "full", "fft")[wave.size - 1 : wave.size + 10]
    roots = np.roots(np.r_[1.0, -scipy.linalg.solve_toeplitz(r[:-1], r[1:])])
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.85)]
    return np.sort(np.angle(roots)) * 16000 / (2 * np.pi)


@pytest.mark.parametrize(("formants", "f0"), [(1.0, 140.0), (1.12, 110.0), (0.9, 90.0)])
def test_formants_and_pitch_move_apart(formants, f0):
    source = vowel((700.0, 1900.0), 110.0)
    wave = disguise(source, 1.0, lambda t: t, lambda t: np.full_like(t, f0), formants, np.random.default_rng(0))[1600:14400]
    assert abs(fundamental(wave) / f0 - 1.0) < 0.02
    for hz in (700.0, 1900.0):
        assert np.min(np.abs(resonances(wave) - hz * formants)) < 0.05 * hz
    assert 0.7 < wave.std() / source.wave[1600:14400].std() < 1.4


def test_half_the_tempo_is_twice_the_length_at_the_same_pitch():
    source = vowel((700.0, 1900.0), 110.0)
    wave = disguise(source, 2.0, lambda t: 0.5 * t, lambda t: np.full_like(t, 110.0), 1.0, np.random.default_rng(0))
    assert wave.size == 32000
    assert abs(fundamental(wave[1600:30400]) / 110.0 - 1.0) < 0.02


def centroid(audio: np.ndarray) -> float:
    """The mean frequency of the power, Hz."""
    power = np.abs(np.fft.rfft(audio.astype(float))) ** 2
    return float(np.sum(power * np.fft.rfftfreq(audio.size, 1 / 16000)) / power.sum())


def test_mood_is_audible():
    sad, neutral, angry = (said(emotion).audio.astype(float) for emotion in ("sad", "neutral", "angry"))
    assert sad.std() < 0.85 * neutral.std() < 1.1 * neutral.std() < angry.std()
    assert centroid(angry) > 1.15 * centroid(neutral)
    hiss = lambda x: np.sum(np.abs(np.fft.rfft(x))[x.size // 4 :] ** 2) / np.sum(np.abs(np.fft.rfft(x)) ** 2)
    assert hiss(said("neutral", breathiness=0.4).audio) > 1.2 * hiss(neutral)


def test_room_changes_the_sound_and_not_its_time():
    poor = dataclasses.replace(DRY, echo=-10.0, reverberation=0.3, noise=-45.0)
    dry, wet = said("neutral").audio.astype(float), said("neutral", room=poor).audio.astype(float)
    lag = np.argmax(scipy.signal.correlate(wet, dry, "full", "fft")) - dry.size + 1
    assert abs(lag) <= 2
    quiet = level_per_tick(dry) < -60.0
    assert level_per_tick(wet)[quiet].min() > -60.0
    high = lambda x: np.sum(np.abs(np.fft.rfft(x))[x.size // 3 :] ** 2)  # above 5.3 kHz
    assert high(said("neutral", room=dataclasses.replace(DRY, bandwidth=(200.0, 3500.0))).audio) < 0.1 * high(dry)


def test_jaw_and_loudness_go_together():
    speech = said("neutral", 400)
    fits = [np.corrcoef(speech.jaw[5:-5], np.roll(speech.loudness, k)[5:-5])[0, 1] for k in (-2, -1, 0, 1, 2)]
    assert fits[2] > 0.45 and np.argmax(fits) in (1, 2, 3), fits
    pause = speech.loudness < 0.01
    assert np.median(speech.jaw[pause]) < 0.1 < np.median(speech.jaw[~pause])


def test_same_arguments_same_bytes():
    voices = [make_recorded_voice(1, person, bases_of("test")) for person in (0, 0, 1)]
    assert voices[0] == voices[1] != voices[2]
    a, b, c = (speak(v, felt("happy", 50), np.random.default_rng(s)) for v, s in zip(voices, (4, 4, 4), strict=True))
    np.testing.assert_array_equal(a.audio, b.audio)
    np.testing.assert_array_equal(a.melody, b.melody)
    assert np.any(a.audio != c.audio)


def test_no_voice_is_in_two_splits():
    train, test = (
        {make_recorded_voice(0, person, bases_of(split)).base for person in range(60)} for split in ("train", "test")
    )
    assert test == {HELD_OUT}
    assert train == set(BASES) - {HELD_OUT}
    men, women = ({make_recorded_voice(0, p, bases_of("train"), man).base for p in range(60)} for man in (True, False))
    assert women == set(HIGH + BETWEEN) - {HELD_OUT} and men == set(BASES) - set(HIGH)


def test_script_speaks_every_sentence_before_one_again():
    sentences = load_tape(HELD_OUT).sentences
    lines = make_script(np.random.default_rng(1), sentences, 3600.0)
    assert len({line.sentence.text for line in lines[: len(sentences)]}) == len(sentences)
    starts = np.array([line.start for line in lines])
    ends = starts + [line.sentence.seconds for line in lines]
    assert np.all(starts[1:] - ends[:-1] > 0.1) and ends[-1] > 3600.0 - 1.0
    inside = [make_script(np.random.default_rng(s), sentences, 5.0)[0].start < 0.0 for s in range(40)]
    assert 8 < sum(inside) < 32


@pytest.mark.parametrize("base", BASES)
def test_labels_fit_the_tape(base):
    """Sounds end one after the other, inside their sentence; moments of the glottis are periods apart."""
    sentences, epochs = tapes.load_labels(base)
    for sentence in sentences:
        assert np.all(np.diff(sentence.ends) >= 0) and abs(sentence.ends[-1] - sentence.seconds) < 2e-3
        assert sentence.phoneme[0] == sentence.phoneme[-1] == INDEX["_"]
        assert len(sentence.phoneme) > 2 * len(sentence.text.split())
    assert len({s.text for s in sentences}) == len(sentences) > 50
    assert np.diff(epochs).min() > 1e-3


def test_an_hour_is_spoken():
    seconds = sum(s.seconds for base in BASES for s in tapes.load_labels(base)[0])
    assert seconds > 3600.0
    assert sum(path.stat().length for path in tapes.FOLDER.iterdir()) < 12e6


def test_no_sentence_begins_where_a_clip_ends():
    """Of clips of every length something is made, and none has a piece of sound that is too short to be changed."""
    for seed in range(6):
        for frames in (1, 3, 9):
            assert speak(PLAIN, felt("sad", frames), np.random.default_rng(seed)).audio.size == 640 * frames
    starts = [make_script(np.random.default_rng(seed), load_tape(HELD_OUT).sentences, 3.0)[-1].start for seed in range(200)]
    assert 2.6 < max(starts) < 2.9
