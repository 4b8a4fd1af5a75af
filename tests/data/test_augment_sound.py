"""Changes of log-mel features against what the same changes of the waveform do to them."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from ml_collections import ConfigDict

from data.augment_sound import SoundAugmentation, augment_sound
from data.pipelines import LatentWindows
from data.stages import sound_augmentation
from xactor_jax.audio.log_mel import LogMelSettings, log_mel_features
from xactor_jax.errors import UserError

NOTHING = {"tract": 0.0, "gain": 0.0, "equaliser": 0.0, "reverberation": 0.0, "reverberation_share": 0.0, "noise_lowest": 200.0}
MEL = LogMelSettings()
FLOOR = np.log10(MEL.floor)


def only(**settings: float) -> SoundAugmentation:
    """A single change, always made."""
    return SoundAugmentation(**{**NOTHING, "noise_highest": 200.0, "probability": 1.0, **settings})


def levels(features: np.ndarray) -> np.ndarray:
    """Base-10 logarithm of power, one row for each column of 10 ms."""
    return features.reshape(-1, MEL.num_mels) * MEL.scale + MEL.offset


def noise(rng: np.random.Generator) -> np.ndarray:
    return (0.1 * rng.standard_normal(16_000)).astype(np.float32)


def test_no_strength_changes_nothing_and_only_the_generator_decides(rng):
    features = log_mel_features(noise(rng))
    np.testing.assert_allclose(augment_sound(features, rng, only()), features, atol=1e-4)
    strong = SoundAugmentation(probability=1.0)
    a, b, c = (augment_sound(features, np.random.default_rng(seed), strong) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_gain_is_that_of_a_louder_waveform(rng):
    x = noise(rng)
    changed = augment_sound(log_mel_features(x), np.random.default_rng(0), only(gain=0.6))
    gain = (levels(changed) - levels(log_mel_features(x))).mean()
    assert 0.05 < abs(gain) <= 0.6
    np.testing.assert_allclose(changed, log_mel_features(x * np.float32(10 ** (gain / 2))), atol=1e-3)


def test_the_tract_moves_a_tone_by_its_factor(rng):
    """A tone at 2 kHz is then where its frequency is divided by a factor within ±15 %."""
    tone = (0.3 * np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000)).astype(np.float32)
    centres = librosa.mel_frequencies(82, fmin=0.0, fmax=8000.0)[1:-1]
    features = log_mel_features(tone)
    peaks = [centres[levels(augment_sound(features, rng, only(tract=0.15))).mean(0).argmax()] for _ in range(100)]
    assert min(peaks) == pytest.approx(2000 / 1.15, rel=0.04) and max(peaks) == pytest.approx(2000 / 0.85, rel=0.04)


def test_a_room_falls_by_sixty_decibels_in_its_time():
    """After noise of 0.2 s: by 1 dB in 10 ms in the longest room, of 0.6 s, by more in others; nothing precedes the noise."""
    x = np.zeros(16_000, np.float32)
    x[6_400:9_600] = noise(np.random.default_rng(3))[:3_200]
    features, rooms, slopes = log_mel_features(x), only(reverberation=0.6, reverberation_share=1.0), []
    for seed in range(200):
        changed = levels(augment_sound(features, np.random.default_rng(seed), rooms))
        np.testing.assert_allclose(changed[:38], FLOOR, atol=1e-3)
        if changed[64].min() > FLOOR + 1.5:  # columns 63 and 64 lie wholly after the noise; silence counts as the floor
            slopes.append(10 * (changed[63] - changed[64]).mean())
    assert len(slopes) > 20
    assert 0.95 < min(slopes) < 1.05 and max(slopes) > 1.5


def test_noise_has_the_power_that_the_ratio_says(rng):
    """Silence beside a loud half is filled to the mean power of all, less 10 dB."""
    x = np.concatenate([noise(rng), np.zeros(16_000, np.float32)])
    features = log_mel_features(x)
    changed = augment_sound(features, rng, only(noise_lowest=10.0, noise_highest=10.0))
    before, after = 10.0 ** levels(features), 10.0 ** levels(changed)
    ratio = 10 * np.log10(before.mean() / after[110:].mean())
    assert ratio == pytest.approx(10 - 10 * np.log10(np.exp(0.125)), abs=0.1)  # exp(s²/2), the mean of a log-normal
    assert after[110:].std() > 0.1 * after[110:].mean()  # it is no constant


def test_only_the_real_part_changes_and_padding_stays(rng):
    clip = {
        "clip": "a",
        "motion_latents": np.ones((5, 2), np.float32),
        "audio_features": log_mel_features(noise(rng))[:5],
        "emotion": np.full(5, -1),
        "emotion_intensity": np.ones(5, np.float32),
    }
    plain, changed = (LatentWindows(1, 8, sound=sound)(clip, np.random.default_rng(0)) for sound in (None, only(gain=0.6)))
    assert np.abs(changed["audio_features"][0, :5] - plain["audio_features"][0, :5]).min() > 1e-3
    assert not changed["audio_features"][0, 5:].any()
    np.testing.assert_array_equal(changed["motion_latents"], plain["motion_latents"])


def test_features_without_bands_are_refused():
    config = ConfigDict({"data": {"audio": {"kind": "wav2vec2"}, "sound_augmentation": {"probability": 0.5}}})
    with pytest.raises(UserError, match=r"data\.sound_augmentation is of log_mel features"):
        sound_augmentation(config)
