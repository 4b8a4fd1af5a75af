"""What the settings of stage 1 may be, where no other class of it declares them."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import Flag, Several, choice, setting, whole

ENCODERS = ("convolutional", "xnemo")
DECODERS = ("warp", "style")


@dataclass(frozen=True, kw_only=True)
class MotionRunSettings(RunSettings):
    """The config's top."""

    train_encoder: bool = setting(allowed=Flag())


@dataclass(frozen=True, kw_only=True)
class MotionNetworkSettings:
    """`config.network` of configs/motion.py."""

    image_size: int = setting(allowed=whole(1))
    encoder: str = setting(allowed=choice(ENCODERS))
    encoder_size: int = setting(allowed=whole(0))
    variance: bool = setting(allowed=Flag())
    latent_dim: int = setting(allowed=whole(1))
    decoder: str = setting(allowed=choice(DECODERS))
    fine_flow: bool = setting(allowed=Flag())
    gate: bool = setting(allowed=Flag())
    cubic: bool = setting(allowed=Flag())
    relative: bool = setting(allowed=Flag())
    patch: int = setting(allowed=whole(1))
    widths: tuple[int, ...] = setting(allowed=Several(whole(1)))
    encoder_widths: tuple[int, ...] = setting(allowed=Several(whole(1)))
    attention_width: int = setting(allowed=whole(1))
    part_side: int = setting(allowed=whole(1))
    discriminator_widths: tuple[int, ...] = setting(allowed=Several(whole(1), least=0))
    blocks: int = setting(allowed=whole(1))
