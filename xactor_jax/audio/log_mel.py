"""Log-mel features of speech at the video's frame rate, for whole recordings and for streams, in NumPy.

Frame t of 25 a second covers the samples [640 t, 640 t + 640). Its features are four columns of 10 ms:

    (1)  y_c[n] = x[160 c + 80 - 200 + n] · w[n],   0 ≤ n < 400,   w[n] = (1 - cos(2πn / 400)) / 2     (x = 0 outside)
    (2)  P_c[k] = |Σ_n y_c[n] exp(-2πi k n / 400)|²,                0 ≤ k ≤ 200
    (3)  L_c[m] = log10 max(floor, Σ_k M[m, k] P_c[k])
    (4)  feature_t = concat_{c = 4t … 4t+3} (L_c - offset) / scale

M are triangles on Slaney's mel scale with unit area per Hz (Slaney, Auditory Toolbox, 1998), by `librosa.filters.mel`.
Window, hop and number of bands are those of Whisper (arXiv 2212.04356, section 2.2); the window of a column is
centred on its 10 ms. Unlike Whisper's, the scale (4) does not depend on the recording, so the features of a piece
are the features of the whole, away from the piece's two ends (7.5 ms).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int

from xactor_jax.audio.sound import Sound, silence
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME, num_frames

BLOCK_FRAMES = 16
"""Number of frames computed at a time. It is fixed, so that features of pieces and of the whole are equal bit for bit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMelSettings:
    """Settings of the features. The defaults of `offset` and `scale` suit real speech (measured: -3.6 and 1.5)."""

    num_mels: int = 80
    window: int = 400  # samples, 25 ms
    hop: int = 160  # samples, 10 ms; divides the 640 of a video frame
    fmin: float = 0.0  # Hz
    fmax: float = 8000.0  # Hz
    floor: float = 1e-5  # lower bound of the mel power in (3): below it is silence
    offset: float = -3.5  # mean of L over speech, in (4)
    scale: float = 1.5  # standard deviation of L over speech, in (4)

    @property
    def columns(self) -> int:
        """Columns per video frame."""
        return SAMPLES_PER_FRAME // self.hop

    @property
    def before(self) -> int:
        """Number of samples before a column's own 10 ms that its window covers, equation (1)."""
        return (self.window - self.hop) // 2


def num_features(settings: LogMelSettings = LogMelSettings()) -> int:
    """Length of the feature vector of one video frame."""
    return settings.columns * settings.num_mels


@functools.lru_cache(maxsize=8)
def _sparse_filters(settings: LogMelSettings) -> tuple[Int[np.ndarray, "mels width"], Float[np.ndarray, "mels width"]]:
    """Of M in equation (3): the few bins that each triangle covers, and its weights there.

    A product with the full matrix would wake all threads of the linear algebra library for a very small task.
    """
    from librosa.filters import mel  # here, since importing it takes more than a second

    filters = mel(sr=SAMPLE_RATE, n_fft=settings.window, n_mels=settings.num_mels, fmin=settings.fmin, fmax=settings.fmax)
    first = np.argmax(filters > 0, axis=1)
    bins = first[:, None] + np.arange(np.count_nonzero(filters, axis=1).max())
    bins = np.minimum(bins, filters.shape[1] - 1)
    weights = np.take_along_axis(filters, bins, axis=1)
    weights[:, 1:][bins[:, 1:] == bins[:, :-1]] = 0  # the last bin counts once
    return bins, weights


@functools.lru_cache(maxsize=8)
def _window(settings: LogMelSettings) -> Float[np.ndarray, "window"]:
    phase = 2 * np.pi * np.arange(settings.window) / settings.window
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _block_features(samples: Float[np.ndarray, "n"], settings: LogMelSettings) -> Float[np.ndarray, "frames features"]:
    """Equations (1) to (4) for `BLOCK_FRAMES` frames, given all samples that their windows cover."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, settings.window)[:: settings.hop]
    spectrum = np.fft.rfft(windows * _window(settings))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bins, weights = _sparse_filters(settings)
    mel = np.einsum("cmk,mk->cm", power[:, bins], weights)
    level = np.log10(np.maximum(mel, np.float32(settings.floor)))
    normalised = (level - np.float32(settings.offset)) / np.float32(settings.scale)
    return normalised.astype(np.float32).reshape(-1, num_features(settings))


def _padded_features(
    samples: Float[np.ndarray, "n"], frames: int, settings: LogMelSettings
) -> Float[np.ndarray, "frames features"]:
    """Features of up to `BLOCK_FRAMES` frames. Missing samples at the end are zero."""
    needed = BLOCK_FRAMES * SAMPLES_PER_FRAME + settings.window - settings.hop
    block = np.zeros(needed, np.float32)
    block[: min(len(samples), needed)] = samples[:needed]
    return _block_features(block, settings)[:frames]


def begin(settings: LogMelSettings = LogMelSettings()) -> Sound:
    """The state before a recording."""
    return silence(settings.before)


def push(
    sound: Sound, piece: Float[np.ndarray, "_"], settings: LogMelSettings = LogMelSettings()
) -> tuple[Sound, list[Float[np.ndarray, "frames features"]]]:
    """The state after a piece of any length, and the features of the frames that it completes: those that end 7.5 ms before."""
    reach = settings.window - settings.hop - settings.before
    sound, done = sound.appended(piece), []
    while (ready := min((sound.samples - reach) // SAMPLES_PER_FRAME - sound.frames, BLOCK_FRAMES)) > 0:
        done.append(_padded_features(sound.waiting, ready, settings))
        sound = sound.passed(ready * SAMPLES_PER_FRAME, ready)
    return sound, done


def finish(sound: Sound, settings: LogMelSettings = LogMelSettings()) -> Iterator[Float[np.ndarray, "frames features"]]:
    """Features of the remaining frames, after the last piece."""
    while (left := min(num_frames(sound.samples) - sound.frames, BLOCK_FRAMES)) > 0:
        yield _padded_features(sound.waiting, left, settings)
        sound = sound.passed(left * SAMPLES_PER_FRAME, left)


def iter_log_mel(
    chunks: Iterable[Float[np.ndarray, "_"]], settings: LogMelSettings = LogMelSettings()
) -> Iterator[Float[np.ndarray, "frames features"]]:
    """Features of a recording that arrives in pieces of any length. Together they equal `log_mel_features` of the whole.

    Every frame is returned as soon as the 7.5 ms after it have arrived. Memory does not grow with the recording.
    """
    sound = begin(settings)
    for chunk in chunks:
        sound, done = push(sound, chunk, settings)
        yield from done
    yield from finish(sound, settings)


def log_mel_features(
    waveform: Float[np.ndarray, "samples"], settings: LogMelSettings = LogMelSettings()
) -> Float[np.ndarray, "frames features"]:
    """Features of a 16 kHz waveform in [-1, 1]: one row for each of its `num_frames(samples)` video frames."""
    step = BLOCK_FRAMES * SAMPLES_PER_FRAME
    pieces = (waveform[start : start + step] for start in range(0, len(waveform), step))
    return np.concatenate(list(iter_log_mel(pieces, settings)))
