"""The formant synthesiser: from a sequence of sounds to a waveform and the motion of the mouth.

It is a source-filter model (Klatt, 1980, "Software for a cascade/parallel formant synthesizer"), at frequency f and time t:

    S(f, t) = a_v(t) E(f) Π_k R(f; F_k(t), B_k) (f / 1 kHz)^b(t)  +  N(f) [ a_n(t) G(f; c(t), w(t)) + a_h(t) Π_k R ]      (1)
    R(f; F, B) = F² / sqrt((F² - f²)² + (f B)²)                         a resonance                                       (2)
    G(f; c, w) = exp(-(f - c)² / 2 w²)                                  friction                                          (3)

E is a train of glottal pulses (harmonics fall as k^-tilt), N white noise. The filter changes every 4 ms and is applied by
overlap-add of short Fourier transforms. Targets of neighbouring sounds blend like those of the mouth (`data.performers.mouth`).
The jaw opens with stress and emotion, and F1 and loudness rise with it, so that the sound reflects the motion of the mouth.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from data.performers import phonemes
from data.performers.emotion import Mood
from data.performers.motion import smooth, wander
from data.performers.mouth import TICKS_PER_FRAME, Speech, blend, effort_of, mouth_tracks, per_frame, per_tick
from data.performers.phonemes import TICK_RATE, Utterance, property_of
from data.performers.voice import Voice
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

HOP = SAMPLE_RATE // TICK_RATE
WINDOW, FFT = 4 * HOP, 8 * HOP
BLOCK = 2500
"""Number of ticks that are filtered at a time."""

_BANDWIDTHS = (80.0, 100.0, 140.0, 220.0, 300.0)
_LEVEL = 0.06  # fraction of full scale for a voice of unit amplitude


@dataclasses.dataclass(frozen=True)
class _Tracks:
    """All quantities of equation 1 that change with time, at every tick."""

    f0: np.ndarray
    formants: np.ndarray  # [ticks, 5]
    voice: np.ndarray
    friction: np.ndarray
    friction_centre: np.ndarray
    friction_width: np.ndarray
    breath: np.ndarray
    brightness: np.ndarray


def _melody(utterance: Utterance, mood: Mood, rng: np.random.Generator) -> Float[np.ndarray, "ticks"]:
    """Octaves above the speaker's level: falls over the phrase, rises with stress, drifts; the emotion scales its range."""
    fall = 0.16 - 0.36 * utterance.spread(utterance.place)
    accent = 0.55 * (utterance.spread(utterance.stress) - 1.0)
    drift = 0.07 * wander(rng, fall.size, 0.25 * TICK_RATE)
    return smooth(fall + accent + drift, 0.04 * TICK_RATE) * per_tick(mood.effect("f0_range"))


def _release(utterance: Utterance) -> Float[np.ndarray, "ticks"]:
    """1 while there is noise: throughout a fricative, and in the last third of a stop, which is its burst."""
    ticks = np.arange(int(utterance.ticks.sum()))
    starts = np.cumsum(utterance.ticks) - utterance.ticks
    progress = (ticks - utterance.spread(starts)) / np.maximum(utterance.spread(utterance.ticks), 1)
    is_stop = np.array([p.kind == "stop" for p in phonemes.PHONEMES])
    return np.where(utterance.spread(is_stop[utterance.phoneme]), progress > 0.67, 1.0)


def _formants(utterance: Utterance, voice: Voice, effort: np.ndarray) -> Float[np.ndarray, "ticks 5"]:
    weight = np.where(utterance.phoneme == 0, 0.05, 1.0)
    tracks = [blend(utterance, property_of(n)[utterance.phoneme], 16.0, weight) for n in ("f1", "f2", "f3")]
    tracks[0] = tracks[0] * (0.75 + 0.25 * np.clip(effort, 0.5, 1.5))
    return voice.formant_scale * np.stack([*tracks, *(np.full_like(effort, f) for f in (3500.0, 4600.0))], axis=1)


def _tracks(utterance: Utterance, voice: Voice, mood: Mood, effort: np.ndarray, melody: np.ndarray) -> _Tracks:
    column = {n: property_of(n)[utterance.phoneme] for n in ("voice", "noise", "noise_centre", "noise_width")}
    loud = per_tick(mood.effect("loudness")) * (0.5 + 0.5 * effort)
    quick = 0.006 * TICK_RATE
    voiced = smooth(utterance.spread(column["voice"]), quick) * loud
    share = np.clip(voice.breathiness + per_tick(mood.effect("breath")), 0.0, 0.6)
    return _Tracks(
        f0=voice.f0 * per_tick(mood.effect("f0")) * 2.0**melody,
        formants=_formants(utterance, voice, effort),
        voice=voiced * (1.0 - 0.5 * share),
        friction=smooth(utterance.spread(column["noise"]) * _release(utterance), 0.6 * quick) * loud,
        friction_centre=utterance.spread(column["noise_centre"]) * voice.formant_scale**0.5,
        friction_width=utterance.spread(column["noise_width"]),
        breath=voiced * share,
        brightness=per_tick(mood.effect("brightness")),
    )


def _pulses(f0: Float[np.ndarray, "ticks"], voice: Voice, rng: np.random.Generator) -> Float[np.ndarray, "samples"]:
    """The source E: a wave table of band-limited pulses, read at the integrated phase of f0 with one per cent of jitter."""
    jittered = f0 * (1.0 + 0.01 * wander(rng, f0.size, 1.0))
    per_sample = np.interp((np.arange(f0.size * HOP) + 0.5) / HOP - 0.5, np.arange(f0.size), jittered)
    phase = np.cumsum(per_sample / SAMPLE_RATE)
    harmonics = np.arange(1, max(2, int(0.5 * SAMPLE_RATE / np.percentile(f0, 90))))
    grid = np.linspace(0.0, 2.0 * np.pi, 2048, endpoint=False)
    table = np.cos(np.outer(grid, harmonics)) @ harmonics**-voice.tilt
    return (table / table.std())[((phase % 1.0) * grid.size).astype(np.int64)]


def _responses(tracks: _Tracks, block: slice) -> tuple[np.ndarray, np.ndarray]:
    """The filters of voice and noise in equation 1, float32 [ticks, bins]."""
    f = np.linspace(0.0, 0.5 * SAMPLE_RATE, FFT // 2 + 1, dtype=np.float32)
    squared = np.ones((tracks.voice[block].size, f.size), np.float32)
    for k, bandwidth in enumerate(_BANDWIDTHS):
        peak = tracks.formants[block, k, None].astype(np.float32)
        squared *= (1.0 - (f / peak) ** 2) ** 2 + (f * np.float32(bandwidth) / peak**2) ** 2
    bright = np.exp(tracks.brightness[block, None].astype(np.float32) * np.log(np.maximum(f, 60.0) / 1000.0))
    tract = bright / np.sqrt(squared)
    z = (f - tracks.friction_centre[block, None]) / tracks.friction_width[block, None]
    friction = tracks.friction[block, None] * np.exp(-0.5 * z**2)
    return tracks.voice[block, None] * tract, friction + tracks.breath[block, None] * tract


def _filter(pulses: np.ndarray, noise: np.ndarray, tracks: _Tracks) -> Float[np.ndarray, "samples"]:
    """Applies equation 1 by overlap-add: a Hann window of 16 ms at every tick, filtered with zero phase."""
    pad = FFT // 2
    window = np.pad(np.hanning(WINDOW + 1)[:-1], (FFT - WINDOW) // 2).astype(np.float32)
    sources = [np.pad(source, pad).astype(np.float32) for source in (pulses, noise)]
    out = np.zeros(pulses.size + FFT + HOP, np.float32)
    for start in range(0, tracks.voice.size, BLOCK):
        block = slice(start, start + BLOCK)
        spectra = 0.0
        for source, response in zip(sources, _responses(tracks, block), strict=True):
            pieces = np.lib.stride_tricks.sliding_window_view(source, FFT)[HOP // 2 :: HOP][block]
            spectra = spectra + np.fft.rfft(pieces * window) * response[: len(pieces)]
        for i, piece in enumerate(np.fft.irfft(spectra)):
            at = HOP // 2 + (start + i) * HOP
            out[at : at + FFT] += 0.5 * piece
    return out[pad : pad + pulses.size]


def synthesise(voice: Voice, mood: Mood, rng: np.random.Generator) -> Speech:
    """Random sounds in a voice and mood, for as many frames as the mood has; 640 samples per frame."""
    frames = len(mood.label)
    utterance = phonemes.make_utterance(rng, frames * TICKS_PER_FRAME, voice, per_tick(mood.effect("rate")))
    effort = effort_of(utterance, mood)
    melody = _melody(utterance, mood, rng)
    tracks = _tracks(utterance, voice, mood, effort, melody)
    noise = rng.normal(size=frames * SAMPLES_PER_FRAME)
    wave = _LEVEL * _filter(_pulses(tracks.f0, voice, rng), noise, tracks)
    audio = np.round(32767.0 * np.tanh(wave)).astype(np.int16)
    mouth = {name: per_frame(track) for name, track in mouth_tracks(utterance, effort).items()}
    loudness, stress = tracks.voice + tracks.friction, utterance.spread(utterance.stress * (utterance.phoneme > 0))
    return Speech(
        audio=audio,
        **mouth,
        loudness=per_frame(loudness),
        melody=per_frame(melody),
        stress=per_frame(smooth(stress, 0.05 * TICK_RATE)),
        utterance=utterance,
    )
