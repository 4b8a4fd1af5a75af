"""Augmentation of log-mel features in the actor's training: the same speech with another voice, room and microphone.

L is the base-10 logarithm of a band's power P in a column of 10 ms (equation 3 of xactor_jax/audio/log_mel.py). m is a band, c
a column. The changes are applied in this order:

    (1) L'_c[m] = L_c[φ(m)],  φ scales the frequency axis by a factor       vocal tract length (VTLP; Jaitly and Hinton, 2013)
    (2) P'_c = (1 - w) P_c + w (1 - a) Σ_{k ≥ 0} aᵏ P_{c-k}                 a room, whose power falls by 60 dB in T seconds
    (3) L'_c[m] = L_c[m] + g + e(m)                                         gain, and an equaliser that is smooth over bands
    (4) P'_c = P_c + N ξ_c,  ln ξ normal                                    background noise with a spectrum of its own

Why: synthetic and read voices are clean and sound alike. An actor trained only on these fails on a real recording.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from xactor_jax.audio.log_mel import LogMelSettings
from xactor_jax.settings import SHARE, check_fields, real, setting, whole
from xactor_jax.timing import SAMPLE_RATE

Levels = Float[np.ndarray, "columns mels"]

LOG_MEL = LogMelSettings()
NOISE_STD = 0.5  # std of the natural logarithm of noise power in a band and column: about that of a mean over a few FFT bins


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundAugmentation:
    """How strongly a clip's sound is changed. Every change is drawn uniformly within its bounds."""

    probability: float = setting(0.0, SHARE, "probability of each of the four changes; 0: no augmentation")
    tract: float = setting(
        0.15, real(0.0, 1.0, below=True), "largest relative change of the frequency axis (±), which imitates other vocal tracts"
    )
    gain: float = setting(0.6, real(), "largest change of the base-10 logarithm of power (±); 1 is 10 dB")
    equaliser: float = setting(0.6, real(), "the same at each point of the equaliser (±); linear between the points")
    equaliser_points: int = setting(5, whole(2), "number of points of the equaliser, evenly spaced over the bands")
    reverberation: float = setting(0.6, real(), "longest reverberation time (decay of power by 60 dB), seconds")
    reverberation_share: float = setting(0.6, SHARE, "largest share of reverberation in the power")
    noise_lowest: float = setting(0.0, real(-200.0, 200.0), "lowest signal-to-noise ratio, dB")
    noise_highest: float = setting(40.0, real(-200.0, 200.0), "highest signal-to-noise ratio, dB")

    def __post_init__(self) -> None:
        check_fields(self, "data.sound_augmentation")


def augment_sound(
    features: Float[np.ndarray, "frames features"],
    rng: np.random.Generator,
    settings: SoundAugmentation,
    mel: LogMelSettings = LOG_MEL,
) -> Float[np.ndarray, "frames features"]:
    """Log-mel features of the same speech with another voice, room and microphone (equations 1 to 4)."""
    levels = (features.reshape(-1, mel.num_mels) * mel.scale + mel.offset).astype(np.float64)
    for change in (_change_tract, _add_room, _equalise, _add_noise):
        if rng.random() < settings.probability:
            levels = change(levels, rng, settings, mel)
    levels = np.maximum(levels, np.log10(mel.floor))
    return ((levels - mel.offset) / mel.scale).astype(np.float32).reshape(features.shape)


def _change_tract(levels: Levels, rng: np.random.Generator, settings: SoundAugmentation, mel: LogMelSettings) -> Levels:
    """Scales the frequency axis: band m takes the level at its centre frequency times a factor (equation 1)."""
    from librosa import hz_to_mel, mel_to_hz  # here, since importing them takes more than a second

    centres = np.linspace(*hz_to_mel([mel.fmin, mel.fmax]), mel.num_mels + 2)[1:-1]
    read = hz_to_mel(mel_to_hz(centres) * (1.0 + rng.uniform(-settings.tract, settings.tract)))
    places = np.clip(np.interp(read, centres, np.arange(mel.num_mels)), 0, mel.num_mels - 1)
    below = np.minimum(places.astype(int), mel.num_mels - 2)
    return levels[:, below] + (places - below) * (levels[:, below + 1] - levels[:, below])


def _add_room(levels: Levels, rng: np.random.Generator, settings: SoundAugmentation, mel: LogMelSettings) -> Levels:
    """Adds reverberation: power decays exponentially over columns (equation 2)."""
    seconds, share = rng.uniform(0.0, settings.reverberation), rng.uniform(0.0, settings.reverberation_share)
    decay = 10.0 ** (-6.0 * mel.hop / max(seconds * SAMPLE_RATE, 1.0))
    power = 10.0**levels
    from scipy.signal import lfilter  # here: every program imports this file, and SciPy takes a second to import

    return np.log10((1.0 - share) * power + share * lfilter([1.0 - decay], [1.0, -decay], power, axis=0))


def _equalise(levels: Levels, rng: np.random.Generator, settings: SoundAugmentation, mel: LogMelSettings) -> Levels:
    """Adds a gain and a smooth equaliser curve (equation 3)."""
    return levels + rng.uniform(-settings.gain, settings.gain) + _curve(rng, settings, mel)


def _add_noise(levels: Levels, rng: np.random.Generator, settings: SoundAugmentation, mel: LogMelSettings) -> Levels:
    """Adds background noise at a random signal-to-noise ratio; the signal is the bands' mean power (equation 4)."""
    ratio = rng.uniform(settings.noise_lowest, settings.noise_highest)
    power = 10.0**levels
    spectrum = 10.0 ** (2.0 * _curve(rng, settings, mel))
    mean = power.mean() * 10.0 ** (-ratio / 10.0) * spectrum / spectrum.mean()
    return np.log10(power + mean * np.exp(NOISE_STD * rng.standard_normal(levels.shape)))


def _curve(rng: np.random.Generator, settings: SoundAugmentation, mel: LogMelSettings) -> Float[np.ndarray, "mels"]:
    """A random smooth curve over bands, linear between `equaliser_points` points."""
    points = rng.uniform(-settings.equaliser, settings.equaliser, settings.equaliser_points)
    return np.interp(np.linspace(0, 1, mel.num_mels), np.linspace(0, 1, len(points)), points)
