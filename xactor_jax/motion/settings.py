"""The settings of stage 1."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.checkpoints.perceptual import KINDS as DISTANCES
from xactor_jax.layers.adversarial import KINDS
from xactor_jax.motion.networks import DECODERS, ENCODERS
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import Flag, Several, check_fields, choice, real, setting, whole


@dataclass(frozen=True, kw_only=True)
class MotionRunSettings(RunSettings):
    """The config's top."""

    train_encoder: bool = setting(
        True, Flag(), "False: latents stay as they are, and with them actor and renderer; the decoder alone learns"
    )


@dataclass(frozen=True, kw_only=True)
class MotionNetworkSettings:
    """`config.network` of configs/motion.py."""

    image_size: int = setting(64, whole(1), "side of the face crop, pixels")
    encoder: str = setting("convolutional", choice(ENCODERS), "xnemo is the released one")
    encoder_size: int = setting(
        0, whole(0), "side at which the encoder sees a face crop, pixels (released: 224); 0: image_size"
    )
    variance: bool = setting(True, Flag(), "a variational encoder; off: latents without noise, and no loss.kl")
    latent_dim: int = setting(512, whole(1), "D, size of a motion latent, as in X-NeMo")
    decoder: str = setting(
        "warp",
        choice(DECODERS),
        "warp moves the reference's pixels and retouches them; style paints anew from the reference's features",
    )
    fine_flow: bool = setting(False, Flag(), "of the warping decoder: a flow for every pixel, not for every patch")
    gate: bool = setting(
        False, Flag(), "of the warping decoder: what stands still keeps the reference's own pixels (equation 3 of its module)"
    )
    cubic: bool = setting(
        False, Flag(), "of the warping decoder: cubic, not linear, interpolation between the reference's pixels"
    )
    relative: bool = setting(False, Flag(), "give the decoder the reference's own latent too")
    patch: int = setting(4, whole(1), "pixels a side that one first token covers: convolve after patching")
    widths: tuple[int, ...] = setting(
        (32, 64), Several(whole(1)), "the decoder's channels at image_size/patch, and at every halving after it"
    )
    encoder_widths: tuple[int, ...] = setting(
        (64, 96), Several(whole(1)), "the same of the encoder, which costs a fraction of what the decoder does"
    )
    attention_width: int = setting(
        1024, whole(1), "of the xnemo encoder's attention, whose encoder_widths are of its three stages"
    )
    part_side: int = setting(32, whole(1), "side at which a discriminator of their own judges eyes and mouth, pixels")
    discriminator_widths: tuple[int, ...] = setting(
        (), Several(whole(1), least=0), "the discriminator's channels, as widths; none: half of the decoder's"
    )
    blocks: int = setting(
        1, whole(1), "residual blocks at each resolution, and in the style decoder modulated convolutions but one"
    )


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """`config.loss`: weights of the terms in losses.py, and in picture_losses.py and adversarial.py of `xactor_jax.layers`."""

    pixel: float = setting(1.0, real(0.0), "of the mean absolute error")
    gradient: float = setting(1.0, real(0.0), "of the mean absolute error of image differences at three scales")
    component: float = setting(
        2.0, real(0.0), "extra weight of the eyes and of the mouth: each counts as much as this many whole pictures"
    )
    motion: float = setting(0.5, real(0.0), "extra weight of pixels that differ from the reference")
    kl: float = setting(1e-4, real(0.0), "of the divergence of one latent from the unit Gaussian, nats")
    truth: float = setting(
        0.0, real(0.0), "of reading controls and units from a latent by a linear map, where the clips know them; 0: not read"
    )
    gate: float = setting(0.0, real(0.0), "of the gate's mean: what a picture's every changed pixel costs")
    adversarial: float = setting(0.01, real(0.0), "of fooling the patch discriminator")
    adversarial_kind: str = setting("hinge", choice(KINDS), "the loss of discriminators")
    feature_matching: float = setting(0.1, real(0.0), "of the distance of the discriminator's features")
    part_adversarial: float = setting(
        0.0, real(0.0), "of fooling a discriminator of eyes and mouth alone, and its features' distance; 0: there is none"
    )
    r1: float = setting(0.0, real(0.0), "of the gradient penalty of the discriminator at true pictures; 0: there is none")
    r1_share: float = setting(
        1.0, real(0.0, 1.0, above=True), "share of the steps, drawn at random, that pay it, then so much more"
    )
    perceptual: float = setting(
        0.0, real(0.0), "of the distance by a network in pretrained.perceptual; 0: there is none, gradients take its place"
    )
    perceptual_kind: str = setting("vgg16", choice(DISTANCES), "which network that is")

    def __post_init__(self) -> None:
        check_fields(self, "loss")

    @property
    def any_picture(self) -> bool:
        """Whether any term asks for pictures; without, the encoder learns alone, and much faster."""
        judged = self.adversarial or self.feature_matching or self.part_adversarial
        return bool(self.pixel or self.gradient or self.perceptual or judged)
