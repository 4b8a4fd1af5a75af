"""The trained renderer: a portrait and motion latents in, frames out; streamed or in batches.

The denoiser diffuses latents z, or with `predict_residual` their difference from a base b that is known before:
    (1) x = (z − b) / residual_std            (2) z = b + residual_std · x
b is the latent of each frame's draft (`draft`) where the renderer has one, else the reference's: "nothing moves".

Pictures come from latents by the autoencoder's decoder A. With `keep_draft` they keep what the autoencoder loses of a draft d:
    (3) x̂ = A(z) + d − A(b)
What the denoiser leaves as it is, z = b, is then the draft itself to the last pixel, in its own sharpness.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8
from ml_collections import ConfigDict

from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import classifier_free
from xactor_jax.errors import UserError
from xactor_jax.layers.precision import compute_dtype
from xactor_jax.layers.remat import checked_remat
from xactor_jax.pictures import to_uint8
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel
from xactor_jax.video.denoiser import Denoiser, DenoiserSettings
from xactor_jax.video.draft import Draft
from xactor_jax.video.loop import LoopPlan, denoise_loop, group_size, in_groups, spread_over
from xactor_jax.video.pictures import Drawn, checked
from xactor_jax.video.sampler import RenderSettings, blur, denoise_segment, frame_noise
from xactor_jax.video.unet import Bank, fold_windows
from xactor_jax.video.windows import iter_segments, stack_segments


class Portrait(NamedTuple):
    """What a clip's frames have in common: the reference's picture, latent, features, own motion, and picture's embedding."""

    picture: Float[Array, "b height width 3"]
    latent: Float[Array, "b h w c"]
    bank: Bank
    motion: Float[Array, "b d"]
    embedding: Float[Array, "b e"]
    """Of no features where the network has no place for it."""


class Told(NamedTuple):
    """What the denoiser is told of each frame: its motion latent, and the latent of its draft where there is one."""

    motion: Float[Array, "b *n d"]
    draft: Float[Array, "b *n h w c"] | None = None


class Base(NamedTuple):
    """What a frame is corrected from: b of equations 1 and 2 [b, t or 1, h, w, c], and d of equation 3 where it is at hand."""

    latent: Float[Array, "b #t h w c"]
    picture: Float[Array, "b t height width 3"] | None = None


Predict = Callable[[Float[Array, "b n t h w c"], Float[Array, ""], Told], Float[Array, "b n t h w c"]]


@dataclass(frozen=True)
class VideoModel:
    """Networks and process of the video stage; holds no arrays."""

    denoiser: Denoiser
    autoencoder: AutoencoderModel
    process: GaussianProcess
    window: int
    """Frames that the denoiser sees at once."""
    predict_residual: bool
    render_settings: RenderSettings
    """The config's own, used where a caller gives none."""
    clip: ClipModel | None = None
    """What makes the embedding of a reference picture; its parameters are the buffers "clip"."""
    draft: Draft | None = None
    """What draws each frame's draft; its variables are the buffers "draft"."""
    keep_draft: bool = False
    """Equation 3 instead of A(z) alone; needs a draft."""

    @classmethod
    def from_config(cls, config: ConfigDict) -> VideoModel:
        """From configs/video.py."""
        remat, process = checked_remat(config.get("remat", "none")), GaussianProcess(**config.diffusion.to_dict())
        render = RenderSettings.from_config(config.render)
        render.check(config.data.window, process.steps)
        settings = DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels)
        return cls(
            denoiser=Denoiser(settings, compute_dtype(config.precision), remat),
            autoencoder=AutoencoderModel.from_network(config.autoencoder, config.precision, remat),
            process=process,
            window=config.data.window,
            predict_residual=config.predict_residual,
            render_settings=render,
            clip=_clip(config),
            draft=Draft.from_config(config),
            keep_draft=config.network.get("draft", False) and config.get("keep_draft", False),
        )

    @property
    def motion_dim(self) -> int:
        """D."""
        return self.denoiser.settings.motion_dim

    @property
    def context_width(self) -> int:
        """E, features of the reference picture's embedding; 0: there is none."""
        return self.denoiser.settings.unet.context_width

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Of one frame: rows, columns, channels."""
        return self.autoencoder.settings.latent_shape

    @property
    def image_size(self) -> int:
        """Side of a frame in pixels."""
        return self.autoencoder.settings.image_size

    def render(
        self,
        variables: Variables,
        key: Key[Array, ""],
        reference_image: Float[Array | np.ndarray, "height width 3"],
        reference_motion: Float[Array | np.ndarray, "d"],
        motion_latents: Iterable[Float[Array | np.ndarray, "_ d"]],
        settings: RenderSettings | None = None,
        embedding: Float[Array | np.ndarray, "e"] | None = None,
    ) -> Iterator[UInt8[np.ndarray, "_ height width 3"]]:
        """Frames of a clip of any length, as soon as their segment is whole; memory does not grow with the length.

        `embedding` is that of the reference picture; None: what `embed` makes of it, once.

        The result does not depend on how `motion_latents` is cut into chunks. A frame's picture depends on the motion of its
        own segment and earlier ones. If `settings.offline`, it depends on all motion, which is awaited and held, and the
        windows of each step are split over the local devices.

        Raises:
            UserError: a latent or a picture is not finite.
        """
        settings = settings or self.render_settings
        shown = () if embedding is None else (jnp.asarray(embedding)[None],)
        portrait = _prepare(self, variables, jnp.asarray(reference_image)[None], jnp.asarray(reference_motion)[None], *shown)
        if settings.offline:
            yield from self._render_whole(settings, variables, key, portrait, [np.asarray(chunk) for chunk in motion_latents])
            return
        plan = settings.plan(self.window)
        known = jnp.zeros((1, plan.known, *self.latent_shape))
        for index, (motion, count) in enumerate(iter_segments(motion_latents, plan)):
            drawn, known = _segment(self, settings, variables, portrait, key[None], index, motion[None], known)
            yield checked(drawn, index * plan.new, count)

    def _render_whole(
        self, settings: RenderSettings, variables: Variables, key: Key[Array, ""], portrait: Portrait, chunks: list[np.ndarray]
    ) -> Iterator[UInt8[np.ndarray, "_ height width 3"]]:
        """Frames of one clip, `window` at a time."""
        if not sum(map(len, chunks)):
            return
        motion, devices = np.concatenate(chunks), tuple(jax.local_devices())
        z = _whole(self, settings, devices, variables, portrait, key[None], motion[None])
        for start in range(0, len(motion), self.window):
            few = slice(start, start + self.window)
            drawn = _decode(self, variables, portrait, jnp.asarray(motion[None, few]), z[:, few])
            yield checked(drawn, start, self.window)

    def render_batch(self, *arguments: Any, **more: Any) -> UInt8[Array, "b t height width 3"]:
        """The frames of `draw_batch`."""
        return self.draw_batch(*arguments, **more).frames

    def draw_batch(
        self,
        variables: Variables,
        keys: Key[Array, "b"],
        reference_images: Float[Array, "b height width 3"],
        reference_motion: Float[Array, "b d"],
        motion_latents: Float[Array, "b t d"],
        settings: RenderSettings | None = None,
        embedding: Float[Array, "b e"] | None = None,
    ) -> Drawn:
        """The same clips as `render` makes, many at once; pure, for `jit` and `pmap`."""
        settings = settings or self.render_settings
        portrait = self.prepare(variables, reference_images, reference_motion, embedding)
        if settings.offline:
            z = self.whole(settings, variables, portrait, keys, motion_latents)
            return self.draw(variables, z, self.base(variables, portrait, motion_latents) if self.keep_draft else None)
        plan = settings.plan(self.window)
        segments = jnp.swapaxes(stack_segments(motion_latents, plan), 0, 1)

        def body(known: jax.Array, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Drawn]:
            drawn, known = self.segment(settings, variables, portrait, keys, item[0], item[1], known)
            return known, drawn

        known = jnp.zeros((len(keys), plan.known, *self.latent_shape))
        _, drawn = jax.lax.scan(body, known, (jnp.arange(len(segments)), segments))
        joined = lambda x: jnp.swapaxes(x, 0, 1).reshape(len(keys), -1, *x.shape[3:])[:, : motion_latents.shape[1]]
        return jax.tree.map(joined, drawn)

    def prepare(
        self,
        variables: Variables,
        images: Float[Array, "b height width 3"],
        motion: Float[Array, "b d"],
        embedding: Float[Array, "b e"] | None = None,
    ) -> Portrait:
        """Encodes the reference and runs the reference network, once per clip."""
        embedding = self.embed(variables, images) if embedding is None else embedding
        latent = self.autoencoder.encode(variables.buffers["autoencoder"], images)
        bank = self.denoiser.apply({"params": variables.params}, latent, embedding, method="appearance")
        return Portrait(images, latent, bank, motion, embedding)

    def embed(self, variables: Variables, images: Float[Array, "b height width 3"]) -> Float[Array, "b e"]:
        """Embeddings of reference pictures; without an encoder zeros, with which released networks are told of no picture."""
        if self.clip is None:
            return jnp.zeros((len(images), self.context_width))
        return self.clip.embed(variables.buffers["clip"], images)

    def segment(
        self,
        settings: RenderSettings,
        variables: Variables,
        portrait: Portrait,
        keys: Key[Array, "b"],
        index: Int[Array, ""] | int,
        motion: Float[Array, "b s d"],
        known: Float[Array, "b k h w c"],
    ) -> tuple[Drawn, Float[Array, "b k h w c"]]:
        """New frames of segment `index`, and the latents that the next one takes over. Index 0 has no known frames."""
        plan = settings.plan(self.window)
        draw = functools.partial(frame_noise, first=index * plan.new, frames=plan.length, shape=self.latent_shape)
        predict, base = self.predictor(variables, portrait, settings), self.base(variables, portrait, motion)
        has_known = jnp.asarray(index) > 0
        noise = jax.vmap(draw)(keys)
        start, times = self.start(settings, variables, base.latent), settings.times(self.process.steps)
        x = denoise_segment(self.process, predict, plan, times, noise, start, self.told(motion, base), known, has_known)
        z, base = jax.tree.map(lambda a: a[:, -plan.new :], (self.from_diffused(variables, x, base.latent), base))
        return self.draw(variables, z, base), x[:, plan.length - plan.known :]

    def whole(
        self,
        settings: RenderSettings,
        variables: Variables,
        portrait: Portrait,
        keys: Key[Array, "b"],
        motion: Float[Array, "b t d"],
        devices: tuple[jax.Device, ...] = (),
    ) -> Float[Array, "b t h w c"]:
        """Latents of whole clips (`loop`); with several devices, the windows and guidance branches of each step are split."""
        plan = LoopPlan(frames=motion.shape[1], window=self.window, overlap=settings.window_overlap)
        first = settings.known_frames  # so that a frame's noise is the one it has in segments
        draw = functools.partial(frame_noise, first=first, frames=plan.frames, shape=self.latent_shape)
        size = group_size(plan, settings.windows_per_segment, max(1, len(devices)))
        predict = in_groups(self.predictor(variables, portrait, settings, spread_over(devices)), size)
        base = self.base(variables, portrait, motion, together=self.window)
        start, times = self.start(settings, variables, base.latent), settings.times(self.process.steps)
        x = denoise_loop(self.process, predict, plan, times, jax.vmap(draw)(keys), start, self.told(motion, base), keys)
        return self.from_diffused(variables, x, base.latent)

    def told(self, motion: Float[Array, "b t d"], base: Base) -> Told:
        """What the denoiser is told of frames."""
        return Told(motion, base.latent if self.draft else None)

    def base(self, variables: Variables, portrait: Portrait, motion: Float[Array, "b t d"], together: int = 0) -> Base:
        """What frames are corrected from; with `together`, so many drafts at a time, of which the latents alone are kept."""
        if self.draft is None:
            return Base(portrait.latent[:, None])
        own = (variables, portrait.picture, portrait.motion)
        if not together:
            return self.drafts(*own, motion)
        one = lambda m: self.drafts(*own, m[:, None]).latent[:, 0]
        return Base(jnp.moveaxis(jax.lax.map(one, jnp.moveaxis(motion, 1, 0), batch_size=together), 0, 1))

    def drafts(
        self,
        variables: Variables,
        images: Float[Array, "b height width 3"],
        reference: Float[Array, "b d"],
        motion: Float[Array, "b t d"],
    ) -> Base:
        """Drafts of reference pictures (draft.py) and their latents."""
        b, t, d = motion.shape
        repeated = (jnp.repeat(a, t, axis=0) for a in (images, reference))
        pictures = self.draft.draw(variables.buffers["draft"], *repeated, motion.reshape(b * t, d))
        latents = self.autoencoder.encode(variables.buffers["autoencoder"], pictures)
        return Base(*(a.reshape(b, t, *a.shape[1:]) for a in (latents, pictures)))

    def start(self, settings: RenderSettings, variables: Variables, base: Float[Array, "b t h w c"]) -> jax.Array:
        """What is noised for denoising to start from [b, t, h, w, c]: b, blurred if the settings say so."""
        return self.to_diffused(variables, blur(base, settings.blur_size, settings.blur_sigma), base)

    def draw(self, variables: Variables, z: Float[Array, "b t h w c"], base: Base | None = None) -> Drawn:
        """Frames of latents."""
        pictures = self.pictures(variables, z, base)
        finite = jnp.isfinite(z).all(axis=(2, 3, 4)) & jnp.isfinite(pictures).all(axis=(2, 3, 4))
        return Drawn(to_uint8(pictures), finite)

    def pictures(
        self, variables: Variables, z: Float[Array, "b t h w c"], base: Base | None = None
    ) -> Float[Array, "b t height width 3"]:
        """Pictures in [-1, 1] of latents, by equation 3 where drafts are kept."""
        decode = functools.partial(self.autoencoder.decode, variables.buffers["autoencoder"])
        if not self.keep_draft:
            return decode(z)
        return jnp.clip(decode(z) + base.picture - decode(base.latent), -1.0, 1.0)

    def predictor(
        self,
        variables: Variables,
        portrait: Portrait,
        settings: RenderSettings,
        spread: Callable[[jax.Array], jax.Array] = lambda a: a,
    ) -> Predict:
        """The guided denoiser on windows at one noise level; both branches go through as one batch, which `spread` places."""

        def predict(x: jax.Array, t: jax.Array, told: Told) -> jax.Array:
            b, n = x.shape[:2]
            flat, told = jax.tree.map(lambda a: a.reshape(b * n, *a.shape[2:]), (x, told))
            reference, embedding, *bank = fold_windows((portrait.latent, portrait.embedding, *portrait.bank), n)
            shown = jnp.ones(b * n, bool)
            if settings.guided:
                told = jax.tree.map(lambda a, s: jnp.concatenate([a, s]), told, still(portrait, told))
                shown = jnp.concatenate([shown, jnp.full(b * n, settings.guidance_keeps_reference)])
                flat, reference, embedding, *bank = (jnp.concatenate([a, a]) for a in (flat, reference, embedding, *bank))
            parts = (flat, told, reference, shown, embedding, tuple(bank))
            flat, told, reference, shown, embedding, bank = jax.tree.map(spread, parts)
            levels, weights = jnp.full(flat.shape[0], t), {"params": variables.params}
            y = self.denoiser.apply(
                weights, flat, levels, told.motion, reference, bank, shown, embedding=embedding, draft=told.draft
            )
            if settings.guided:
                positive, negative = jnp.split(y, 2)
                y = classifier_free(negative, positive, settings.guidance_scale)
            return y.reshape(x.shape)

        return predict

    def to_diffused(
        self, variables: Variables, z: Float[Array, "b t h w c"], base: Float[Array, "b #t h w c"]
    ) -> Float[Array, "b t h w c"]:
        """Equation 1."""
        return (z - base) / variables.buffers["residual_std"] if self.predict_residual else z

    def from_diffused(
        self, variables: Variables, x: Float[Array, "b t h w c"], base: Float[Array, "b #t h w c"]
    ) -> Float[Array, "b t h w c"]:
        """Equation 2."""
        return base + variables.buffers["residual_std"] * x if self.predict_residual else x


def still(portrait: Portrait, told: Told) -> Told:
    """The same windows told that nothing moves: the reference's own motion, and the reference as the draft."""
    parts = Told(portrait.motion, None if told.draft is None else portrait.latent)
    repeat = lambda own, like: jnp.broadcast_to(jnp.repeat(own, len(like) // len(own), axis=0)[:, None], like.shape)
    return jax.tree.map(repeat, parts, told)


def own_motion(variables: Variables) -> Variables | None:
    """The motion stage, an encoder alone, that a renderer was trained together with; None: there is none."""
    if "motion_encoder" not in variables.params:
        return None
    return Variables({"generator": {"encoder": variables.params["motion_encoder"]}}, variables.buffers["motion"])


def _clip(config: ConfigDict) -> ClipModel | None:
    """The encoder of reference pictures, if the config has one. Raises `UserError` where the denoiser has no such place."""
    network = config.get("clip")
    if not (network and network.depth):
        return None
    if network.projection != (width := config.network.unet.context_width):
        raise UserError(f"network.unet.context_width={width} and clip.projection={network.projection} differ: make them equal.")
    return ClipModel.from_network(network, config.precision)


@functools.partial(jax.jit, static_argnums=0)
def _prepare(model: VideoModel, variables: Variables, *arguments: jax.Array) -> Portrait:
    return model.prepare(variables, *arguments)


@functools.partial(jax.jit, static_argnums=0)
def _segment(model: VideoModel, settings: RenderSettings, *arguments: Any) -> tuple[Drawn, jax.Array]:
    """Compiled once for all segments of all clips, whatever the numbers of the settings."""
    return model.segment(settings, *arguments)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _whole(model: VideoModel, settings: RenderSettings, devices: tuple[jax.Device, ...], *arguments: Any) -> jax.Array:
    """Compiled once for all clips of one length."""
    return model.whole(settings, *arguments, devices=devices)


@functools.partial(jax.jit, static_argnums=0)
def _decode(model: VideoModel, variables: Variables, portrait: Portrait, motion: jax.Array, z: jax.Array) -> Drawn:
    return model.draw(variables, z, model.base(variables, portrait, motion) if model.keep_draft else None)
