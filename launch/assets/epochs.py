"""Where the glottis closes: one moment in each period of voiced speech, for changing the pitch later.

The fundamental is found by pYIN (Mauch and Dixon, 2014); from the strongest peak of each voiced segment, neighbouring moments
are those a period away where the wave resembles itself most (Boersma's method in Praat), with m the last one, T its period
and x the sound below 900 Hz:

    m' = m ± argmax_{0.8 T < d < 1.2 T} corr( x[m - T/2 : m + T/2], x[m ± d - T/2 : m ± d + T/2] )                        (1)
"""

from __future__ import annotations

import librosa
import numpy as np
import scipy.ndimage
import scipy.signal
from jaxtyping import Float

RATE = 16000
HOP = 160
LOWEST, HIGHEST = 55.0, 450.0
PERIODIC = 0.6
"""Correlation of two periods from which on a sound is voiced, though pYIN should doubt it."""

CLOSEST = 20.0
"""Samples between two moments at least, where two segments meet."""


def _periodicity(wave: Float[np.ndarray, " samples"], f0: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " frames"]:
    """Correlation of two neighbouring periods at every frame."""
    padded = np.pad(wave, 700)
    values = np.zeros(f0.size)
    for i, hz in enumerate(f0):
        period = round(RATE / hz)
        first = 700 + i * HOP - period
        a, b = padded[first : first + period], padded[first + period : first + 2 * period]
        values[i] = a @ b / np.sqrt((a @ a) * (b @ b) + 1e-9)
    return values


def fundamental(wave: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " frames"]:
    """Hz every 10 ms; nan where there is no voice."""
    padded = np.pad(wave, (0, max(0, 2048 - wave.size)))
    options = {
        "sr": RATE,
        "frame_length": 1024,
        "hop_length": HOP,
        "resolution": 0.2,
        "fill_na": None,
        "beta_parameters": (2, 6),
    }
    f0, voiced, _ = librosa.pyin(padded, fmin=LOWEST, fmax=HIGHEST, **options)
    frames = wave.size // HOP + 1
    f0, voiced = f0[:frames], voiced[:frames]
    periodic = scipy.ndimage.median_filter(_periodicity(wave, f0), 3) > PERIODIC
    return np.where(scipy.ndimage.median_filter(voiced | periodic, 3), f0, np.nan)


def _resemblance(x: np.ndarray, middle: int, candidates: np.ndarray, half: int) -> np.ndarray:
    """Correlation of the wave around `middle` with that around the candidates."""
    pieces = np.lib.stride_tricks.sliding_window_view(x, 2 * half + 1)
    here, there = pieces[middle - half], pieces[candidates - half]
    return there @ here / np.sqrt((there**2).sum(axis=1) * (here**2).sum() + 1e-12)


def _finer(scores: np.ndarray, best: int) -> float:
    """The place of the top of the parabola through the best score and its neighbours."""
    if not 0 < best < scores.size - 1:
        return 0.0
    a, b, c = scores[best - 1 : best + 2]
    return float(0.5 * (a - c) / min(a - 2.0 * b + c, -1e-9))


def _walk(x: np.ndarray, period: np.ndarray, start: int, stop: int, step: int) -> list[float]:
    """Moments from `start` (left out) to `stop`; `step` says which way. Equation 1."""
    marks, middle = [], start
    while True:
        length = float(period[middle])
        far = np.arange(int(0.8 * length), int(1.2 * length) + 1)
        candidates, half = middle + step * far, int(0.5 * length)
        if (candidates[-1] - stop) * step >= 0 or candidates.min() < half or candidates.max() + half >= x.size:
            return marks
        scores = _resemblance(x, middle, candidates, half)
        best = int(np.argmax(scores))
        marks.append(float(candidates[best]) + step * _finer(scores, best))
        middle = int(candidates[best])


def _segments(voiced: np.ndarray) -> np.ndarray:
    """First and one past the last frame of every run."""
    return np.flatnonzero(np.diff(np.r_[0, voiced.astype(int), 0])).reshape(-1, 2)


def epochs(wave: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " marks"]:
    """Moments in samples, increasing; none where there is no voice."""
    f0 = fundamental(wave)
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(4, 900.0, fs=RATE, output="sos"), wave)
    low = low * (1.0 if np.mean(low**3) >= 0.0 else -1.0)
    marks: list[float] = []
    for first, last in _segments(~np.isnan(f0)):
        span = slice(first * HOP, min(last * HOP, wave.size - 1))
        frames = np.arange(first, last)
        period = RATE / np.interp(np.arange(wave.size), frames * HOP, f0[first:last])
        inside = slice(span.start + 40, max(span.start + 41, span.stop - 40))
        peak = inside.start + int(np.argmax(low[inside]))
        left = _walk(low, period, peak, span.start, -1)[::-1]
        marks += [*left, float(peak), *_walk(low, period, peak, span.stop, 1)]
    found = np.array(marks)
    return found[np.diff(found, prepend=-1e9) > CLOSEST]
