"""The encoders and decoders of stage 1, by their names in its config. A new one is a module and a line in a table here.

An encoder maps pictures [b, h, w, 3] to a `Posterior` over latents [b, d]. A decoder maps reference pictures [b, h, w, 3] and
latents [n, d] to pictures [n, h, w, 3], where n is a multiple of b: the first n / b latents belong to the first reference. Both
take the arguments that `computing` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.remat import checked_remat
from xactor_jax.motion.decoder import MotionDecoder
from xactor_jax.motion.encoder import MotionEncoder
from xactor_jax.motion.hourglass import HourglassEncoder
from xactor_jax.motion.style_decoder import StyleDecoder
from xactor_jax.motion.trunk import NORM_GROUPS
from xactor_jax.settings import check_divides, check_value, choice

Make = Callable[[ConfigDict], nn.Module]
"""Makes a network from the whole config. Raises `UserError` for sizes that do not fit each other."""


def computing(config: ConfigDict) -> dict[str, Any]:
    """Arguments of every network: the type of its activations, and what its backward pass computes again."""
    return dict(dtype=compute_dtype(config.precision), remat=checked_remat(config.remat))


def encoder_size(config: ConfigDict) -> int:
    """Side of the pictures that the encoder takes."""
    return config.network.encoder_size or config.network.image_size


def convolutional_encoder(config: ConfigDict) -> MotionEncoder:
    """The small convolutional encoder."""
    n = config.network
    check_divides("network.encoder_widths", n.encoder_widths, "the groups of normalisation", NORM_GROUPS)
    check_divides("the side that the encoder sees", (encoder_size(config),), "network.patch", n.patch)
    return MotionEncoder(patch=n.patch, blocks=n.blocks, **_encoder_sizes(config))


def xnemo_encoder(config: ConfigDict) -> HourglassEncoder:
    """The released architecture of X-NeMo."""
    n = config.network
    if len(n.encoder_widths) != 3:
        raise UserError(f"network.encoder_widths={n.encoder_widths} are not those of the three stages of xnemo: give three.")
    return HourglassEncoder(attention_width=n.attention_width, **_encoder_sizes(config))


def _encoder_sizes(config: ConfigDict) -> dict[str, Any]:
    n = config.network
    return dict(latent_dim=n.latent_dim, widths=tuple(n.encoder_widths), variance=n.variance, **computing(config))


def decoder_sizes(config: ConfigDict) -> dict[str, Any]:
    """Arguments of every decoder. Raises `UserError` if the side of pictures does not divide by the patch and the levels."""
    n = config.network
    cell = n.patch * 2 ** (len(n.widths) - 1)
    if n.image_size % cell:
        raise UserError(f"network.image_size={n.image_size} is not a multiple of {cell}, patch × 2^(widths − 1): change one.")
    check_divides("network.widths", n.widths, "the groups of normalisation", NORM_GROUPS)
    return dict(patch=n.patch, widths=tuple(n.widths), blocks=n.blocks, **computing(config))


def warp_decoder(config: ConfigDict) -> MotionDecoder:
    """The decoder that moves the reference's pixels and retouches them."""
    n = config.network
    own = {name: n[name] for name in ("fine_flow", "gate", "cubic", "flows", "refine_blocks")}
    return MotionDecoder(**own, **decoder_sizes(config))


ENCODERS: Mapping[str, Make] = {
    "convolutional": convolutional_encoder,
    "xnemo": xnemo_encoder,
}
DECODERS: Mapping[str, Make] = {
    "warp": warp_decoder,
    "style": lambda config: StyleDecoder(**decoder_sizes(config)),
}


def make_encoder(config: ConfigDict) -> nn.Module:
    """The encoder that `config.network.encoder` names. Raises `UserError` for an unknown name and for sizes that do not fit."""
    check_value("network.encoder", config.network.encoder, choice(ENCODERS))
    return ENCODERS[config.network.encoder](config)


def make_decoder(config: ConfigDict) -> nn.Module:
    """The decoder that `config.network.decoder` names. Raises `UserError` like `make_encoder`."""
    check_value("network.decoder", config.network.decoder, choice(DECODERS))
    return DECODERS[config.network.decoder](config)
