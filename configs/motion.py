"""Stage 1: the identity-agnostic motion VAE.

python launch/train.py --config=configs/motion.py            # a few minutes on two cores
python launch/train.py --config=configs/motion.py:puppets    # drawn faces, quick
python launch/train.py --config=configs/motion.py:heads_encoder --workdir=ENCODER    # of people in three dimensions, then:
python launch/train.py --config=configs/motion.py:heads --config.init_from=generator/encoder=ENCODER,reader=ENCODER
python launch/train.py --config=configs/motion.py:heads_sharpen --config.init_from=runs/motion-heads
python launch/train.py --config=configs/motion.py:tune --config.data.path=CLIPS    # data/assets/motion on your own clips, then:
python launch/train.py --config=configs/motion.py:tune_sharpen --config.data.path=CLIPS --config.init_from=runs/motion-tune
python launch/train.py --config=configs/motion.py:base       # the size of the paper

Measured on 2026-11-24, one core of an AMD EPYC: puppets, 35 minutes (5.3 steps a second); linear probes read the face of people
never seen at R² 0.74 and their head's pose at 0.88 (python launch/evaluate.py --out DIR --until motion).

heads: what data/assets/motion has learned, in which steps, is in docs/results.md; --config.init_from=data/assets/motion goes on
from it, and with --config.train_encoder=False its latents stay, so that actor and renderer still fit.

The style decoder paints from nothing, the warping one begins at the reference. With --config.network.decoder=style
--config.data.persons=120 --config.data.clips_per_person=2 --config.data.seed=1 --config.steps=800, after 100, 200 … 500 steps:
17.1, 18.4, 19.1, 19.6, 19.9 dB on people held out; with warp instead 20.6, 20.7, 20.8, 21.0, 21.2.

base, for 256 pixels a side, or 512 with --config.network.image_size=512 --config.data.image_size=512; millions of parameters:
61.4 of the encoder, the released architecture, and 0.4 of its variance head; 51.2 of the style decoder, 22.0 of them in its
appearance encoder; 3.9 of the discriminator. One picture of 256 pixels forward: encoder 107, decoder 132 thousand million
operations. Perceptual features are off until there are weights for them (launch/import_weights.py --what vgg16 or lpips):
    --config.loss.perceptual=1 --config.pretrained.perceptual=DIR [--config.loss.perceptual_kind=lpips]
Ablation: --config.data.augmentation.probability=0 lets the encoder see the driving frame as it is.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The defaults of the stage as one of `PRESETS` changes them."""
    return preset_config("motion", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 11_000
    c.data.persons = 400
    c.data.clips_per_person = 3
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """Many people, each for a moment: what transfers to real faces is the diversity of people, hair, light and places."""
    c.steps = 12_000
    c.data.kind = "heads"
    c.data.persons = 1_600
    c.data.clips_per_person = 1
    c.data.clip_seconds = 3.0
    c.data.examples_per_clip = 2
    c.network.image_size = c.data.image_size = 128
    c.network.encoder_widths = (48, 96, 128)
    c.network.update(widths=(48, 96, 128), fine_flow=True, gate=True, cubic=True, relative=True)
    c.loss.update(gate=0.01, truth=0.5, part_adversarial=0.02)
    c.data.augmentation.update(scale=0.1, warp=0.005)  # more would hide where in the picture the head is, to two pixels
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads_encoder(c: ConfigDict) -> ConfigDict:
    """The encoder alone, from known controls and units: seven times as many pictures a second as with the decoder."""
    c = _heads(c)
    c.steps = 2_500
    c.batch_size, c.data.examples_per_clip = 64, 4
    c.loss.update(pixel=0.0, gradient=0.0, adversarial=0.0, feature_matching=0.0, part_adversarial=0.0, gate=0.0, truth=1.0)
    c.preview_every = 0  # there are no pictures
    return c


def _heads_sharpen(c: ConfigDict) -> ConfigDict:
    """The decoder alone, mostly by its discriminators: what rebuilding leaves is blurred wherever it cannot know."""
    c = _heads(c)
    c.steps = 1_500
    c.train_encoder = False
    c.optimizer.learning_rate = 8e-4
    c.loss.update(adversarial=0.05, part_adversarial=0.05, feature_matching=0.5)
    c.ema_decay = 0.995
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """The embedded checkpoint on other people: with data.path on your own clips, in an hour rather than a day."""
    c = _heads(c)
    parts = ("generator", "discriminator", "part_discriminator")  # not the reader of truths, which nobody knows of real people
    c.init_from = ",".join(f"{part}=data/assets/motion" for part in parts)
    c.loss.truth = 0.0
    c.steps = 2_400
    c.optimizer.learning_rate = 5e-4  # a third of what the checkpoint was trained with
    c.optimizer.discriminator_scale = 1.0  # its discriminators know heads; they learn as fast as the rest
    c.ema_decay = 0.995
    c.checkpoint.every = c.eval_every = c.preview_every = 300
    return c


def _tune_sharpen(c: ConfigDict) -> ConfigDict:
    """Its last step, as `_heads_sharpen`: rebuilding other people blurs what the checkpoint drew sharply."""
    c = _heads_sharpen(c)
    c.loss.truth = 0.0
    c.steps = 400
    c.checkpoint.every = c.eval_every = c.preview_every = 200
    return c


def _base(c: ConfigDict) -> ConfigDict:
    """X-NeMo's encoder, trained through an image decoder that a motion latent modulates."""
    c.steps = 400_000
    c.batch_size = 256
    c.precision = "bfloat16"
    c.ema_decay = 0.9999
    c.optimizer.learning_rate = 1e-4
    c.optimizer.warmup_steps = 5_000
    c.network.image_size = c.data.image_size = 256
    c.network.encoder = "xnemo"
    c.network.encoder_size = 224
    c.network.encoder_widths = (64, 128, 256)
    c.network.decoder = "style"
    c.network.patch = 1
    c.network.widths = (64, 128, 256, 512, 512, 512)  # from 256 to 8 pixels a side
    c.network.discriminator_widths = (64, 128, 256, 512, 512)  # logits of 16 × 16 regions
    c.checkpoint.every = c.eval_every = c.preview_every = 5_000
    return c


PRESETS = {
    "puppets": _puppets,
    "heads_encoder": _heads_encoder,
    "heads": _heads,
    "heads_sharpen": _heads_sharpen,
    "tune": _tune,
    "tune_sharpen": _tune_sharpen,
    "base": _base,
}
