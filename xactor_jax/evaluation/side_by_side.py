"""Comparison of renderers on the same clips: error, reenactment across people, difference to the first renderer, and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.clips import Draw, ReadClip, TrueClip, read
from xactor_jax.errors import UserError
from xactor_jax.evaluation import metrics
from xactor_jax.evaluation.identity import IdentityProbe, fit_identity
from xactor_jax.evaluation.run import cut_alike, fitted, spread
from xactor_jax.evaluation.transfer import Cases, make_cases, transfer, transfer_scores
from xactor_jax.evaluation.video import Render, Videos, scores_against
from xactor_jax.layers.perceptual import PerceptualModel
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.pictures import to_float
from xactor_jax.sampling.load import Models


class Scene(NamedTuple):
    """Data for all renderers: clips and, if there are several people, cases of reenactment across people."""

    clips: Sequence[TrueClip]
    latents: Sequence[ReadClip]
    cases: Cases | None
    probe: IdentityProbe | None


def make_scene(models: Models, test: Sequence[TrueClip], most: int, frames: int, draw: Draw | None) -> Scene:
    """At most `most` of the clips, cut to `frames`; `draw` as `transfer.make_cases` takes it, None: no cases across people."""
    encode = frame_encoder(models.motion.model, models.motion.variables)
    clips = cut_alike([test[i] for i in spread(len(test), most)], frames)
    clips, latents = fitted(clips, [read(encode, clip) for clip in clips], models.sides[1], frames)
    cases = make_cases(clips, latents, encode, draw) if draw else None
    return Scene(clips, latents, cases, fit_identity(test, step=5) if cases else None)


class Measured(NamedTuple):
    """Scores of one renderer, and its frames rendered from true motion."""

    scores: dict[str, Any]
    frames: Videos


Distance = Callable[[Videos, Videos], float]
"""Distance between clips and the true clips, such as LPIPS."""


def perceptual_distance(path: epath.PathLike, batch: int = 16) -> Distance:
    """LPIPS by the network in a folder of launch/import_weights.py, over all frames except the first of each clip.

    Raises:
        UserError: there is no such network, or it is VGG16 without the weights of LPIPS.
    """
    saved, variables = load_variables(path, "perceptual")
    if not saved.network.lpips:
        raise UserError(f"{path} is only VGG16, without the weights of LPIPS: import a network with --what lpips.")
    distance = jax.jit(PerceptualModel.from_network(saved.network).distance)

    def of_videos(videos: Videos, true: Videos) -> float:
        pairs = [to_float(v[:, 1:].reshape(-1, *v.shape[2:])) for v in (videos, true)]
        starts = range(0, len(pairs[0]), batch)
        return float(np.concatenate([distance(variables.params, *(p[i : i + batch] for p in pairs)) for i in starts]).mean())

    return of_videos


def measure(render: Render, scene: Scene, distance: Distance | None = None) -> Measured:
    """Scores of one renderer. `seconds_per_frame` is the time of the fastest call, because the first call compiles."""
    seconds: list[float] = []

    def timed(*conditions: np.ndarray) -> Videos:
        start = time.perf_counter()
        frames = render(*conditions)
        seconds.append((time.perf_counter() - start) / (frames.shape[0] * frames.shape[1]))
        return frames

    true, motion = np.stack([clip.frames for clip in scene.clips]), np.stack([one.latents for one in scene.latents])
    frames = timed(true[:, 0], motion[:, 0], motion)
    shown = {"true_motion": frames, "repeated": np.broadcast_to(true[:, :1], true.shape)}
    scores = {name: scores_against(video, true) for name, video in shown.items()}
    for name, video in shown.items() if distance else ():
        scores[name]["lpips"] = distance(video, true)
    scores["gain_db"] = scores["true_motion"]["psnr"] - scores["repeated"]["psnr"]
    if scene.cases is not None and scene.probe is not None:
        scores["transfer"] = transfer_scores(scene.cases, transfer(timed, scene.cases), scene.probe)
    return Measured({**scores, "seconds_per_frame": min(seconds)}, frames)


def compare(measured: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """Scores of all renderers, each with the PSNR of its frames against those of the first renderer (None for the first)."""
    first = next(iter(measured.values()))

    def against_first(one: Measured) -> float | None:
        pairs = zip(one.frames, first.frames, strict=True)
        return None if one is first else float(np.mean([metrics.psnr(a, b) for a, b in pairs]))

    return {name: {**one.scores, "against_first_db": against_first(one)} for name, one in measured.items()}


HEAD = (
    *("renderer", "PSNR, dB", "SSIM", "L1", "edges", "LPIPS", "detail", "background", "flicker"),
    "gain over the repeated reference, dB",
    *("across people, dB", "gain, dB", "loss to own motion, dB", "classified as reference", "as driver"),
    *("against the first, dB", "ms per frame"),
)


def rows(compared: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Cells of a table with columns `HEAD`; the last row is the repeated reference."""
    repeated = _quality(next(iter(compared.values()))["repeated"])
    still = ["the reference repeated", *repeated, *[""] * (len(HEAD) - 1 - len(repeated))]
    return [*([name, *_cells(scores)] for name, scores in compared.items()), still]


def _quality(scores: Mapping[str, float]) -> list[str]:
    """PSNR, SSIM, L1, edges and, if they are known, LPIPS and the ratios of `detail`."""
    digits = {"psnr": 2, "ssim": 3, "l1": 4, "edges": 4, "lpips": 4, "detail": 2, "background": 2, "flicker": 2}
    return ["" if scores.get(name) is None else f"{scores[name]:.{n}f}" for name, n in digits.items()]


def _cells(scores: Mapping[str, Any]) -> list[str]:
    own = [*_quality(scores["true_motion"]), f"{scores['gain_db']:.2f}"]
    across = [""] * 5
    if t := scores.get("transfer"):
        identity = t["identity"]
        across = [f"{t['cross']['psnr']:.2f}", f"{t['gain_db']:.2f}", f"{t['loss_db']:.2f}"]
        across += [f"{identity['cross']:.0%}", f"{identity['cross_is_driver']:.0%}"]
    first = scores["against_first_db"]
    return [*own, *across, "" if first is None else f"{first:.2f}", f"{1000 * scores['seconds_per_frame']:.1f}"]
