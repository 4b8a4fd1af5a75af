"""Changes the timbre of a voice, by short Fourier transforms of 32 ms every 8 ms. At frequency f and time t,

    Y(f, t) = l(t) (f / 400 Hz)^b(t) e(f) [ (1 - h(t) / 2) X(f, t) + 1.4 h(t) p(f) <|X|>(f, t) N(f, t) ]                 (1)
    20 log10 e(f) = d log2(f / 1 kHz) + Σ_j g_j exp(-log2(f / f_j)² / 2 w²)                                              (2)
    p(f) = f² / (f² + (1.5 kHz)²)                                                                                        (3)

e is the speaker's equaliser: a tilt of d dB per octave and bells of g_j dB. h is the share of breath: noise N with the envelope
<|X|> of the speech, weighted towards high frequencies by p, as air from a leaking glottis is. l and b are the loudness and
brightness of the mood. Speech has its power around 400 Hz, so brightness relative to 400 Hz hardly changes the loudness.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.ndimage
import scipy.signal
from jaxtyping import Float

from xactor_jax.timing import SAMPLE_RATE

WINDOW, HOP = 512, 128
ENVELOPE = 11
"""Number of bins over which <|X|> is averaged: 340 Hz."""

BELL_WIDTH = 0.45  # octaves
PIVOT = 400.0  # Hz
HIGHEST_SHARE = 0.6
BREATH, BREATH_FROM = 1.4, 1500.0  # amplitude; Hz

_TRANSFORM = scipy.signal.ShortTimeFFT(np.sqrt(scipy.signal.windows.hann(WINDOW, sym=False)), HOP, SAMPLE_RATE)


@dataclasses.dataclass(frozen=True)
class Equaliser:
    """The speaker's equaliser (equation 2): tilt in dB per octave, and pairs of (Hz, dB)."""

    tilt: float
    bells: tuple[tuple[float, float], ...]

    def decibels(self, f: Float[np.ndarray, "f"]) -> Float[np.ndarray, "f"]:
        """Gain in dB at frequencies in Hz. Below 60 Hz and above 6 kHz it is constant."""
        octaves = np.log2(np.clip(f, 60.0, 6000.0) / 1000.0)
        bells = [gain * np.exp(-0.5 * ((octaves - np.log2(middle / 1000.0)) / BELL_WIDTH) ** 2) for middle, gain in self.bells]
        return self.tilt * octaves + np.sum(bells, axis=0)


def frame_times(samples: int) -> Float[np.ndarray, "frames"]:
    """Times in seconds of the centres of the transforms of a sound."""
    return _TRANSFORM.t(samples)


def colour(
    wave: Float[np.ndarray, "samples"],
    equaliser: Equaliser,
    loudness: Float[np.ndarray, "frames"],
    brightness: Float[np.ndarray, "frames"],
    breath: Float[np.ndarray, "frames"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "samples"]:
    """Changes the timbre of a sound (equation 1). The curves are given at `frame_times`."""
    spectrum = _TRANSFORM.stft(wave)
    f = _TRANSFORM.f
    share = np.clip(breath, 0.0, HIGHEST_SHARE)
    noise = _TRANSFORM.stft(rng.standard_normal(wave.size)) / np.sqrt(np.sum(_TRANSFORM.win**2))
    envelope = scipy.ndimage.uniform_filter1d(np.abs(spectrum), ENVELOPE, axis=0)
    leak = f**2 / (f**2 + BREATH_FROM**2)
    spectrum = (1.0 - 0.5 * share) * spectrum + BREATH * share * leak[:, None] * envelope * noise
    bright = np.exp(np.log(np.maximum(f, 60.0) / PIVOT)[:, None] * brightness)
    spectrum *= loudness * bright * 10.0 ** (equaliser.decibels(f) / 20.0)[:, None]
    return _TRANSFORM.istft(spectrum, 0, wave.size)
