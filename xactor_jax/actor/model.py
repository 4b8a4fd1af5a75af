"""The actor's interface for other stages: from audio features and a reference motion to motion latents of any length.

`rollout` and `stream` run the same compiled window over the recording (`xactor_jax.actor.rollout`), so their results are
bit-identical, also if the features arrive in pieces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key
from ml_collections import ConfigDict

from xactor_jax.actor.network import ActorNetwork
from xactor_jax.actor.rollout import Guide, Window
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.actor.stream import Features, Stream
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.emotion import Emotion, EmotionTrack, Labels, frames_of
from xactor_jax.errors import UserError
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.remat import checked_remat
from xactor_jax.variables import Variables

EmotionInput = Labels | Emotion | EmotionTrack | Sequence[EmotionTrack]
"""Any description of emotion that `xactor_jax.emotion.frames_of` takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorModel:
    """Network and diffusion process of one configuration. Parameters are in `Variables`; its buffers are empty."""

    network: ActorNetwork
    process: GaussianProcess
    audio_dim: int

    @classmethod
    def from_config(cls, config: ConfigDict) -> ActorModel:
        """From `config.network`, `config.diffusion` and `config.precision`. Raises `UserError` if sizes do not fit together."""
        n = config.network
        if n.context % n.chunk:
            raise UserError(f"a context of {n.context} frames is not a whole number of chunks of {n.chunk}: make it a multiple")
        if n.width % (4 * n.heads):
            raise UserError(f"a width of {n.width} does not give {n.heads} heads a multiple of 4 features each: change either")
        dtype, remat = compute_dtype(config.precision), checked_remat(config.remat)
        network = ActorNetwork(dtype=dtype, remat=remat, **{name: value for name, value in n.items() if name != "audio_dim"})
        return cls(network=network, process=GaussianProcess(**config.diffusion), audio_dim=n.audio_dim)

    @property
    def motion_dim(self) -> int:
        """D, as every stage that has motion latents calls it."""
        return self.network.latent_dim

    def window(self, settings: RolloutSettings) -> Window:
        """The sampling window. Raises `UserError` for a context that the network was not built for."""
        n, context = self.network, settings.context or self.network.context
        if context > n.context or context % n.chunk or context < 0:
            raise UserError(
                f"a rollout.context of {context} frames is not a multiple of {n.chunk} up to {n.context}: choose one."
            )
        return Window.of(n.clone(context=context), self.process, settings)

    def rollout(
        self,
        variables: Variables,
        key: Key[Array, ""] | Key[Array, "batch"],
        audio_features: Features,
        reference_motion: Float[Array | np.ndarray, "batch dim"],
        emotion: EmotionInput | None = None,
        settings: RolloutSettings | None = None,
    ) -> Float[Array, "batch frames dim"]:
        """Motion latents, one for each frame of `audio_features`.

        A pure function. On arrays, the window is compiled once for all lengths. Inside `jax.jit` or `jax.pmap`, where the
        length is fixed, the loop over windows becomes a scan. With one `key`, example i uses fold_in(key, i); or give one key
        for each example. `emotion`: labels for examples or frames, with or without intensities, or emotion tracks; None:
        unknown.
        """
        arguments = (variables, key, audio_features, reference_motion, emotion)
        if any(isinstance(x, Tracer) for x in jax.tree.leaves(arguments)):
            return self._scanned(*arguments, settings or RolloutSettings())
        if not audio_features.shape[1]:
            raise UserError("there are no audio features: give at least one frame (40 ms)")
        pieces = list(self.stream(variables, key, [audio_features], *arguments[3:], settings))
        return jnp.asarray(np.concatenate(pieces, axis=1))  # on the host: nothing is compiled for the number of pieces

    def stream(
        self,
        variables: Variables,
        key: Key[Array, ""] | Key[Array, "batch"],
        audio_features: Iterable[Features],
        reference_motion: Float[Array | np.ndarray, "batch dim"],
        emotion: EmotionInput | None = None,
        settings: RolloutSettings | None = None,
    ) -> Iterator[Float[Array, "batch c dim"]]:
        """Yields motion latents as soon as they are final, from features that arrive in pieces of any length.

        The total number of frames equals that of the features. Memory and cost per frame do not grow. The first frames come
        when the features of the chunks in flight, and of `audio_radius` more frames, have arrived.
        """
        stream = self.open_stream(variables, key, reference_motion, emotion, settings)
        for piece in audio_features:
            yield from stream.push(piece)
        yield from stream.finish()

    def open_stream(
        self,
        variables: Variables,
        key: Key[Array, ""] | Key[Array, "batch"],
        reference_motion: Float[Array | np.ndarray, "batch dim"],
        emotion: EmotionInput | None = None,
        settings: RolloutSettings | None = None,
    ) -> Stream:
        """Like `stream`, but the caller pushes the features. The state can be saved and restored."""
        window = self.window(settings or RolloutSettings())
        guide = make_guide(variables, key, reference_motion)
        emotion_at = lambda start, count: frames_of(emotion, len(guide.keys), start, count)
        return Stream(window, guide, emotion_at, self.audio_dim)

    def _scanned(
        self,
        variables: Variables,
        key: Key[Array, ""] | Key[Array, "batch"],
        audio: Features,
        reference_motion: Float[Array | np.ndarray, "batch dim"],
        emotion: EmotionInput | None,
        settings: RolloutSettings,
    ) -> Float[Array, "batch frames dim"]:
        """`rollout` under tracing: the same calls of the same window, with `jax.lax.scan`."""
        window, radius = self.window(settings), self.network.audio_radius
        guide, (batch, frames, _) = make_guide(variables, key, reference_motion), audio.shape
        calls = -(-(frames + window.delay) // window.stride)
        padded = jnp.asarray(audio)[:, jnp.minimum(jnp.arange(radius + calls * window.stride), frames - 1)]
        per_frame = frames_of(emotion, batch, 0, calls * window.stride)
        pieces = lambda x: jnp.moveaxis(x.reshape(batch, calls, window.stride, *x.shape[2:]), 1, 0)
        state = window.initial_state(guide, padded[:, :radius], padded[:, 0])
        step = lambda state, piece: window.advance(guide, state, *piece)
        _, latents = jax.lax.scan(step, state, (pieces(padded[:, radius:]), Emotion(*map(pieces, per_frame))))
        whole = jnp.moveaxis(latents, 0, 1).reshape(batch, -1, self.network.latent_dim)
        return whole[:, window.delay : window.delay + frames]


def make_guide(
    variables: Variables,
    key: Key[Array, ""] | Key[Array, "batch"],
    reference_motion: Float[Array | np.ndarray, "batch dim"],
) -> Guide:
    """The constants of a rollout. One key is expanded to a key for each example."""
    reference = jnp.asarray(reference_motion, jnp.float32)
    keys = key if key.ndim else jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(reference)))
    return Guide(variables.params, keys, reference)
