"""Recording conditions of a voice: echo, background noise, bandwidth of the line, and level.

The impulse response of the room is the direct sound, and after some milliseconds noise that decays by 60 dB in the
reverberation time and becomes duller meanwhile, as in Moorer (1979), "About this reverberation business". Room and line are one
filter. The background noise is a seamless loop, long enough that its repetition is not audible behind speech.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.signal
from jaxtyping import Float

from xactor_jax.timing import SAMPLE_RATE

LOOP = 2**17
"""Samples after which the background noise repeats."""

BLOCK = 30 * SAMPLE_RATE
"""Number of samples that are filtered at a time."""

LINE_TAPS = 129


@dataclasses.dataclass(frozen=True, kw_only=True)
class Room:
    """A place and a microphone."""

    reverberation: float  # seconds in which the echo decays by 60 dB
    echo: float  # energy of the echo relative to the direct sound, dB
    delay: float  # seconds from the direct sound to the first echo
    noise: float  # level of the noise, dB of full scale
    slope: float  # the noise's amplitude falls with this power of frequency
    hum: float  # level of the mains hum, dB of full scale
    mains: float  # frequency of the mains, Hz
    bandwidth: tuple[float, float]  # lowest and highest frequency of the line, Hz
    level: float  # of the voice, dB relative to the recording
    seed: int  # for the details of echo and noise


def make_room(rng: np.random.Generator) -> Room:
    """Random conditions, as in recordings at home: quiet or noisy, with more or less echo, one in ten over a poor line."""
    poor = rng.uniform() < 0.1
    return Room(
        reverberation=float(rng.uniform(0.1, 0.3)),
        echo=float(rng.uniform(-28.0, -14.0)),
        delay=float(rng.uniform(0.002, 0.012)),
        noise=float(rng.uniform(-78.0, -56.0)),
        slope=float(rng.uniform(0.2, 1.2)),
        hum=float(rng.uniform(-90.0, -62.0)),
        mains=float(rng.choice((50.0, 60.0))),
        bandwidth=(float(rng.uniform(100.0, 180.0)), float(rng.uniform(4500.0, 6000.0)))
        if poor
        else (float(rng.uniform(40.0, 90.0)), 7900.0),
        level=float(rng.uniform(-8.0, 4.0)),
        seed=int(rng.integers(2**31)),
    )


def response(room: Room) -> Float[np.ndarray, "taps"]:
    """Impulse response of room and line. The direct sound is delayed by (LINE_TAPS - 1) / 2 samples."""
    rng = np.random.default_rng([room.seed, 0])
    delay, length = round(room.delay * SAMPLE_RATE), round(room.reverberation * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    decay = 10.0 ** (-3.0 * time / room.reverberation)
    tail = decay * rng.standard_normal(length)
    dull = scipy.signal.lfilter([0.35], [1.0, -0.65], tail)
    mix = np.clip(time / room.reverberation, 0.0, 1.0)
    tail = (1.0 - mix) * tail + mix * dull
    tail *= 10.0 ** (room.echo / 20.0) / np.sqrt(np.sum(tail**2))
    place = np.concatenate([[1.0], np.zeros(delay), tail]) * 10.0 ** (room.level / 20.0)
    line = scipy.signal.firwin(LINE_TAPS, room.bandwidth, pass_zero=False, fs=SAMPLE_RATE)
    return scipy.signal.fftconvolve(place, line)


def noise_loop(room: Room) -> Float[np.ndarray, "loop"]:
    """One period of the room's noise and hum."""
    rng = np.random.default_rng([room.seed, 1])
    f = np.fft.rfftfreq(LOOP, 1.0 / SAMPLE_RATE)
    shape = np.maximum(f, 40.0) ** -room.slope
    noise = np.fft.irfft(shape * np.exp(2j * np.pi * rng.uniform(size=f.size)), LOOP)
    noise *= 10.0 ** (room.noise / 20.0) / noise.std()
    turns = np.round(room.mains * np.arange(1, 5) * LOOP / SAMPLE_RATE)[:, None]
    hum = np.sum(
        np.cos(2 * np.pi * (turns * np.arange(LOOP) / LOOP + rng.uniform(size=(4, 1)))) / np.arange(1, 5)[:, None], axis=0
    )
    return noise + 10.0 ** (room.hum / 20.0) * hum / hum.std()


def record(wave: Float[np.ndarray, "samples"], room: Room) -> Float[np.ndarray, "samples"]:
    """The voice as recorded in the room, without the filter's delay."""
    taps, ahead = response(room), (LINE_TAPS - 1) // 2
    noise = noise_loop(room)
    out = np.zeros(wave.size + taps.size, np.float32)
    for start in range(0, wave.size, BLOCK):
        piece = wave[start : start + BLOCK]
        out[start : start + piece.size + taps.size - 1] += scipy.signal.oaconvolve(piece, taps)
    out = out[ahead : ahead + wave.size]
    for start in range(0, out.size, LOOP):
        out[start : start + LOOP] += noise[: out.size - start]
    return out
