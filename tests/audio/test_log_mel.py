"""Log-mel features against librosa, their clock, and pieces against the whole."""

from __future__ import annotations

import dataclasses
import time
import tracemalloc

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal

from xactor_jax.audio.log_mel import LogMelSettings, iter_log_mel, log_mel_features, num_features
from xactor_jax.timing import SAMPLES_PER_FRAME, num_frames

RAW = LogMelSettings(offset=0.0, scale=1.0)


def speech_like(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Noise under a slow envelope, with a gliding tone."""
    t = np.arange(samples) / 16000
    noise = rng.standard_normal(samples) * (0.02 + 0.1 * np.sin(2 * np.pi * 3 * t) ** 2)
    return (noise + 0.3 * np.sin(2 * np.pi * (200 + 400 * t) * t)).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("hertz", [0.0, 700.0, 1000.0, 3000.0])
def test_bands_are_triangles_on_slaneys_scale(hertz):
    """15 mel a kHz below 1 kHz, 27 mel for a factor of 6.4 above; a band's weights at a bin are read off a tone there."""
    t = np.arange(10 * SAMPLES_PER_FRAME) / 16000
    tone = 0.1 * np.cos(2 * np.pi * hertz * t).astype(np.float32)
    power = 10.0 ** log_mel_features(tone, dataclasses.replace(RAW, floor=1e-12))[5, :80]
    mel = lambda f: np.where(f < 1000, 15 * f / 1000, 15 + 27 * np.log(np.maximum(f, 1) / 1000) / np.log(6.4))
    f = np.linspace(0, 8000, 800_001)
    corners = np.interp(np.linspace(0, mel(np.array(8000.0)), 82), mel(f), f)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    bins = 40.0 * np.arange(201)[:, None]
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)).clip(0) * 2 / (right - left)
    spectrum = np.abs(np.fft.rfft(tone[3080:3480] * np.hanning(401)[:-1])) ** 2
    np.testing.assert_allclose(power, np.maximum(spectrum @ triangles, 1e-12), rtol=1e-3, atol=1e-6)


def librosas(padded: np.ndarray) -> np.ndarray:
    """The whole of it by librosa, whose spectra take Numba a quarter of a minute to compile."""
    return librosa.feature.melspectrogram(
        y=padded, sr=16000, n_fft=400, hop_length=160, win_length=400, n_mels=80, center=False, fmax=8000
    )


def scipys(padded: np.ndarray) -> np.ndarray:
    """The same from SciPy's spectra, through the filters of librosa."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160] * scipy.signal.get_window("hann", 400)
    filters = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80, fmax=8000)
    return filters @ (np.abs(scipy.fft.rfft(windows)) ** 2).T


@pytest.mark.parametrize("frames", [1, 7, 16, 40])
@pytest.mark.parametrize("spectrogram", [scipys, pytest.param(librosas, marks=pytest.mark.slow)])
def test_columns_are_librosas_shifted_by_half_a_hop(rng, spectrogram, frames):
    x = speech_like(rng, frames * SAMPLES_PER_FRAME)
    mel = spectrogram(np.pad(x, (120, 400)))  # the window of column c begins 120 samples before sample 160 c
    expected = np.log10(np.maximum(mel[:, : 4 * frames], 1e-5)).T.reshape(frames, 320)
    features = log_mel_features(x, RAW)
    assert features.shape == (frames, num_features()) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-3)


def test_scale_and_offset(rng):
    x = speech_like(rng, 6400)
    np.testing.assert_allclose(
        log_mel_features(x, LogMelSettings(offset=-2.0, scale=4.0)), (log_mel_features(x, RAW) + 2) / 4, atol=1e-5
    )


@pytest.mark.parametrize("frame, column", [(0, 0), (3, 0), (3, 2), (17, 3)])
def test_a_click_is_loudest_in_the_column_that_holds_it(frame, column):
    x = np.zeros(20 * SAMPLES_PER_FRAME, np.float32)
    x[frame * SAMPLES_PER_FRAME + column * 160 + 80] = 1.0
    energy = log_mel_features(x, RAW).reshape(-1, 80).mean(axis=1)
    assert energy.argmax() == 4 * frame + column
    assert energy[energy.argmax() - 1 :][0] == pytest.approx(energy[energy.argmax() + 1], abs=0.05) or frame == 0


def test_level_is_absolute(rng):
    x = speech_like(rng, 16000)
    np.testing.assert_allclose((log_mel_features(x, RAW) - log_mel_features(x / 10, RAW)).max(), 2.0, atol=1e-3)


@pytest.mark.parametrize("chunk", [1, 159, 640, 4000, 10240, 50000])
@pytest.mark.parametrize("samples", [37 * 640, 37 * 640 + 320, 37 * 640 + 319, 100, 0])
def test_pieces_are_bit_for_bit_the_whole(rng, chunk, samples):
    if chunk == 1 and samples > 1000:
        samples = samples % 640 + 1280
    x = speech_like(rng, samples)
    pieces = list(iter_log_mel(x[i : i + chunk] for i in range(0, samples, chunk)))
    whole = log_mel_features(x)
    assert len(whole) == num_frames(samples)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_a_piece_equals_its_part_of_the_whole(rng):
    x = speech_like(rng, 100 * 640)
    part = log_mel_features(x[20 * 640 : 60 * 640])
    np.testing.assert_allclose(part[1:-1], log_mel_features(x)[21:59], atol=1e-5)


def test_frames_come_as_soon_as_they_can(rng):
    stream = iter_log_mel([speech_like(rng, 640 + 120), np.zeros(640, np.float32)])
    assert len(next(stream)) == 1


def test_constant_memory(rng):
    block = speech_like(rng, 16000)
    log_mel_features(block)

    def peak(seconds: int) -> int:
        tracemalloc.start()
        frames = sum(len(piece) for piece in iter_log_mel(block for _ in range(seconds)))
        assert frames == 25 * seconds
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(40) < 1.1 * peak(4)


def test_a_hundred_times_real_time(rng):
    minute = speech_like(rng, 60 * 16000)

    def seconds() -> float:
        start = time.process_time()
        log_mel_features(minute)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.6


def test_spoken_recordings_have_about_unit_scale(real_data):
    from xactor_jax.media.audio_io import read_audio

    files = sorted((real_data / "audio").glob("speech*.flac"))
    features = np.concatenate([log_mel_features(read_audio(file)) for file in files])
    assert abs(features.mean()) < 0.5 and 0.7 < features.std() < 1.4
