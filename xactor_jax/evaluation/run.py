"""The whole evaluation: clips of a data set with known truth in, scores and pictures out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.evaluation import actor, figures, motion, report, video
from xactor_jax.evaluation.clips import ReadClip, TrueClip, read
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pictures import fit_size, frame_encoder, to_float
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.timing import SAMPLES_PER_FRAME

Note = Callable[[str], None]
"""Told what is being done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How much is looked at."""

    probe_step: int = 5  # frames between those that probes are fitted and scored on
    actor_clips: int = 16  # test clips whose speech the actor hears
    actor_frames: int = 125  # of each
    video_clips: int = 4  # of these, clips rendered
    video_frames: int = 32  # of each
    sheets: int = 3  # contact sheets
    seed: int = 0
    batch_size: int = 32  # frames encoded at once


class Splits(NamedTuple):
    """Clips of people that probes are fitted on, that their strength is chosen on, and that nothing was trained on."""

    train: Sequence[TrueClip]
    validation: Sequence[TrueClip]
    test: Sequence[TrueClip]


class Evaluation(NamedTuple):
    """Scores by stage, pictures by caption, and the probe that reads controls from motion latents."""

    scores: dict[str, dict[str, Any]]
    pictures: dict[str, bytes]
    probe: RidgeProbe


def generator(models: Models, settings: Settings, seed: int) -> actor.Generate:
    """The actor as a function of audio features and reference motion, emotion unknown."""
    stage = models.actor

    def generate(audio: Float[np.ndarray, "b t a"], reference: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b t d"]:
        key = jax.random.key(seed)
        return np.asarray(stage.model.rollout(stage.variables, key, audio, reference, None, settings.rollout))

    return generate


def renderer(models: Models, settings: Settings, seed: int) -> video.Render:
    """The video stage as a function of reference pictures, their motion and motion latents; one program for all calls."""
    stage = models.video
    compiled = jax.jit(lambda *arguments: stage.model.render_batch(*arguments, settings.render))

    def render(
        images: UInt8[np.ndarray, "b h w 3"], reference: Float[np.ndarray, "b d"], latents: Float[np.ndarray, "b t d"]
    ) -> UInt8[np.ndarray, "b t h w 3"]:
        keys = jax.random.split(jax.random.key(seed), len(images))
        return np.asarray(compiled(stage.variables, keys, jnp.asarray(to_float(images)), reference, latents))

    return render


def evaluate(models: Models, splits: Splits, settings: Settings, how: EvaluationSettings, note: Note = print) -> Evaluation:
    """The stages that are there, on clips with true controls."""
    encode = frame_encoder(models.motion.model, models.motion.variables, how.batch_size)
    note("reading motion latents")
    train, held, test = ([read(encode, clip.every(how.probe_step)) for clip in split] for split in splits)
    probe = motion.control_probe(train, held)
    scores = {"motion": {**motion.control_scores(probe, test), "identity": motion.identity_scores(test)}}
    result = Evaluation(scores, r2_picture(scores), probe)
    if models.actor is None:
        return result
    clips = cut_alike([splits.test[i] for i in spread(len(splits.test), how.actor_clips)], how.actor_frames)
    latents = [read(encode, clip) for clip in clips]
    note("generating motion from speech")
    motions = _generated(models, settings, how, clips, latents)
    followed = actor.actor_scores(probe, latents, motions)
    result = _joined(result, {"actor": followed}, motion_pictures(followed, probe, latents, motions))
    if models.video is None:
        return result
    note("rendering video")
    rendered = _rendered(models, settings, how, clips, latents, motions)
    return _joined(result, {"video": video.video_scores(rendered)}, sheets(rendered, latents, how))


def _joined(evaluation: Evaluation, scores: dict[str, dict[str, Any]], shown: dict[str, bytes]) -> Evaluation:
    return evaluation._replace(scores={**evaluation.scores, **scores}, pictures={**evaluation.pictures, **shown})


def _generated(
    models: Models, settings: Settings, how: EvaluationSettings, clips: Sequence[TrueClip], latents: Sequence[ReadClip]
) -> actor.Motions:
    audio = np.stack([models.actor.audio.whole(clip.waveform) for clip in clips])
    return actor.generate_motions(generator(models, settings, how.seed), latents, audio)


def cut_alike(clips: Sequence[TrueClip], most: int) -> list[TrueClip]:
    """The first frames of each, as many as the shortest has, at most `most`."""
    length = min([most, *(len(clip.frames) for clip in clips)])
    return [clip.cut(length, SAMPLES_PER_FRAME) for clip in clips]


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices below `count`, evenly spaced."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count))})


def _rendered(
    models: Models,
    settings: Settings,
    how: EvaluationSettings,
    clips: Sequence[TrueClip],
    latents: Sequence[ReadClip],
    motions: actor.Motions,
) -> video.Rendered:
    """Some of the clips, at the video stage's size, cut to `how.video_frames`."""
    chosen, n = spread(len(clips), how.video_clips), how.video_frames
    side = models.video.model.image_size
    shown = [dataclasses.replace(clips[i], frames=fit_size(clips[i].frames[:n], side)) for i in chosen]
    moved = [dataclasses.replace(latents[i], latents=latents[i].latents[:n]) for i in chosen]
    return video.render_clips(renderer(models, settings, how.seed), shown, moved, motions.own[chosen][:, :n])


def r2_picture(scores: Mapping[str, Any]) -> dict[str, bytes]:
    """Caption → PNG."""
    bars = figures.r2_bars(scores["motion"]["r2"], (report.FACE_R2, report.POSE_R2))
    return {"Controls read from motion latents by a linear map; lines: targets": bars}


def motion_pictures(
    scores: Mapping[str, Any], probe: RidgeProbe, clips: Sequence[ReadClip], motions: actor.Motions
) -> dict[str, bytes]:
    """Caption → PNG."""
    some = spread(len(clips), 4)
    truth = np.stack([motion.column(clips[i].controls, "jaw") for i in some])
    curves = {"true": truth, "own": actor.jaw_curves(probe, motions.own[some])}
    plot = figures.jaw_plot(curves, [f"{clips[i].person}, clip {clips[i].clip}" for i in some])
    return {
        "The jaw, read from motion generated for voices never heard, beside the true one": plot,
        "How the jaw follows the speech": figures.lag_plot(scores["lag_curves"]),
    }


def sheets(rendered: video.Rendered, clips: Sequence[ReadClip], how: EvaluationSettings) -> dict[str, bytes]:
    """Caption → PNG."""
    shown = [clips[i] for i in spread(len(clips), how.video_clips)][: how.sheets]
    caption = "{}, clip {}: frames as they are, rendered from true motion, and from the actor's"
    return {caption.format(clip.person, clip.clip): _sheet(rendered, k) for k, clip in enumerate(shown)}


def _sheet(rendered: video.Rendered, k: int) -> bytes:
    rows = {"true": rendered.true[k], "true motion": rendered.from_true[k], "actor": rendered.from_generated[k]}
    return figures.contact_sheet(rendered.true[k, 0], rows)
