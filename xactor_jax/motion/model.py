"""The motion VAE as the other stages use it: pure functions from pictures to standardised motion latents and back."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from xactor_jax.checkpoints.exports import variables_hash
from xactor_jax.errors import UserError
from xactor_jax.layers.factored import each_repeated
from xactor_jax.layers.latents import kept_statistics, running_moment
from xactor_jax.motion.networks import encoder_size, make_decoder, make_encoder
from xactor_jax.motion.posterior import Posterior
from xactor_jax.variables import Tree, Variables, applied

STD_FLOOR = 1e-2  # smallest standard deviation, so that latent dimensions which the corpus does not use are not amplified


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionModel:
    """Encoder and decoder of one configuration. Parameters are in `Variables`.

    `variables.params["generator"]` holds "encoder" and "decoder". `variables.buffers` holds "latent_mean" and "latent_square"
    [D] of the corpus, which standardise the latents.
    """

    image_size: int
    encoder_size: int
    """Side of the pictures that the encoder takes. Other pictures are resized to it."""
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module
    """Encoder and decoder are networks of `xactor_jax.motion.networks`."""
    relative: bool
    """Whether the decoder takes two latents: the one of the new motion, and the reference's own."""

    @classmethod
    def from_config(cls, config: ConfigDict) -> MotionModel:
        n = config.network
        sizes = dict(image_size=n.image_size, encoder_size=encoder_size(config), latent_dim=n.latent_dim)
        return cls(encoder=make_encoder(config), decoder=make_decoder(config), relative=n.relative, **sizes)

    @property
    def motion_dim(self) -> int:
        """D, under the name that every stage with motion latents uses."""
        return self.latent_dim

    @property
    def decoder_input_dim(self) -> int:
        """Size of the decoder's latent input: D, or 2 D where it is `relative`."""
        return (1 + self.relative) * self.latent_dim

    def posterior(self, params: Tree, images: Float[Array, "n h w 3"], dropout: jax.Array | None = None) -> Posterior:
        """Gaussian over raw (not standardised) latents of each picture. With a key for `dropout`, as in training."""
        seen = (len(images), self.encoder_size, self.encoder_size, 3)
        images = images if images.shape == seen else jax.image.resize(images, seen, "linear")
        rngs = {"dropout": dropout} if dropout is not None else {}
        return applied(self.encoder, params["generator"]["encoder"], images, train=dropout is not None, rngs=rngs)

    def reconstruct(
        self,
        params: Tree,
        reference: Float[Array, "b h w 3"],
        latents: Float[Array, "n d"],
        reference_latents: Float[Array, "b d"] | None = None,
    ) -> Float[Array, "n h w 3"]:
        """The references' people with the motion of raw latents, n / b of each reference in turn.

        The references' own latents are computed if needed.
        """
        return self.reconstruct_gated(params, reference, latents, reference_latents)[0]

    def reconstruct_gated(
        self,
        params: Tree,
        reference: Float[Array, "b h w 3"],
        latents: Float[Array, "n d"],
        reference_latents: Float[Array, "b d"] | None = None,
    ) -> tuple[Float[Array, "n h w 3"], Float[Array, "n h w 1"] | None]:
        """The same pictures, and the gate g of equation 3 of decoder.py; None if the decoder has no gate."""
        if self.relative:
            own = self.posterior(params, reference).mean if reference_latents is None else reference_latents
            own = each_repeated(jax.lax.stop_gradient(own), len(latents))
            latents = jnp.concatenate([latents, own], axis=-1)
        weights = {"params": params["generator"]["decoder"]}
        images, state = self.decoder.apply(weights, reference, latents, mutable="intermediates")
        return images, *state.get("intermediates", {}).get("gate", (None,))

    def encode(self, variables: Variables, images: Float[Array, "n h w 3"]) -> Float[Array, "n d"]:
        """Standardised motion latents of pictures in [-1, 1]: the posterior mean, without randomness."""
        mean, std = latent_statistics(variables.buffers)
        return (self.posterior(variables.params, images).mean - mean) / std

    def decode(
        self,
        variables: Variables,
        reference_images: Float[Array, "b h w 3"],
        motion_latents: Float[Array, "n d"],
        reference_motion: Float[Array, "b d"] | None = None,
    ) -> Float[Array, "n h w 3"]:
        """Pictures in [-1, 1] of the references' people with the motion of standardised latents, n / b of each in turn.

        The features of a reference are computed once for all of its pictures.
        `reference_motion` is that of the reference pictures. If it is None and the decoder needs it, `encode` computes it.

        Raises `UserError` if there is only an encoder, as in released checkpoints.
        """
        if "decoder" not in variables.params["generator"]:
            raise UserError(
                "This motion checkpoint has no decoder, as those of released encoders: train one with "
                "--config=configs/motion.py:base --config.init_from=FOLDER, or render with the video stage."
            )
        mean, std = latent_statistics(variables.buffers)
        raw = [x if x is None else x * std + mean for x in (motion_latents, reference_motion)]
        return self.reconstruct(variables.params, reference_images, *raw)


def initial_statistics(size: int, name: str = "latent") -> dict[str, jax.Array]:
    """Running moments of vectors before the first step, as buffers with names that begin with `name`."""
    return {f"{name}_mean": jnp.zeros(size), f"{name}_square": jnp.ones(size), f"{name}_count": jnp.zeros(())}


def motion_hash(variables: Variables) -> str:
    """Twelve hexadecimal digits that identify the latents of a motion stage: a hash of its encoder and the latents' moments.

    Stages that differ only in their decoders share it, because what is trained on the latents of one also fits the other.
    """
    encoder = {"generator": {"encoder": variables.params["generator"]["encoder"]}}
    return variables_hash(Variables(encoder, kept_statistics(variables.buffers)))


def update_statistics(
    buffers: Tree,
    vectors: Float[Array, "n d"],
    decay: float = 0.998,
    name: str = "latent",
    known: Float[Array, "n d"] | None = None,
) -> Tree:
    """Updates the running first and second moments with the `known` entries, by equation 2 of `xactor_jax.layers.latents`.

    A column without any known entry in the batch keeps its moments.
    """
    count = buffers[f"{name}_count"]
    known = jnp.ones_like(vectors) if known is None else known
    average = lambda x: (known * x).sum(0) / jnp.maximum(known.sum(0), 1.0)
    moved = lambda old, x: jnp.where(known.any(0), running_moment(old, average(x), count, decay), old)
    mean, square = (moved(buffers[f"{name}_{kind}"], x) for kind, x in (("mean", vectors), ("square", vectors**2)))
    return {f"{name}_mean": mean, f"{name}_square": square, f"{name}_count": count + 1.0}


def latent_statistics(buffers: Tree, name: str = "latent") -> tuple[Float[Array, "d"], Float[Array, "d"]]:
    """Mean and standard deviation over the training corpus; by default those of raw latents."""
    mean = jnp.asarray(buffers[f"{name}_mean"])
    variance = jnp.maximum(buffers[f"{name}_square"] - mean**2, 0.0)
    return mean, jnp.maximum(jnp.sqrt(variance), STD_FLOOR)
