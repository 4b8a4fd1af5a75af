"""A recorded sentence in another voice: pitch, length and formants changed apart from one another.

Pitch-synchronous overlap-add (Moulines and Charpentier, 1990, "Pitch-synchronous waveform processing techniques for
text-to-speech synthesis using diphones"). The recording x is cut at the moments m_i of its glottis into grains of two periods
T_i. Grain i(k) is heard at moment n_k of the result, played faster by the factor c of the formants:

    y(t) = Σ_k a_k w((t - n_k) c / T_i(k)) x(m_i(k) + (t - n_k) c),      w(z) = (1 + cos π z) / 2 for |z| < 1              (1)
    ∫₀^{n_k} f(t) dt = k                                                                                                  (2)
    i(k) = argmin_i |m_i - s(n_k)|,      a_k² = c / (f(n_k) T_i(k))                                                       (3)

f is the new fundamental, s the clock of `data.performers.script`, and a keeps the power. Where there is no voice, grains of
10 ms are taken near s(n_k), at random, lest their repetition be heard as a tone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.signal
from jaxtyping import Bool, Float

from data.performers.motion import smooth
from xactor_jax.timing import SAMPLE_RATE

OVERSAMPLED = 2 * SAMPLE_RATE
"""Rate at which grains are added: their places are whole samples of it."""

FORMANT_STEP = 0.02
"""Factors of formants are multiples of this, so that resampling is by a ratio of small numbers."""

UNVOICED_RATE, UNVOICED_HALF = 220.0, 0.005
"""Grains a second where there is no voice, and half their length in seconds."""

INCOHERENT = 0.75
"""Power of grains of noise added, half a grain apart, over that of the noise."""

LONGEST_PERIOD = 0.02
"""Seconds between two moments of the glottis beyond which there is no voice between them."""

PITCH = (55.0, 520.0)
"""Lowest and highest fundamental, Hz."""

_WINDOW = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, 2049)).astype(np.float32)

Track = Callable[[np.ndarray], np.ndarray]
"""A value at every moment, given in seconds."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A piece of recording: sound at 16 kHz, and in seconds from its start the moments of the glottis."""

    wave: Float[np.ndarray, "samples"]
    epochs: Float[np.ndarray, "marks"]

    @property
    def periods(self) -> Float[np.ndarray, "marks"]:
        """Of every moment, the mean distance to its neighbours within the same voiced stretch; seconds."""
        gaps = np.diff(self.epochs)
        gaps = np.where(gaps < LONGEST_PERIOD, gaps, np.nan)
        sides = np.stack([np.r_[np.nan, gaps], np.r_[gaps, np.nan]])
        known = ~np.isnan(sides)
        mean = np.where(known, sides, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.where(known.any(axis=0), mean, UNVOICED_HALF)

    def nearest(self, moments: Float[np.ndarray, "k"]) -> np.ndarray:
        """Index of the moment of the glottis that is nearest to each."""
        right = np.clip(np.searchsorted(self.epochs, moments), 1, self.epochs.size - 1)
        return right - (moments - self.epochs[right - 1] < self.epochs[right] - moments)

    def is_voiced(self, moments: Float[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """Whether the glottis moves within three quarters of a period of the moment."""
        if self.epochs.size < 2:
            return np.zeros(moments.size, bool)
        nearest = self.nearest(moments)
        return np.abs(self.epochs[nearest] - moments) < 0.75 * self.periods[nearest]

    def melody(self, level: float) -> Track:
        """Octaves of the fundamental above `level` Hz; where there is no voice, from the last to the next."""
        if self.epochs.size < 2:
            return np.zeros_like
        octaves = smooth(-np.log2(self.periods * level), 2.0)
        return lambda moments: np.interp(moments, self.epochs, octaves)


def _grains(source: Source, at: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Middles and half lengths (seconds of the recording) of what is heard at those moments of it. Equation 3."""
    middles = at + rng.uniform(-0.6, 0.6, at.size) * UNVOICED_HALF
    halves = np.full(at.size, UNVOICED_HALF)
    voiced = source.is_voiced(at)
    if voiced.any():
        nearest = source.nearest(at[voiced])
        middles[voiced], halves[voiced] = source.epochs[nearest], source.periods[nearest]
    return middles, halves


def _moments(
    seconds: float, fundamental: Track, is_voiced: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Equation 2: moments of the result at which grains are added, and how many there are a second then."""
    grid = np.arange(0.0, seconds + 1e-3, 1e-3)
    rate = np.where(is_voiced(grid), np.clip(fundamental(grid), *PITCH), UNVOICED_RATE)
    phase = np.concatenate([[0.0], np.cumsum(0.5e-3 * (rate[1:] + rate[:-1]))])
    moments = np.interp(np.arange(1, int(phase[-1]) + 1), phase, grid)
    return moments, np.interp(moments, grid, rate)


def _add(
    wave: np.ndarray, middles: np.ndarray, halves: np.ndarray, places: np.ndarray, gains: np.ndarray, size: int
) -> np.ndarray:
    """Equation 1 with everything in samples of the same rate."""
    reach = int(np.ceil(halves.max()))
    offsets = np.arange(-reach, reach + 1)
    padded = np.pad(wave, 2 * reach + 2)
    at = np.clip(np.round(middles).astype(np.int64) + 2 * reach + 2, reach, padded.size - reach - 1)
    place = np.clip(offsets[None] * (1024.0 / halves[:, None]), -1024.0, 1024.0).astype(np.int64) + 1024
    pieces = padded[at[:, None] + offsets] * _WINDOW[place] * gains[:, None].astype(np.float32)
    to = np.clip(np.round(places).astype(np.int64), 0, size)[:, None] + offsets + reach
    return np.bincount(to.ravel(), pieces.ravel(), size + 2 * reach + 1)[reach : reach + size]


def disguise(
    source: Source, seconds: float, to_source: Track, fundamental: Track, formants: float, rng: np.random.Generator
) -> Float[np.ndarray, "samples"]:
    """The recording as it sounds for so many seconds (16 kHz).

    to_source: moment of the result → moment of the recording, both in seconds.
    fundamental: Hz at every moment of the result, heeded where the recording has voice.
    formants: factor of their frequencies.
    """
    factor = round(formants / FORMANT_STEP)
    unit = round(1.0 / FORMANT_STEP)
    wave = scipy.signal.resample_poly(source.wave, 2 * unit, factor).astype(np.float32)
    rate = OVERSAMPLED * unit / factor
    moments, density = _moments(seconds, fundamental, lambda t: source.is_voiced(to_source(t)))
    at = to_source(moments)
    middles, halves = _grains(source, at, rng)
    gains = np.sqrt(factor / unit / (density * halves) / np.where(source.is_voiced(at), 1.0, INCOHERENT))
    size = 2 * round(seconds * SAMPLE_RATE)
    added = _add(wave, middles * rate, halves * rate, moments * OVERSAMPLED, gains, size)
    return scipy.signal.resample_poly(added, 1, 2)[: size // 2]
