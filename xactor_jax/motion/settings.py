"""The settings of stage 1."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.layers.picture_weights import PictureWeights
from xactor_jax.motion.networks import DECODERS, ENCODERS
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import Flag, Several, check_fields, choice, real, setting, whole


@dataclass(frozen=True, kw_only=True)
class MotionRunSettings(RunSettings):
    """The run settings of configs/motion.py, at the top of the config."""

    train_encoder: bool = setting(
        True, Flag(), "whether the encoder is trained; False: only the decoder is, so actor and renderer still fit the latents"
    )


@dataclass(frozen=True, kw_only=True)
class MotionNetworkSettings:
    """Settings of the networks, `config.network` of configs/motion.py."""

    image_size: int = setting(64, whole(1), "side of the face crop, pixels")
    encoder: str = setting("convolutional", choice(ENCODERS), "architecture of the encoder; xnemo is the released one")
    encoder_size: int = setting(
        0, whole(0), "side of the face crop that the encoder takes, pixels (released: 224); 0: image_size"
    )
    variance: bool = setting(True, Flag(), "whether the encoder is variational; off: latents without noise and without loss.kl")
    latent_dim: int = setting(512, whole(1), "D, numbers in a motion latent, as in X-NeMo")
    decoder: str = setting(
        "warp",
        choice(DECODERS),
        "architecture of the decoder; warp moves and retouches the reference's pixels, style paints from its features",
    )
    fine_flow: bool = setting(False, Flag(), "for the warp decoder: whether every pixel has its own flow, not only every patch")
    gate: bool = setting(
        False, Flag(), "for the warp decoder: whether a gate keeps the reference's own pixels in regions without motion"
    )
    cubic: bool = setting(
        False, Flag(), "for the warp decoder: whether pixels of the reference are interpolated cubically, not linearly"
    )
    flows: int = setting(
        1,
        whole(1, 10),
        "for the warp decoder: how often the flow is predicted; each time after the first corrects the flow before",
    )
    refine_blocks: int = setting(
        0, whole(0), "for the warp decoder: residual blocks that paint what the warp does not show; 0: as many as blocks"
    )
    relative: bool = setting(False, Flag(), "whether the decoder also takes the reference's own latent")
    patch: int = setting(4, whole(1), "side of the squares of pixels that are folded into channels first, pixels")
    widths: tuple[int, ...] = setting(
        (32, 64), Several(whole(1)), "channels of the decoder at image_size/patch, and at every halving after it"
    )
    encoder_widths: tuple[int, ...] = setting(
        (64, 96), Several(whole(1)), "the same for the encoder, which needs a fraction of the decoder's computation"
    )
    attention_width: int = setting(
        1024, whole(1), "features of the xnemo encoder's attention; its encoder_widths are those of its three stages"
    )
    part_side: int = setting(
        32, whole(1), "side to which eyes and mouth are resized for the discriminator of these parts, pixels"
    )
    discriminator_widths: tuple[int, ...] = setting(
        (), Several(whole(1), least=0), "channels of the discriminator, at the levels of widths; none: half of the decoder's"
    )
    discriminator_detail: float = setting(
        0.0, real(0.0), "factor by which fine detail is amplified as further input of the discriminators; 0: not an input"
    )
    blocks: int = setting(
        1, whole(1), "residual blocks at each resolution; the style decoder has one modulated convolution more than this"
    )


@dataclass(frozen=True, kw_only=True)
class LossWeights(PictureWeights):
    """`config.loss`: weights of pictures, of the terms in losses.py, and of penalties."""

    kl: float = setting(1e-4, real(0.0), "weight of the KL divergence of a latent from the unit Gaussian, nats")
    truth: float = setting(
        0.0, real(0.0), "weight of the error of known controls and units, predicted from a latent by a linear map; 0: off"
    )
    gate: float = setting(0.0, real(0.0), "weight of the gate's mean, which penalises changed pixels")
    r1: float = setting(0.0, real(0.0), "weight of the gradient penalty of the discriminator at true pictures; 0: off")
    r1_share: float = setting(
        1.0, real(0.0, 1.0, above=True), "share of the steps, at random, that compute this penalty, divided by the share"
    )

    def __post_init__(self) -> None:
        check_fields(self, "loss")

    @property
    def any_picture(self) -> bool:
        """Whether any term needs pictures. If none does, only the encoder is trained, which is much faster."""
        judged = self.adversarial or self.feature_matching or self.part_adversarial
        return bool(self.pixel or self.gradient or self.perceptual or judged)
