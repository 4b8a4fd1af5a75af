"""The voice says what the mouth does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.signal

from data.performers import phonemes, speech
from data.performers.emotion import ACTED_EMOTIONS, EFFECTS, Mood, make_mood
from data.performers.motion import smooth, wander
from data.performers.performance import make_performance
from data.performers.phonemes import INDEX, PHONEMES, TICK_RATE, Utterance
from data.performers.voice import Voice, make_voice
from xactor_jax.labels import CONTROLS

VOICE = Voice(f0=120.0, formant_scale=1.0, breathiness=0.02, tilt=1.0, rate=1.0)


def neutral(frames: int) -> Mood:
    return Mood(np.zeros(frames, np.int32), np.tile(np.eye(5)[0], (frames, 1)))


def say(names: str, monkeypatch, ticks: int = 100, voice: Voice = VOICE, mood: Mood | None = None) -> speech.Speech:
    """Speech of given sounds, `ticks` (of 4 ms) each, with even stress."""
    sounds = np.array([INDEX[name] for name in names])
    even = np.ones(sounds.size)
    utterance = Utterance(sounds, np.full(sounds.size, ticks), even, 0.44 * even)
    monkeypatch.setattr(phonemes, "make_utterance", lambda *_: utterance)
    frames = sounds.size * ticks // speech.TICKS_PER_FRAME
    return speech.synthesise(voice, mood or neutral(frames), np.random.default_rng(0))


def envelope_peaks(audio: np.ndarray) -> np.ndarray:
    """Frequencies of the first formants, by linear prediction (autocorrelation method, order 14 at 16 kHz)."""
    x = scipy.signal.lfilter([1, -0.9], [1], audio.astype(float)) * np.hamming(audio.size)
    r = np.correlate(x, x, "full")[audio.size - 1 : audio.size + 14]
    a = np.r_[1, -scipy.linalg.solve_toeplitz(r[:-1], r[1:])]
    roots = np.roots(a)
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.85)]
    return np.sort(np.angle(roots) * 16000 / (2 * np.pi))


@pytest.mark.parametrize("vowel", ["i", "ɑ", "ɛ"])
def test_formants_are_those_of_the_table(vowel, monkeypatch):
    audio = say("_" + vowel * 2, monkeypatch).audio[9600:16000]
    found = envelope_peaks(audio)
    row = PHONEMES[INDEX[vowel]]
    for formant in (row.f1, row.f2):
        assert np.min(np.abs(found - formant)) < 0.12 * formant + 30, found


def test_fundamental_is_the_voice(monkeypatch):
    said = say("ɑɑ", monkeypatch)
    audio = said.audio[4000:12000].astype(float)
    correlation = np.correlate(audio, audio, "full")[audio.size :]
    lag = 40 + np.argmax(correlation[40:250]) + 1
    melody = said.melody[6:19].mean()
    assert abs(melody) < 0.2
    assert abs(16000 / lag / (VOICE.f0 * 2**melody) - 1) < 0.03


def test_length_is_640_samples_a_frame():
    for frames in (1, 2, 37):
        assert speech.synthesise(VOICE, neutral(frames), np.random.default_rng(1)).audio.shape == (640 * frames,)


def test_pauses_are_silent_with_the_mouth_closed(monkeypatch):
    said = say("ɑɑ__ɑ", monkeypatch)
    pause = slice(25, 35)
    rms = np.sqrt(np.mean(said.audio.reshape(-1, 640).astype(float) ** 2, axis=1))
    assert rms[pause].max() < 1e-3 * rms[:15].mean() + 1
    assert said.jaw[pause].max() < 0.02
    assert said.jaw[5:15].min() > 0.8


def test_bilabials_close_the_lips_at_natural_speed(monkeypatch):
    for stop in "pbm":
        said = say("ɑ" + stop + "ɑ", monkeypatch, ticks=30)
        assert said.jaw.min() < 0.12, stop
        assert said.jaw.max() > 0.6, stop


def test_vowels_shape_the_lips(monkeypatch):
    shapes = {v: say(v * 2, monkeypatch) for v in "iuɑ"}
    assert shapes["i"].lip_width.mean() > 0.8 > shapes["ɑ"].lip_width.mean() + 0.5
    assert shapes["u"].lip_round.mean() > 0.9
    assert shapes["ɑ"].jaw.mean() > 0.8 > 0.4 > shapes["i"].jaw.mean()


def test_fricatives_are_high_noise(monkeypatch):
    def centre(sound: str) -> float:
        audio = say(sound * 2, monkeypatch).audio.astype(float)
        power = np.abs(np.fft.rfft(audio)) ** 2
        return float(np.sum(power * np.fft.rfftfreq(audio.size, 1 / 16000)) / power.sum())

    assert centre("s") > 5000 > centre("ʃ") > 2000 > centre("ɑ")


def test_loudness_and_first_formant_follow_the_jaw():
    jaws, loudness, low = [], [], []
    for person in range(6):
        performance = make_performance(0, person, 0, 250)
        x = performance.audio.reshape(-1, 640).astype(float)
        spectrum = np.abs(np.fft.rfft(x * np.hanning(640)))[:, 8:40]  # 200 to 1000 Hz
        voiced = np.sqrt(np.mean(x**2, 1)) > 300
        jaw = performance.controls[:, CONTROLS.index("jaw")]
        jaws.append(jaw)
        loudness.append(np.sqrt(np.mean(x**2, 1)))
        centroid = (spectrum @ np.arange(200, 1000, 25)) / (spectrum.sum(1) + 1)
        low.append(np.corrcoef(centroid[voiced], jaw[voiced])[0, 1])
    assert np.corrcoef(np.concatenate(jaws), np.concatenate(loudness))[0, 1] > 0.6
    assert np.mean(low) > 0.4


def test_emotion_is_audible(monkeypatch):
    def loudness_of(emotion: str) -> float:
        frames = 80
        mood = Mood(np.zeros(frames, np.int32), np.tile(np.eye(5)[ACTED_EMOTIONS.index(emotion)], (frames, 1)))
        said = say("ɑɑ", monkeypatch, ticks=400, mood=mood)
        return float(np.std(said.audio.astype(float)))

    levels = {emotion: loudness_of(emotion) for emotion in ACTED_EMOTIONS}
    assert levels["angry"] > 1.2 * levels["neutral"] > 1.2 * 1.1 * levels["sad"]
    assert EFFECTS["surprised"].f0 > EFFECTS["neutral"].f0 > EFFECTS["sad"].f0


def test_mood_lasts_and_changes():
    mood = make_mood(np.random.default_rng(0), 25 * 120)
    np.testing.assert_allclose(mood.share.sum(1), 1.0, atol=1e-9)
    changes = np.flatnonzero(np.diff(mood.label)) + 1
    assert set(mood.label) == set(range(5))
    assert np.diff(np.r_[0, changes, 25 * 120])[:-1].min() >= 3 * 25
    assert np.all(make_mood(np.random.default_rng(0), 500, emotion=3).label == 3)


def test_intensity_and_label_give_the_mixture_that_a_mood_is():
    """Away from the fades between emotions, effect = (1 - s) neutral + s labelled, for every effect."""
    mood = make_mood(np.random.default_rng(3), 25 * 120)
    change = np.flatnonzero(np.diff(mood.label)) + 1
    steady = np.abs(np.arange(25 * 120)[:, None] - change).min(axis=1) > 50
    effects = np.array([EFFECTS[emotion] for emotion in ACTED_EMOTIONS])
    s = mood.intensity[:, None]
    mixture = (1 - s) * effects[0] + s * effects[mood.label]
    true = np.stack([mood.effect(name) for name in EFFECTS["happy"]._fields], axis=1)
    np.testing.assert_allclose(mixture[steady], true[steady], atol=1e-6)
    felt = steady & (mood.label > 0)
    np.testing.assert_allclose(mood.intensity[felt], 1 - mood.share[felt, 0], atol=1e-6)
    assert 0.6 <= mood.intensity[felt].min() < 0.75 and 0.9 < mood.intensity[felt].max() <= 1.0
    np.testing.assert_allclose(mood.intensity[steady & (mood.label == 0)], 1.0, atol=1e-6)
    assert mood.intensity[change].max() < 0.9 and mood.intensity.min() >= 0


def test_utterance_fills_the_time_exactly():
    for ticks in (10, 333, 5000):
        utterance = phonemes.make_utterance(np.random.default_rng(ticks), ticks, VOICE, np.ones(ticks))
        assert utterance.ticks.sum() == ticks
        assert utterance.ticks.min() >= 0


def test_tempo_shortens_sounds():
    slow, fast = (
        phonemes.make_utterance(np.random.default_rng(0), 60 * TICK_RATE, VOICE, np.full(60 * TICK_RATE, rate))
        for rate in (0.7, 1.2)
    )
    assert fast.phoneme.size > 1.15 * slow.phoneme.size


def test_smooth_keeps_constants_and_wander_has_unit_variance():
    np.testing.assert_allclose(smooth(np.full((40, 2), 3.0), 4.0), 3.0)
    noise = wander(np.random.default_rng(0), 50_000, 5.0)
    assert noise.shape == (50_000,)
    assert abs(noise.std() - 1) < 0.1


def test_voices_differ():
    voices = [make_voice(0, person) for person in range(40)]
    f0 = np.array([voice.f0 for voice in voices])
    scale = np.array([voice.formant_scale for voice in voices])
    assert np.ptp(f0) > 60
    assert np.corrcoef(f0, scale)[0, 1] > 0.6
    assert len({dataclasses.astuple(voice) for voice in voices}) == 40
