"""The image autoencoder. The video stage works in its latents.

python launch/train.py --config=configs/autoencoder.py            a few minutes on 2 cores
python launch/train.py --config=configs/autoencoder.py:puppets    drawn faces, quick
python launch/train.py --config=configs/autoencoder.py:heads      people in three dimensions, 128 pixels a side, 8 pixels a cell
python launch/train.py --config=configs/autoencoder.py:base       Stable Diffusion's sizes

Measured on one core of an AMD EPYC, on held-out people: heads takes 72 minutes beside another training and reaches 28.9 dB
(2026-11-29); puppets takes 7 minutes (3.7 steps a second) and reaches 32.9 dB (2026-11-24).
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The config of a preset: the defaults of the stage with the changes in `PRESETS`."""
    return preset_config("autoencoder", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 1_600
    c.data.persons = 400
    c.data.clips_per_person = 3
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    c.steps = 4_000
    c.data.update(kind="heads", persons=1_600, clips_per_person=1, clip_seconds=3.0, image_size=128)
    c.network.update(image_size=128, channels=(48, 96), linear=False)
    c.loss.update(pixels="l1", gradients=1.0)
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _base(c: ConfigDict) -> ConfigDict:
    c.data.image_size = 512
    c.network.update(image_size=512, patch=1, channels=(128, 256, 512, 512), blocks=2, middle=True, groups=32)
    c.network.update(latent_channels=4, linear=False)
    c.loss.update(pixels="l1", gradients=1.0)
    c.loss.kl = 1e-6
    c.loss.adversarial = 0.1
    c.batch_size = 64
    c.steps = 200_000
    c.precision = "bfloat16"
    c.optimizer.learning_rate = 1e-4
    c.optimizer.warmup_steps = 1000
    c.checkpoint.every = 5000
    c.eval_every = 5000
    c.preview_every = 5000
    return c


PRESETS = {"puppets": _puppets, "heads": _heads, "base": _base}
