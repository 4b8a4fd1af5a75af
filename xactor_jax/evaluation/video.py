"""Scores of rendered video against true video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.clips import ReadClip, TrueClip
from xactor_jax.evaluation import metrics
from xactor_jax.evaluation.detail import detail_scores

Videos = UInt8[np.ndarray, "b t h w 3"]
Render = Callable[[UInt8[np.ndarray, "b h w 3"], Float[np.ndarray, "b d"], Float[np.ndarray, "b t d"]], Videos]
"""(reference images, their motion, motion latents) → frames."""


class Rendered(NamedTuple):
    """The same clips: true frames, rendered from true motion, and rendered from generated motion."""

    true: Videos
    from_true: Videos
    from_generated: Videos

    @property
    def repeated(self) -> Videos:
        """The reference (the first frame), repeated for all frames."""
        return np.broadcast_to(self.true[:, :1], self.true.shape)


def render_clips(
    render: Render, clips: Sequence[TrueClip], latents: Sequence[ReadClip], generated: Float[np.ndarray, "b t d"]
) -> Rendered:
    """Renders each clip from its first frame, with its true motion and with generated motion."""
    frames, motion = np.stack([clip.frames for clip in clips]), np.stack([clip.latents for clip in latents])
    images, reference = frames[:, 0], motion[:, 0]
    return Rendered(frames, render(images, reference, motion), render(images, reference, generated))


def scores_against(video: Videos, true: Videos) -> dict[str, float]:
    """Means over clips of PSNR in dB (of each clip as a whole), SSIM, L1, edge error and the ratios of `detail`.

    Frame 0 is excluded, because it is the reference. A ratio that is unknown for all clips is None.
    """
    pairs = [(a[1:], b[1:]) for a, b in zip(video, true, strict=True)]
    of_frames = {"ssim": metrics.ssim, "l1": metrics.l1, "edges": metrics.edge_error}
    scores = {name: [metrics.over_frames(score, a, b) for a, b in pairs] for name, score in of_frames.items()}
    means = {name: float(np.mean(each)) for name, each in {"psnr": [metrics.psnr(a, b) for a, b in pairs], **scores}.items()}
    ratios = [detail_scores(a, b) for a, b in zip(video, true, strict=True)]
    return means | {name: _mean_of_known([each[name] for each in ratios]) for name in ratios[0]}


def _mean_of_known(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def video_scores(rendered: Rendered) -> dict[str, object]:
    """Scores of video from true motion and of the repeated reference; `gain_db` is the difference in PSNR."""
    true_motion = scores_against(rendered.from_true, rendered.true)
    repeated = scores_against(rendered.repeated, rendered.true)
    return {
        "clips": len(rendered.true),
        "frames": rendered.true.shape[1],
        "true_motion": true_motion,
        "reference_repeated": repeated,
        "gain_db": true_motion["psnr"] - repeated["psnr"],
        "gain_ssim": true_motion["ssim"] - repeated["ssim"],
    }
