"""The image autoencoder, in whose latents the video stage works.

python launch/train.py --config=configs/autoencoder.py            a few minutes on 2 cores
python launch/train.py --config=configs/autoencoder.py:puppets    drawn faces, quick
python launch/train.py --config=configs/autoencoder.py:heads      people in three dimensions, 128 pixels a side, 8 pixels a cell
python launch/train.py --config=configs/autoencoder.py:base       Stable Diffusion's sizes

Measured on one core of an AMD EPYC, on people held out: heads, 72 minutes beside another training, 28.9 dB (2026-11-29);
puppets, 7 minutes (3.7 steps a second), 32.9 dB (2026-11-24).
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.common import apply_preset, get_common


def get_network(preset: str = "default") -> ConfigDict:
    """Sizes of the autoencoder; the video stage's config holds the same."""
    c = ConfigDict()
    c.image_size = 64  # side of a frame, pixels
    c.patch = 4  # pixels along the side of the squares folded into channels before the first convolution
    c.channels = (64,)  # width of each level, finest first; pixels per latent cell: patch × 2^(levels − 1)
    c.blocks = 1  # residual blocks per level of the encoder; the decoder has one more
    c.middle = False  # residual block, self-attention and residual block at the coarsest level
    c.latent_channels = 16  # numbers in one latent cell; with 4, what the autoencoder loses bounds the video of puppets
    c.groups = 8  # of group normalisation
    c.linear = True  # a linear map beside each network, from pixels to latent and back: learned in hundreds of steps
    c.temporal = False  # decoder of clips: Stable Video Diffusion's, imported by launch/import_weights.py --what svd_vae
    c.piece = 25  # frames that such a decoder is given at once
    if preset == "base":
        c.update(image_size=512, patch=1, channels=(128, 256, 512, 512), blocks=2, middle=True, groups=32)
        c.update(latent_channels=4, linear=False)
    if preset == "heads":
        c.update(image_size=128, channels=(48, 96), linear=False)
    return c


def get_config(preset: str = "default") -> ConfigDict:
    """Presets: `default`, `puppets`, `heads`, `base`."""
    c = get_common("autoencoder")
    c.network = get_network(preset)

    c.loss = ConfigDict()
    c.loss.pixels = "mse"  # l1 or mse: mean difference of pixels, of a range from -1 to 1
    c.loss.gradients = 0.1  # weight of the differences between neighbouring pixels
    c.loss.gradient_scales = 3  # sizes at which they are compared: 1, 1/2, 1/4 …
    c.loss.perceptual = 0.0  # weight of the distance by a network in pretrained.perceptual; 0: there is none
    c.loss.perceptual_kind = "vgg16"  # which one that is: vgg16 or lpips
    c.loss.kl = 1e-4  # weight of the divergence of the latent from a standard normal
    c.loss.adversarial = 0.0  # weight of fooling a patch discriminator; 0: there is none
    c.loss.adversarial_kind = "hinge"  # hinge or non_saturating
    c.loss.discriminator_channels = 64  # its width
    c.loss.statistics_decay = 0.99  # of the running mean and deviation of the latents, per step

    c.batch_size = 32  # frames
    c.steps = 600
    c.optimizer.learning_rate = 2e-3
    return apply_preset(c, {"puppets": _puppets, "heads": _heads, "base": _base}, preset)


def _puppets(c: ConfigDict) -> ConfigDict:
    c.steps = 1_600
    c.data.persons = 400
    c.data.clips_per_person = 3
    return c


def _heads(c: ConfigDict) -> ConfigDict:
    c.steps = 4_000
    c.data.update(kind="heads", persons=1_600, clips_per_person=1, clip_seconds=3.0, image_size=128)
    c.loss.update(pixels="l1", gradients=1.0)
    c.checkpoint.every = c.eval_every = c.preview_every = 1_000
    return c


def _base(c: ConfigDict) -> ConfigDict:
    c.data.image_size = 512
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
