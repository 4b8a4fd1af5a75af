"""The embedded actor under sounds unlike those that it was trained on: it keeps moving, by a usual amount."""

from __future__ import annotations

import pathlib

import jax
import numpy as np
import pytest

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.audio.log_mel import log_mel_features
from xactor_jax.checkpoints.embedded import embedded_checkpoint
from xactor_jax.media.audio_io import read_audio
from xactor_jax.sampling.load import load_stage

SOUNDS = ["speech_zh_news_8s", "emotional_f_9s", "sing_ja_10s", "rap_f_10s", "noisy_cafeteria_snr0_6s"]
SECONDS = 6


@pytest.mark.slow  # quick: the one below
def test_motion_neither_freezes_nor_diverges_under_any_sound(real_data: pathlib.Path) -> None:
    check_motion([read_audio(str(real_data / "audio" / f"{name}.flac"))[: SECONDS * 16000] for name in SOUNDS], SECONDS)


@pytest.mark.parametrize(("actor", "steps"), [("actor", 6), ("actor_fast", 1)])
def test_motion_neither_freezes_nor_diverges_in_silence_and_noise(actor: str, steps: int) -> None:
    check_motion([], 3, actor, steps)


def check_motion(sounds: list[np.ndarray], seconds: int, actor: str = "actor", steps: int = 6) -> None:
    """Of recordings as long as that, of silence and of noise."""
    rng = np.random.default_rng(0)
    sounds = [*sounds, np.zeros(seconds * 16000, np.float32), rng.uniform(-1, 1, seconds * 16000).astype(np.float32)]
    features = [log_mel_features(sound)[: seconds * 24] for sound in sounds]
    stage = load_stage("actor", embedded_checkpoint(actor))
    reference = np.zeros((len(sounds), stage.model.network.latent_dim), np.float32)
    settings = RolloutSettings(**{**stage.config.rollout.to_dict(), "steps": steps})
    motion = np.asarray(
        stage.model.rollout(stage.variables, jax.random.key(0), np.stack(features), reference, settings=settings)
    )
    assert np.isfinite(motion).all()
    # Latents have a standard deviation of 1 over the corpus that the actor was trained on.
    assert np.abs(motion).max() < 15.0
    late = motion[:, motion.shape[1] // 2 :]
    assert (late.std(axis=1).mean(axis=-1) > 0.05).all(), "frozen"
    assert (late.std(axis=1).mean(axis=-1) < 2.0).all(), "running away"
