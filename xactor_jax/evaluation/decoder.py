"""Quality of stage 1's own decoder: it draws each frame from a reference and the true frame's motion latent.

This works on any clips, with and without true controls. The reference is the first frame of a clip, as for the renderer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from xactor_jax.clips import Encoder, TrueClip
from xactor_jax.evaluation.video import Rendered, video_scores
from xactor_jax.layers.picture_losses import box_maps
from xactor_jax.motion.model import MotionModel
from xactor_jax.padding import filled
from xactor_jax.pictures import to_float, to_uint8
from xactor_jax.variables import Variables

Frames = UInt8[np.ndarray, "t h w 3"]
Decode = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "t d"]], Frames]
"""(reference, motion latents) → frames."""


def frame_decoder(model: MotionModel, variables: Variables, batch_size: int = 32) -> Decode:
    """The decoder for any number of frames. It uses batches of constant size, so that only one program is compiled."""
    decode = jax.jit(lambda *inputs: to_uint8(model.decode(*inputs)))
    held = jax.device_put(variables)

    def decode_frames(reference: UInt8[np.ndarray, "h w 3"], latents: Float[np.ndarray, "t d"]) -> Frames:
        portrait, starts = to_float(reference)[None], range(0, len(latents), batch_size)
        parts = [decode(held, portrait, filled(latents[start : start + batch_size], batch_size)) for start in starts]
        return np.concatenate([np.asarray(part) for part in parts])[: len(latents)]

    return decode_frames


def decode_clips(decode: Decode, encode: Encoder, clips: Sequence[TrueClip]) -> Rendered:
    """Decodes every clip from its first frame and its own latents. All clips have the same length and size."""
    frames = np.stack([clip.frames for clip in clips])
    drawn = np.stack([decode(clip.frames[0], encode(clip.frames)) for clip in clips])
    return Rendered(frames, drawn, drawn)


def decoder_scores(decoded: Rendered, clips: Sequence[TrueClip]) -> dict[str, Any]:
    """Scores of `video_scores`, and `better`: the share of frames, without the first, that are closer than the reference.

    `better_mouth` is the same inside the box of the mouth; None if a clip has no boxes.
    """
    shape = decoded.true.shape[:4]
    known = all(clip.component_boxes is not None for clip in clips)
    mouths = known and np.asarray(box_maps(jnp.stack([clip.component_boxes[:, 1] for clip in clips]), *shape[2:]))
    shares = {"better": _better(decoded, np.ones(shape)), "better_mouth": _better(decoded, mouths) if known else None}
    return {**video_scores(decoded), **shares}


def _better(decoded: Rendered, where: Shaped[np.ndarray, "b t h w"]) -> float:
    """Share of frames, without the first, whose squared error at pixels `where` is below that of the repeated reference."""
    error = lambda video: (where * np.square(video.astype(np.float32) - decoded.true).mean(axis=-1))[:, 1:].sum(axis=(2, 3))
    return float(np.mean(error(decoded.from_true) < error(decoded.repeated)))


def decoder_sheet(decoded: Rendered, columns: int = 10) -> UInt8[np.ndarray, "h w 3"]:
    """Contact sheet: for every clip its reference and evenly spaced true frames, above the same frames decoded."""
    chosen = np.linspace(0, decoded.true.shape[1] - 1, columns).astype(int)
    empty = np.full_like(decoded.true[0, 0], 255)
    rows = []
    for true, drawn in zip(decoded.true, decoded.from_true, strict=True):
        rows += [np.concatenate([true[0], *true[chosen]], axis=1), np.concatenate([empty, *drawn[chosen]], axis=1)]
    return np.concatenate(rows, axis=0)
