"""Mel-frequency cepstra of 16 kHz sound as in python_speech_features 0.6 with its defaults, the sound of SyncNet's program.

For samples s of 16 bits as they are (not divided by 32,768):

    (1) y_n = s_n − 0.97 s_{n−1},  y_0 = s_0
    (2) frame k = y_{160 k} … y_{160 k + 399}, without a window; zeros fill the last one; frames: 1 + ⌈(samples − 400) / 160⌉
    (3) P = |DFT₅₁₂(frame)|² / 512,   e = Σ P
    (4) E_j = Σ_i F_ji P_i, 26 triangles F with corners at ⌊513 f_j / 16,000⌋, where the f_j are evenly spaced in mel,
        m = 2595 log₁₀(1 + f / 700), from 0 to 8,000 Hz
    (5) c = DCT-II (orthonormal) of log E, the first 13;  c_n ← c_n (1 + 11 sin(π n / 22));  c_0 ← log e

Zeros in e and E become the smallest ε with 1 + ε ≠ 1, so that silence has a logarithm.

Why not `audio/log_mel.py` or librosa: their filters, windows, levels and padding differ, and so would the numbers.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import scipy.fft
from jaxtyping import Float, Int16

from xactor_jax.timing import SAMPLE_RATE

WINDOW, HOP = SAMPLE_RATE // 40, SAMPLE_RATE // 100
"""Length of a frame and distance between frames, samples: 25 and 10 ms."""
FFT = 512
FILTERS = 26
CEPSTRA = 13
PREEMPHASIS = 0.97
LIFTER = 22
EPSILON = float(np.finfo(np.float64).eps)
FULL_SCALE = 1 << 15
PIECE = 4096
"""Number of frames that are computed at once, to bound the memory."""


def int16(waveform: Float[np.ndarray, "samples"]) -> Int16[np.ndarray, "samples"]:
    """Sound in [-1, 1] as 16-bit samples, rounded and limited as FFmpeg does it for WAV files."""
    return np.clip(np.rint(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def mfcc(samples: Int16[np.ndarray, "samples"]) -> Float[np.ndarray, "frames 13"]:
    """Cepstra of every frame (equations 1 to 5); there must be a sample. Beside the result, memory does not grow."""
    count = 1 + max(0, math.ceil((len(samples) - WINDOW) / HOP))
    pieces = [_cepstra(_frames(samples, start, min(PIECE, count - start))) for start in range(0, count, PIECE)]
    return np.concatenate(pieces)


def _frames(samples: Int16[np.ndarray, "samples"], first: int, count: int) -> Float[np.ndarray, "frames 400"]:
    """Frames `first` to `first + count` (equations 1 and 2)."""
    start, size = first * HOP, (count - 1) * HOP + WINDOW
    piece = samples[max(0, start - 1) : start + size].astype(np.float64)
    before, piece = (0.0, piece) if start == 0 else (piece[0], piece[1:])
    emphasised = piece - PREEMPHASIS * np.append(before, piece[:-1])
    padded = np.pad(emphasised, (0, size - len(emphasised)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


def _cepstra(frames: Float[np.ndarray, "frames 400"]) -> Float[np.ndarray, "frames 13"]:
    """Equations 3 to 5."""
    power = np.square(np.abs(np.fft.rfft(frames, FFT))) / FFT
    log = lambda x: np.log(np.where(x == 0, EPSILON, x))
    cepstra = scipy.fft.dct(log(power @ filters().T), type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra[:, 0] = log(power.sum(axis=1))
    return cepstra


@functools.cache
def filters() -> Float[np.ndarray, "26 257"]:
    """The triangles F of equation 4."""
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE)
    left, middle, right = (corners[i : i + FILTERS, None] for i in range(3))
    bins = np.arange(FFT // 2 + 1)
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.where(bins < middle, np.maximum(rising, 0), np.maximum(falling, 0))
