"""Stage 2: the audio-conditioned diffusion-forcing transformer over motion latents.

python launch/train.py --config=configs/actor.py            # or :demo, the same: a few minutes on two cores
python launch/train.py --config=configs/actor.py:puppets    # of drawn faces
python launch/train.py --config=configs/actor.py:heads      # the same of people in three dimensions
python launch/train.py --config=configs/actor.py:tune       # data/assets/actor on your own clips, by launch/train_all.py
python launch/train.py --config=configs/actor.py:base       # 122 M parameters, wav2vec 2.0 base features
python launch/train.py --config=configs/actor.py:large      # 547 M parameters, wav2vec 2.0 large features

Measured on 2026-11-28, one core of an AMD EPYC beside other programs: puppets, 47 minutes (0.84 steps a second) after the clips
of 20 s are drawn and encoded (25 minutes). The command of the evaluation is in docs/results.md. It lets 2 people never seen
perform for an hour: the jaw correlates with the true one at 0.957. A linear probe recognises 0.59 of the emotions from the
generated motion, 0.68 from true motion, 0.23 by chance; with rollout.history geometric 0.57. On 2026-11-24, with
network.audio_memory 125 and levels independent per chunk alone: 0.49 and 0.47. Without objective.heard, and label embeddings
that start at the size of what they join, it was no better than chance.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The defaults of the stage as one of `PRESETS` changes them."""
    return preset_config("actor", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 2_400
    c.data.update(kind="puppets", persons=400, clips_per_person=2, image_size=64)
    c.data.clip_seconds = 20.0  # long enough for emotions to change in
    c.data.examples_per_clip = 2
    c.data.window = 125
    c.network.width = 128
    c.network.heads = 4
    c.network.audio_memory = 60
    c.network.emotions = 5  # that performers have
    c.diffusion.shift = 12.0
    c.objective.noise_levels.update(shared=1.0, monotone_from_anchor=1.0)
    c.objective.heard = 0.1
    c.objective.drop_emotion = 0.5
    c.rollout.emotion_guidance = 3.0
    c.rollout.history = "none"
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """The puppets' recipe on the clips of the other stages' `heads`: many people and voices, for a few seconds each."""
    c = _puppets(c)
    c.data.update(kind="heads", persons=1_600, clips_per_person=1, clip_seconds=3.0, image_size=128)
    c.data.window = 75
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """The embedded checkpoint on other people: their latents, from pretrained.motion, and their speech."""
    c = _heads(c)
    c.init_from = "data/assets/actor"
    c.steps = 1_500
    c.optimizer.learning_rate = 7e-4  # a third of what the checkpoint was trained with
    c.checkpoint.every = c.eval_every = c.preview_every = 300
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
    c.remat = "dots"  # eight clips then keep 2.5 GiB for the backward pass, and 10.1 without, by the shapes of what is kept
    c.optimizer.learning_rate = 5e-5
    c.network.audio_dim = 1024  # wav2vec 2.0 large, one hidden layer
    c.network.width = 1280
    c.network.depth = 20
    c.network.heads = 20
    return c


PRESETS = {"demo": lambda c: c, "puppets": _puppets, "heads": _heads, "tune": _tune, "base": _base, "large": _large}
