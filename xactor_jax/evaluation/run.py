"""The whole evaluation: from clips with known truth to scores and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.clips import Draw, Encoder, ReadClip, TrueClip, read
from xactor_jax.evaluation import actor, figures, motion, report, transfer, video
from xactor_jax.evaluation.emotion import EmotionProbe, fit_emotion
from xactor_jax.evaluation.identity import fit_identity
from xactor_jax.evaluation.motion_report import NAMES, SEGMENT, Ruler, Truth, over_time
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.motion.pictures import fit_size, frame_encoder
from xactor_jax.pictures import to_float
from xactor_jax.sampling import provenance
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.timing import SAMPLES_PER_FRAME
from xactor_jax.video.rendering import draw_batch

Note = Callable[[str], None]
"""Called with a message about progress."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Amount of data that is evaluated."""

    probe_step: int = 5  # probes are fitted and scored on every 5th frame
    actor_clips: int = 32  # test clips whose speech drives the actor
    actor_frames: int = 125  # frames of each of these clips
    actor_seeds: int = 3  # rollouts of each clip with different seeds
    segment_frames: int = SEGMENT  # length of a segment; clips of at least two segments are also measured over time
    video_clips: int = 4  # how many of these clips are rendered
    video_frames: int = 32  # frames of each rendered clip
    sheets: int = 3  # number of contact sheets
    seed: int = 0
    batch_size: int = 32  # frames that are encoded at once

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EvaluationSettings:
        """From values by name, of which others are passed over."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})


class Splits(NamedTuple):
    """Clips of three groups of people: to fit probes, to choose their regularisation, and for tests, unknown to all models."""

    train: Sequence[TrueClip]
    validation: Sequence[TrueClip]
    test: Sequence[TrueClip]


class Evaluation(NamedTuple):
    """Scores by stage, figures by caption, and the probe that reads controls from motion latents."""

    scores: dict[str, dict[str, Any]]
    pictures: dict[str, bytes]
    probe: RidgeProbe


def generator(models: Models, settings: Settings, seed: int) -> actor.Generate:
    """The actor as a function of audio features and reference motion; the emotion is unknown."""
    stage = models.actor

    def generate(audio: Float[np.ndarray, "b t a"], reference: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b t d"]:
        key = jax.random.key(seed)
        return np.asarray(stage.model.rollout(stage.variables, key, audio, reference, None, settings.rollout))

    return generate


def renderer(models: Models, settings: Settings, seed: int) -> video.Render:
    """The video stage as a function of reference images, their motion and motion latents, compiled once for all calls."""
    stage = models.video
    compiled = jax.jit(lambda *arguments: draw_batch(stage.model, *arguments, settings.render).frames)

    def render(
        images: UInt8[np.ndarray, "b h w 3"], reference: Float[np.ndarray, "b d"], latents: Float[np.ndarray, "b t d"]
    ) -> UInt8[np.ndarray, "b t h w 3"]:
        keys = jax.random.split(jax.random.key(seed), len(images))
        return np.asarray(compiled(stage.variables, keys, jnp.asarray(to_float(images)), reference, latents))

    return render


def evaluate(
    models: Models,
    splits: Splits,
    settings: Settings,
    how: EvaluationSettings,
    note: Note = print,
    draw: Draw | None = None,
) -> Evaluation:
    """Evaluates the stages that are present, on clips with true controls; with `draw`, also reenactment across people."""
    encode = frame_encoder(models.motion.model, models.motion.variables, how.batch_size)
    note("reading motion latents")
    train, held, test = ([read(encode, clip.every(how.probe_step)) for clip in split] for split in splits)
    probe = motion.control_probe(train, held)
    read_units = motion.unit_scores(train, held, test)
    scores = {"motion": {**motion.control_scores(probe, test), **read_units, "identity": motion.identity_scores(test)}}
    result = Evaluation(scores, r2_picture(scores), probe)
    if models.actor is None:
        return result
    note("generating motion from speech")
    performed = _performed(models, settings, how, splits.test, encode)
    note("measuring motion")
    feelings, chunk = fit_emotion([*train, *held], how.probe_step), models.actor.model.network.chunk
    latents, motions = performed.latents, performed.motions
    followed = actor.actor_scores(probe, feelings, latents, motions, performed.again, chunk)
    if motions.true.shape[1] >= 2 * how.segment_frames:
        followed["over_time"] = over_time(_ruler(performed, probe, feelings, how.segment_frames), motions.own, chunk)
    result = _joined(result, {"actor": followed}, motion_pictures(followed, probe, latents, motions))
    if models.video is None:
        return result
    note("rendering video")
    render, (shown, moved, own) = renderer(models, settings, how.seed), _shown(models, how, performed)
    rendered = video.render_clips(render, shown, moved, own)
    result = _joined(result, {"video": video.video_scores(rendered)}, sheets(rendered, shown, how))
    cases = transfer.make_cases(shown, moved, encode, draw) if draw else None
    if cases is None:
        return result
    note("rendering people with another person's motion")
    moved_by_others = transfer.transfer(render, cases)
    probe = fit_identity(splits.test, how.probe_step)
    scores = transfer.transfer_scores(cases, moved_by_others, probe)
    return _joined(result, {"transfer": scores}, transfer_sheets(cases, moved_by_others, how.sheets))


def content_of(models: Models, settings: Settings, splits: Splits, scores: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says: scores, what they were measured on, and what with."""
    return {
        "scores": scores,
        "targets": report.check_targets(scores),
        "people": {split: sorted({clip.person for clip in clips}) for split, clips in splits._asdict().items()},
        "settings": settings.to_dict(),
        "checkpoints": models.origins,
        "versions": provenance.versions(),
    }


class Performed(NamedTuple):
    """Test clips cut to one length, and motion generated for them. `again`: motion with further seeds."""

    clips: Sequence[TrueClip]
    latents: Sequence[ReadClip]
    motions: actor.Motions
    again: Float[np.ndarray, "s b t d"]


def _performed(
    models: Models, settings: Settings, how: EvaluationSettings, test: Sequence[TrueClip], encode: Encoder
) -> Performed:
    clips = cut_alike([test[i] for i in spread(len(test), how.actor_clips)], how.actor_frames)
    latents = [read(encode, clip) for clip in clips]
    audio = np.stack([models.actor.audio.whole(clip.waveform) for clip in clips])
    motions = actor.generate_motions(generator(models, settings, how.seed), latents, audio)
    seeds = range(how.seed + 1, how.seed + how.actor_seeds)
    again = np.stack([generator(models, settings, seed)(audio, motions.true[:, 0]) for seed in seeds])
    return Performed(clips, latents, motions, again)


def _ruler(performed: Performed, probe: RidgeProbe, feelings: EmotionProbe | None, segment: int) -> Ruler:
    clips = performed.latents
    known = feelings is not None and all(clip.emotion is not None for clip in clips)
    truth = Truth(
        latents=performed.motions.true,
        jaw=np.stack([motion.column(clip.controls, "jaw") for clip in clips]),
        emotion=np.stack([clip.emotion for clip in clips]) if known else None,
    )
    return Ruler(truth=truth, probe=probe, feelings=feelings, segment=segment)


def _joined(evaluation: Evaluation, scores: dict[str, dict[str, Any]], shown: dict[str, bytes]) -> Evaluation:
    return evaluation._replace(scores={**evaluation.scores, **scores}, pictures={**evaluation.pictures, **shown})


def cut_alike(clips: Sequence[TrueClip], most: int) -> list[TrueClip]:
    """Cuts all clips to the length of the shortest one, at most `most` frames."""
    length = min([most, *(len(clip.frames) for clip in clips)])
    return [clip.cut(length, SAMPLES_PER_FRAME) for clip in clips]


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices below `count`, evenly spaced."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count))})


def _shown(
    models: Models, how: EvaluationSettings, performed: Performed
) -> tuple[list[TrueClip], list[ReadClip], Float[np.ndarray, "b t d"]]:
    """Some of the clips at the video stage's size, with true and generated latents, cut to `how.video_frames`."""
    clips, latents, n = performed.clips, performed.latents, how.video_frames
    chosen = spread(len(clips), how.video_clips)
    own = performed.motions.own[chosen][:, :n]
    return *fitted([clips[i] for i in chosen], [latents[i] for i in chosen], models.video.model.image_size, n), own


def fitted(
    clips: Sequence[TrueClip], latents: Sequence[ReadClip], side: int, frames: int
) -> tuple[list[TrueClip], list[ReadClip]]:
    """The first frames of clips resized to `side` pixels, and what was read from them."""
    shown = [clip.cut(frames, SAMPLES_PER_FRAME) for clip in clips]
    sized = [dataclasses.replace(clip, frames=fit_size(clip.frames, side)) for clip in shown]
    return sized, [one.cut(frames) for one in latents]


def r2_picture(scores: Mapping[str, Any]) -> dict[str, bytes]:
    """Caption → PNG of the R² of controls."""
    bars = figures.r2_bars(scores["motion"]["r2"], (report.FACE_R2, report.POSE_R2))
    return {"Controls read from motion latents by a linear probe; lines: targets": bars}


def motion_pictures(
    scores: Mapping[str, Any], probe: RidgeProbe, clips: Sequence[ReadClip], motions: actor.Motions
) -> dict[str, bytes]:
    """Caption → PNG of the generated motion."""
    some = spread(len(clips), 4)
    truth = np.stack([motion.column(clips[i].controls, "jaw") for i in some])
    curves = {"true": truth, "own": actor.jaw_curves(probe, motions.own[some])}
    plot = figures.jaw_plot(curves, [f"{clips[i].person}, clip {clips[i].clip}" for i in some])
    pictures = {
        "The jaw, read from motion generated for held-out voices, and the true jaw": plot,
        "Correlation of the generated jaw with the true jaw": figures.lag_plot(scores["lag_curves"]),
    }
    if over := scores.get("over_time"):
        pictures["Measures of each segment over time"] = figures.segment_plot(over["curves"], over["minutes"], NAMES)
    return pictures


def sheets(rendered: video.Rendered, clips: Sequence[TrueClip], how: EvaluationSettings) -> dict[str, bytes]:
    """Caption → PNG of a contact sheet."""
    caption = "{}, clip {}: true frames, rendered from true motion, rendered from the actor's motion"
    return {caption.format(clip.person, clip.clip): _sheet(rendered, k) for k, clip in enumerate(clips[: how.sheets])}


def transfer_sheets(cases: transfer.Cases, rendered: transfer.Transferred, most: int) -> dict[str, bytes]:
    """Caption → PNG of a contact sheet of reenactment across people."""
    pictures = {}
    for k in range(min(most, len(cases.true))):
        caption = f"{cases.targets[k]} with the motion of {cases.drivers[k]}: driver, true frames of the target, rendered"
        rows = {"driver": cases.driver[k], "true": cases.true[k], "rendered": rendered.cross[k]}
        pictures[caption] = figures.contact_sheet(cases.references[k], rows)
    return pictures


def _sheet(rendered: video.Rendered, k: int) -> bytes:
    rows = {"true": rendered.true[k], "true motion": rendered.from_true[k], "actor": rendered.from_generated[k]}
    return figures.contact_sheet(rendered.true[k, 0], rows)
