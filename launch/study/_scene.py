"""The performance that actors are measured on: speech and true motion of people who exist in no data set, and probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.performers.bodies import Body
from data.performers.long import iter_latents, make_long_performance, read_person
from data.performers.performance import LONG, Performance
from xactor_jax.clips import Encoder, ReadClip
from xactor_jax.evaluation.drift import MINUTE, Rulers, append, finished, opened, write_record
from xactor_jax.evaluation.drift_run import Counting, Scene
from xactor_jax.evaluation.emotion import fit_emotion
from xactor_jax.evaluation.motion import column, control_probe
from xactor_jax.evaluation.motion_report import Ruler, Truth
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.sampling.load import Stage
from xactor_jax.timing import FRAME_RATE

PROBE_FRAMES, PROBE_STEP = 125, 5
"""Frames of a clip that probes are fitted on, and from one that they see to the next."""


class Performers(NamedTuple):
    """Who performs, and for how long; probes are fitted on other people of the same seed."""

    body: Body
    seed: int
    people: int
    minutes: float
    probe_people: int
    segment_seconds: float
    motion: Stage

    @property
    def mark(self) -> dict[str, Any]:
        """What the numbers of true motion depend on."""
        given = {name: getattr(self, name) for name in ("minutes", "people", "segment_seconds", "probe_people")}
        kind = {"people_are": self.body.PERSON, "generator": self.body.GENERATOR}
        return {**given, **kind, "data_seed": self.seed, "motion": self.motion.hash}

    def make_scene(self, folder: Path, note: Callable[[str], None], counting: Counting) -> Scene:
        """Everything that all actors share."""
        p, encode = self, frame_encoder(self.motion.model, self.motion.variables)
        note(f"making {p.minutes:g} minutes of speech of {p.people} people")
        performances = [make_long_performance(p.body, p.seed, i, p.minutes) for i in range(p.people)]
        latents = true_latents(folder, p, performances, encode, counting)
        note("fitting probes")
        jaw = np.stack([column(performance.controls, "jaw") for performance in performances])
        emotion = np.stack([performance.mood.label for performance in performances])
        rulers = make_rulers(p, encode, Truth(latents=latents, jaw=jaw, emotion=emotion))
        return Scene([performance.audio for performance in performances], latents, emotion, rulers)


def true_latents(
    folder: Path, performers: Performers, performances: list[Performance], encode: Encoder, counting: Counting
) -> np.ndarray:
    """True motion [people, T, D], drawn and encoded in pieces into DIR/true.f32 unless it is there."""
    p, path, record = performers, folder / "true.f32", folder / "results" / "true.f32.json"
    if not (path.exists() and finished(record, p.mark)):
        record.unlink(missing_ok=True)
        figures = [p.body.make_figure(p.seed, i, LONG, one.acting) for i, one in enumerate(performances)]
        size = p.motion.model.image_size
        latents = (iter_latents(*pair, size, encode) for pair in zip(figures, performances, strict=True))
        pieces = zip(*latents, strict=True)
        with counting("frames drawn", len(performances[0].controls)) as advance:
            append(path, (np.stack(piece) for piece in pieces), advance)
        write_record(record, {"mark": p.mark})
    return opened(path, len(performances), p.motion.model.latent_dim)


def make_rulers(performers: Performers, encode: Encoder, truth: Truth) -> Rulers:
    """Probes fitted on other people, and the truth."""
    p, size = performers, performers.motion.model.image_size
    others = range(p.people, p.people + p.probe_people)
    clips = [read_person(p.body, p.seed, i, size, encode, PROBE_FRAMES, PROBE_STEP) for i in others]
    return fitted_rulers(clips, truth, p.segment_seconds)


def fitted_rulers(clips: Sequence[ReadClip], truth: Truth, segment_seconds: float) -> Rulers:
    """Rulers with probes fitted on clips of every `PROBE_STEP`-th frame; a fifth of them chooses the regularisation."""
    held = max(1, len(clips) // 5)
    probes = {"probe": control_probe(clips[held:], clips[:held]), "feelings": fit_emotion(clips, PROBE_STEP)}
    sizes = (round(segment_seconds * FRAME_RATE), MINUTE)
    return Rulers(*(Ruler(truth=truth, segment=segment, **probes) for segment in sizes))
