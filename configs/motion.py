"""Stage 1: the identity-agnostic motion VAE.

python launch/train.py --config=configs/motion.py            # a few minutes on two cores
python launch/train.py --config=configs/motion.py:puppets    # drawn faces, quick
python launch/train.py --config=configs/motion.py:heads_encoder --workdir=ENCODER    # people in three dimensions, then:
python launch/train.py --config=configs/motion.py:heads --config.init_from=generator/encoder=ENCODER,reader=ENCODER
python launch/train.py --config=configs/motion.py:heads_sharpen --config.init_from=runs/motion-heads
python launch/train.py --config=configs/motion.py:tune --config.data.path=CLIPS    # fine-tunes data/assets/motion, then:
python launch/train.py --config=configs/motion.py:tune_sharpen --config.data.path=CLIPS --config.init_from=runs/motion-tune
python launch/train.py --config=configs/motion.py:base       # the size of the paper

Measured on 2026-11-24, one core of an AMD EPYC: puppets takes 35 minutes (5.3 steps a second). On held-out people, linear
probes read the face at R² 0.74 and the head's pose at 0.88 (python launch/evaluate.py --out DIR --until motion).

heads: docs/results.md has the steps that trained data/assets/motion, and its results. --config.init_from=data/assets/motion
continues its training. With --config.train_encoder=False its latents do not change, so that actor and renderer still fit.

The style decoder paints the whole picture. The warping decoder starts from the reference picture, so it is better after few
steps. With --config.network.decoder=style --config.data.persons=120 --config.data.clips_per_person=2 --config.data.seed=1
--config.steps=800, after 100, 200 … 500 steps: 17.1, 18.4, 19.1, 19.6, 19.9 dB on held-out people. With warp instead: 20.6,
20.7, 20.8, 21.0, 21.2.

base is for 256 pixels a side, or 512 with --config.network.image_size=512 --config.data.image_size=512. Millions of parameters:
61.4 in the encoder (the released architecture) and 0.4 in its variance head; 51.2 in the style decoder, 22.0 of them in its
appearance encoder; 3.9 in the discriminator. A forward pass of one picture of 256 pixels takes 107 GFLOPs in the encoder and
132 in the decoder. The perceptual loss is off, because it needs weights (launch/import_weights.py --what vgg16 or lpips):
    --config.loss.perceptual=1 --config.pretrained.perceptual=DIR [--config.loss.perceptual_kind=lpips]
Ablation: with --config.data.augmentation.probability=0 the encoder gets the driving frame without augmentation.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import preset_config


def get_config(preset: str = "default") -> ConfigDict:
    """The config of a preset: the defaults of the stage with the changes in `PRESETS`."""
    return preset_config("motion", PRESETS, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 11_000
    c.data.persons = 400
    c.data.clips_per_person = 3
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    """Many people with short clips: transfer to real faces depends on the diversity of people, hair, light and places."""
    c.steps = 12_000
    c.data.kind = "heads"
    c.data.persons = 1_600
    c.data.clips_per_person = 1
    c.data.clip_seconds = 3.0
    c.data.examples_per_clip = 2
    c.network.image_size = c.data.image_size = 128
    c.network.encoder_widths = (48, 96, 128)
    c.network.update(widths=(48, 96, 128), fine_flow=True, gate=True, cubic=True, flows=2, refine_blocks=3, relative=True)
    c.network.update(discriminator_widths=(64, 96, 128), discriminator_detail=8.0)
    c.loss.update(gate=0.01, truth=0.5, part_adversarial=0.02)
    c.data.augmentation.update(scale=0.1, warp=0.005)  # stronger changes hide the position of the head, by two pixels
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _heads_encoder(c: ConfigDict) -> ConfigDict:
    """Trains only the encoder, on true controls and units: seven times as many pictures a second as with the decoder."""
    c = _heads(c)
    c.steps = 2_500
    c.batch_size, c.data.examples_per_clip = 64, 4
    c.loss.update(pixel=0.0, gradient=0.0, adversarial=0.0, feature_matching=0.0, part_adversarial=0.0, gate=0.0, truth=1.0)
    c.preview_every = 0  # without decoder there are no pictures
    return c


def _heads_sharpen(c: ConfigDict) -> ConfigDict:
    """Trains only the decoder, against blur: the reconstruction loss alone blurs the details that it cannot place."""
    c = _heads(c)
    c.steps = 1_500
    c.train_encoder = False
    c.optimizer.learning_rate = 8e-4
    c.optimizer.discriminator_scale = 1.0
    c.loss.update(detail=10.0, still=6.0, adversarial=0.1, part_adversarial=0.1, feature_matching=1.0)
    c.ema_decay = 0.995
    return c


def _tune(c: ConfigDict) -> ConfigDict:
    """Fine-tunes the embedded checkpoint on other people, with data.path on your own clips: an hour instead of a day."""
    c = _heads(c)
    parts = ("generator", "discriminator", "part_discriminator")  # not the reader: real people have no true controls
    c.init_from = ",".join(f"{part}=data/assets/motion" for part in parts)
    c.loss.truth = 0.0
    c.steps = 2_400
    c.optimizer.learning_rate = 5e-4  # a third of the rate that the checkpoint was trained with
    c.optimizer.discriminator_scale = 1.0  # its discriminators are trained on heads, so they must learn as fast as the rest
    c.ema_decay = 0.995
    c.checkpoint.every = c.eval_every = c.preview_every = 300
    return c


def _tune_sharpen(c: ConfigDict) -> ConfigDict:
    """The last step of fine-tuning, like `_heads_sharpen`: the reconstruction loss of `tune` makes pictures blurred."""
    c = _heads_sharpen(c)
    c.loss.truth = 0.0
    c.steps = 400
    c.checkpoint.every = c.eval_every = c.preview_every = 200
    return c


def _base(c: ConfigDict) -> ConfigDict:
    """X-NeMo's encoder, trained together with an image decoder that is modulated by the motion latent."""
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
