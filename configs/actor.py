"""Stage 2: the audio-conditioned diffusion-forcing transformer over motion latents.

python launch/train.py --config=configs/actor.py            # or :demo, which is the same: a few minutes on two cores
python launch/train.py --config=configs/actor.py:puppets    # drawn faces
python launch/train.py --config=configs/actor.py:heads      # the same with people in three dimensions
python launch/train.py --config=configs/actor.py:heads_fast # distils data/assets/actor to sample in one step
python launch/train.py --config=configs/actor.py:tune       # fine-tunes data/assets/actor, by launch/train_all.py
python launch/train.py --config=configs/actor.py:base       # 122 M parameters, wav2vec 2.0 base features
python launch/train.py --config=configs/actor.py:large      # 547 M parameters, wav2vec 2.0 large features

Measured on 2026-11-28, one core of an AMD EPYC beside other programs: puppets takes 47 minutes (0.84 steps a second), after the
clips of 20 s are drawn and encoded (25 minutes). In the evaluation, 2 held-out people perform for an hour (command in
docs/results.md). The generated jaw correlates with the true one at 0.957. A linear probe recognises 0.59 of the emotions from
the generated motion (0.57 with rollout.history geometric), 0.68 from true motion, and 0.23 by chance. On 2026-11-24, with
network.audio_memory 125 and only noise levels that are independent per chunk, it was 0.49 and 0.47. Without
objective.audio_emotion and without label embeddings that start at the size of the vectors they are added to, it was no better
than chance.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The config of a preset: the defaults of the stage with the changes in `PRESETS`."""
    return preset_config("actor", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 2_400
    c.data.update(kind="puppets", persons=400, clips_per_person=2, image_size=64)
    c.data.clip_seconds = 20.0  # long enough for the emotion to change
    c.data.examples_per_clip = 2
    c.data.window = 125
    c.network.width = 128
    c.network.heads = 4
    c.network.audio_memory = 60
    c.network.emotions = 5  # the emotions of synthetic people
    c.diffusion.shift = 12.0
    c.objective.noise_levels.update(shared=1.0, monotone_from_anchor=1.0)
    c.objective.audio_emotion = 0.1
    c.objective.drop_emotion = 0.5
    c.rollout.emotion_guidance = 3.0
    c.rollout.history = "none"
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """The recipe of `puppets` on the clips of heads that the other stages use: many people and voices, a few seconds each."""
    c = _puppets(c)
    c.data.update(kind="heads", persons=1_600, clips_per_person=1, clip_seconds=3.0, image_size=128)
    c.data.window = 75
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """Fine-tunes the embedded checkpoint on other people: on their speech, and on their latents from pretrained.motion."""
    c = _heads(c)
    c.init_from = "data/assets/actor"
    c.steps = 1_500
    c.optimizer.learning_rate = 7e-4  # a third of the rate that the checkpoint was trained with
    c.checkpoint.every = c.eval_every = c.preview_every = 300
    return c


def _heads_fast(c: ConfigDict) -> ConfigDict:
    """Distils the embedded checkpoint, with its guidance, into an actor that samples in one step."""
    teacher = _heads(c).rollout
    c.phase, c.init_from = "consistency", "data/assets/actor"
    c.steps = 1_000
    c.optimizer.learning_rate = 3e-4
    c.distillation.update(audio_guidance=teacher.audio_guidance, emotion_guidance=teacher.emotion_guidance)
    c.rollout.update(stepper="consistency", steps=1, audio_guidance=1.0, emotion_guidance=1.0)
    c.rollout.temperature = 0.8  # with 1, one call moves faces faster than people do (docs/results.md)
    return c


def _base(c: ConfigDict) -> ConfigDict:
    c.steps = 300_000
    c.batch_size = 128
    c.precision = "bfloat16"
    c.diffusion.update(prediction="v", shift=1.0)
    c.objective.weighting = "min_snr"
    c.ema_decay = 0.9999
    c.optimizer.learning_rate = 1e-4
    c.optimizer.warmup_steps = 5_000
    c.optimizer.weight_decay = 1e-3
    c.data.window = 300
    c.network.audio_dim = 768  # wav2vec 2.0 base, one hidden layer
    c.network.width = 768
    c.network.depth = 12
    c.network.heads = 12
    c.network.context = 250
    c.checkpoint.every = c.eval_every = c.preview_every = 5_000
    return c


def _large(c: ConfigDict) -> ConfigDict:
    c = _base(c)
    c.remat = "dots"  # 8 clips keep 2.5 GiB for the backward pass instead of 10.1 (computed from shapes)
    c.optimizer.learning_rate = 5e-5
    c.network.audio_dim = 1024  # wav2vec 2.0 large, one hidden layer
    c.network.width = 1280
    c.network.depth = 20
    c.network.heads = 20
    return c


PRESETS = {
    "demo": lambda c: c,
    "puppets": _puppets,
    "heads": _heads,
    "heads_fast": _heads_fast,
    "tune": _tune,
    "base": _base,
    "large": _large,
}
