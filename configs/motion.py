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

from ml_collections import ConfigDict

from configs.common import apply_preset, get_common


def get_config(preset: str = "default") -> ConfigDict:
    c = get_common("motion")
    c.steps = 1_500
    c.batch_size = 16  # pairs
    c.optimizer.learning_rate = 1.5e-3
    c.optimizer.discriminator_scale = 0.3

    c.train_encoder = True  # False: latents stay as they are, and with them actor and renderer; the decoder alone learns

    c.network = ConfigDict()
    c.network.image_size = 64  # side of the face crop, pixels
    c.network.encoder = "convolutional"  # or xnemo, the released one
    c.network.encoder_size = 0  # side at which the encoder sees a face crop, pixels (released: 224); 0: image_size
    c.network.variance = True  # a variational encoder; off: latents without noise, and no loss.kl
    c.network.latent_dim = 512  # D, size of a motion latent, as in X-NeMo
    c.network.decoder = "warp"  # moves the reference's pixels and retouches them, or style: paints anew from its features
    c.network.fine_flow = False  # of the warping decoder: a flow for every pixel, not for every patch
    c.network.gate = False  # the same: what stands still keeps the reference's own pixels (equation 3 of its module)
    c.network.cubic = False  # the same: cubic, not linear, interpolation between the reference's pixels
    c.network.relative = False  # tell the decoder the reference's own latent too
    c.network.patch = 4  # pixels a side that one first token covers: convolve after patching
    c.network.widths = (32, 64)  # the decoder's channels at image_size/patch, and at every halving after it
    c.network.encoder_widths = (64, 96)  # the same of the encoder, which costs a fraction of what the decoder does
    c.network.attention_width = 1024  # of the xnemo encoder's attention, whose encoder_widths are of its three stages
    c.network.part_side = 32  # side at which a discriminator of their own judges eyes and mouth, pixels
    c.network.discriminator_widths = ()  # the same of the discriminator; none: half of the decoder's
    c.network.blocks = 1  # residual blocks at each resolution, and in the style decoder modulated convolutions but one

    c.loss = ConfigDict()
    c.loss.pixel = 1.0  # mean absolute error
    c.loss.gradient = 1.0  # mean absolute error of image differences at three scales
    c.loss.component = 2.0  # extra weight of the eyes and of the mouth: each counts as much as this many whole pictures
    c.loss.motion = 0.5  # extra weight of pixels that differ from the reference
    c.loss.kl = 1e-4  # nats of one latent, to the unit Gaussian
    c.loss.truth = 0.0  # reading controls and units from a latent by a linear map, where the clips know them; 0: not read
    c.loss.gate = 0.0  # the gate's mean: what a picture's every changed pixel costs
    c.loss.adversarial = 0.01  # weight of fooling the patch discriminator
    c.loss.adversarial_kind = "hinge"  # hinge or non_saturating
    c.loss.feature_matching = 0.1  # distance of the discriminator's features
    c.loss.part_adversarial = 0.0  # fooling a discriminator of eyes and mouth alone, and its features' distance; 0: none
    c.loss.r1 = 0.0  # gradient penalty of the discriminator at true pictures; 0: there is none
    c.loss.r1_share = 1.0  # share of the steps, drawn at random, that pay it, then so much more
    c.loss.perceptual = 0.0  # distance by a network in pretrained.perceptual; 0: there is none, gradients take its place
    c.loss.perceptual_kind = "vgg16"  # which one that is: vgg16 or lpips

    c.data.augmentation = ConfigDict()  # of the driving frame alone
    c.data.augmentation.probability = 0.9  # of changing a frame at all
    c.data.augmentation.brightness = 0.15  # ± of the full range
    c.data.augmentation.contrast = 0.25  # ± factor
    c.data.augmentation.channel_gain = 0.4  # ± factor of each colour channel
    c.data.augmentation.grayscale = 0.2  # probability of dropping colour
    c.data.augmentation.scale = 0.3  # ± factor about the centre
    c.data.augmentation.warp = 0.01  # ± displacement of the warp's control points, fraction of the side; brows move by 0.06
    c.data.augmentation.warp_points = 4  # control points a side
    heads = {"heads_encoder": _heads_encoder, "heads": _heads, "heads_sharpen": _heads_sharpen}
    tune = {"tune": _tune, "tune_sharpen": _tune_sharpen}
    presets = {"puppets": _puppets, **heads, **tune, "base": _base}
    return apply_preset(c, presets, preset)


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
