"""Changes a recorded sentence into another voice: pitch, duration and formants are changed independently.

The method is pitch-synchronous overlap-add (Moulines and Charpentier, 1990, "Pitch-synchronous waveform processing techniques
for text-to-speech synthesis using diphones"). The recording x is cut at the glottal epochs m_i into grains of two periods T_i.
Grain i(k) is placed at time n_k of the result and played faster by the formant factor c:

    y(t) = Σ_k a_k w((t - n_k) c / T_i(k)) x(m_i(k) + (t - n_k) c),      w(z) = (1 + cos π z) / 2 for |z| < 1              (1)
    ∫₀^{n_k} f(t) dt = k                                                                                                  (2)
    i(k) = argmin_i |m_i - s(n_k)|,      a_k² = c / (f(n_k) T_i(k))                                                       (3)

f is the new fundamental frequency, s the clock of `data.performers.script`, and a keeps the power. (1) adds the grains, (2)
gives the new pitch, (3) chooses grains for the new duration. In unvoiced sound, grains of 10 ms are taken at random positions
near s(n_k), because regular repetition would sound like a tone.
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
"""Sampling rate at which grains are added; their positions are rounded to its samples."""

FORMANT_STEP = 0.02
"""Formant factors are rounded to multiples of this, so that resampling uses a ratio of small numbers."""

UNVOICED_RATE, UNVOICED_HALF = 220.0, 0.005
"""Grains per second in unvoiced sound, and half their length in seconds."""

INCOHERENT = 0.75
"""Power of overlapping grains of noise, half a grain apart, relative to that of the noise."""

LONGEST_PERIOD = 0.02
"""Largest distance of two epochs, in seconds, that still counts as voiced."""

PITCH = (55.0, 520.0)
"""Lowest and highest fundamental, Hz."""

_WINDOW = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, 2049)).astype(np.float32)

Track = Callable[[np.ndarray], np.ndarray]
"""Maps times in seconds to values."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A piece of recording: sound at 16 kHz, and its glottal epochs in seconds from its start."""

    wave: Float[np.ndarray, "samples"]
    epochs: Float[np.ndarray, "marks"]

    @property
    def periods(self) -> Float[np.ndarray, "marks"]:
        """Period at every epoch: the mean distance to its neighbours in the same voiced segment; seconds."""
        gaps = np.diff(self.epochs)
        gaps = np.where(gaps < LONGEST_PERIOD, gaps, np.nan)
        sides = np.stack([np.r_[np.nan, gaps], np.r_[gaps, np.nan]])
        known = ~np.isnan(sides)
        mean = np.where(known, sides, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.where(known.any(axis=0), mean, UNVOICED_HALF)

    def nearest(self, moments: Float[np.ndarray, "k"]) -> np.ndarray:
        """Index of the epoch nearest to each time."""
        right = np.clip(np.searchsorted(self.epochs, moments), 1, self.epochs.size - 1)
        return right - (moments - self.epochs[right - 1] < self.epochs[right] - moments)

    def is_voiced(self, moments: Float[np.ndarray, "k"]) -> Bool[np.ndarray, "k"]:
        """Whether there is an epoch within three quarters of a period of each time."""
        if self.epochs.size < 2:
            return np.zeros(moments.size, bool)
        nearest = self.nearest(moments)
        return np.abs(self.epochs[nearest] - moments) < 0.75 * self.periods[nearest]

    def melody(self, level: float) -> Track:
        """Fundamental over time, in octaves above `level` Hz; interpolated where the sound is unvoiced."""
        if self.epochs.size < 2:
            return np.zeros_like
        octaves = smooth(-np.log2(self.periods * level), 2.0)
        return lambda moments: np.interp(moments, self.epochs, octaves)


def _grains(source: Source, at: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centres and half lengths, in seconds of the recording, of the grains for times `at` of the recording (equation 3)."""
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
    """Times of the result at which grains are added (equation 2), and the number of grains per second at these times."""
    grid = np.arange(0.0, seconds + 1e-3, 1e-3)
    rate = np.where(is_voiced(grid), np.clip(fundamental(grid), *PITCH), UNVOICED_RATE)
    phase = np.concatenate([[0.0], np.cumsum(0.5e-3 * (rate[1:] + rate[:-1]))])
    moments = np.interp(np.arange(1, int(phase[-1]) + 1), phase, grid)
    return moments, np.interp(moments, grid, rate)


def _add(
    wave: np.ndarray, middles: np.ndarray, halves: np.ndarray, places: np.ndarray, gains: np.ndarray, size: int
) -> np.ndarray:
    """Adds the grains (equation 1). All arguments are in samples of the same rate."""
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
    """The recording in another voice, `seconds` long, at 16 kHz.

    Args:
        to_source: time of the result → time of the recording, both in seconds.
        fundamental: Hz at every time of the result; used where the recording is voiced.
        formants: factor of the formant frequencies.
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
