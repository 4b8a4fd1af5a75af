"""Actors perform one scene, each is measured, and what is done already stays done: what launch/study/drift.py runs."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int16

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.evaluation import drift_page
from xactor_jax.evaluation.drift import Meter, Rulers, append, finished, opened, perform, write_record
from xactor_jax.evaluation.report import page
from xactor_jax.sampling import provenance
from xactor_jax.sampling.load import Stage
from xactor_jax.sampling.pipeline import pieces
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import write_whole

Mark = Mapping[str, Any]
"""All that numbers depend on: a file of results under another mark is made again."""

Note = Callable[[str], None]
Counting = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(what, frames in all) → a context whose value is called with the number of frames of each piece."""


class Job(NamedTuple):
    """An actor that is to perform, and all that its numbers depend on."""

    name: str
    actor: Stage
    settings: RolloutSettings
    mark: Mark

    @property
    def chunk(self) -> int:
        return self.actor.model.network.chunk


class Scene(NamedTuple):
    """What all actors share: the speech, true motion on disk, the emotions of its frames, and what measures."""

    speech: Sequence[Int16[np.ndarray, "samples"]]
    latents: Float[np.ndarray, "people t d"]
    emotion: Int[np.ndarray, "people t"]
    rulers: Rulers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """How actors perform, and where to: true.f32 and NAME.f32 in the folder, results in its `results`."""

    folder: pathlib.Path
    seed: int
    tell_emotion: bool
    keep_motion: bool
    note: Note
    counting: Counting

    def file(self, name: str) -> pathlib.Path:
        """Where the results of that name are."""
        return self.folder / "results" / f"{name}.json"

    def mark(self, scene: Mark, actor: Stage, settings: RolloutSettings) -> dict[str, Any]:
        """What the numbers of one actor depend on."""
        own = {"seed": self.seed, "tell_emotion": self.tell_emotion}
        return {**scene, **own, "actor": actor.hash, "settings": dataclasses.asdict(settings)}

    def measured(self, jobs: Sequence[Job], scene_mark: Mark, make_scene: Callable[[], Scene]) -> dict[str, Any]:
        """Does what is not done yet: what was measured, by name, true motion first."""
        scene, chunk = functools.cache(make_scene), jobs[0].chunk
        true = lambda: {**scene().rulers.true_motion(chunk), "chunk": chunk}
        tasks = {"true": ({**scene_mark, "chunk": chunk}, true)}
        tasks |= {job.name: (job.mark, functools.partial(lambda job: self.run_job(job, scene()), job)) for job in jobs}
        for name, (mark, measure) in tasks.items():
            if finished(self.file(name), mark):
                self.note(f"{name} is done")
                continue
            write_record(self.file(name), {"mark": mark, **measure()})
        return {name: json.loads(self.file(name).read_text()) for name in tasks}

    def run_job(self, job: Job, scene: Scene) -> dict[str, Any]:
        """One actor's performance: what was measured of it, and what it cost."""
        path, meter = self.folder / f"{job.name}.f32", Meter(job.chunk)
        features, emotion = speech_features(scene.speech, job.actor), scene.emotion if self.tell_emotion else None
        motion = perform(job.actor, job.settings, features, scene.latents[:, 0], emotion, self.seed)
        with self.counting(f"frames by {job.name}", scene.latents.shape[1]) as advance:
            append(path, motion, lambda frames: (meter.piece(frames), advance(frames)))
        self.note(f"measuring {job.name}")
        people, _, dim = scene.latents.shape
        measured = scene.rulers.generated(opened(path, people, dim), job.chunk)
        if not self.keep_motion:
            path.unlink()
        needed = job.actor.model.window(job.settings).needed / FRAME_RATE
        cost = {"needed_seconds": needed, **meter.cost()._asdict()}
        return {**measured, "chunk": job.chunk, "checkpoint": job.actor.origin, "cost": cost}

    def write_report(self, title: str, arguments: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
        """Writes drift.json and drift.html."""
        content = {"arguments": arguments, "about": drift_page.ABOUT, "measured": measured, "versions": provenance.versions()}
        write_record(self.folder / "drift.json", content)
        write_whole(self.folder / "drift.html", page(title, drift_page.body(measured)))


def speech_features(speech: Sequence[Int16[np.ndarray, "samples"]], actor: Stage) -> Iterator[Float[np.ndarray, "people n a"]]:
    """Audio features of all performances as the actor hears them, in pieces."""
    scaled = lambda audio: (piece.astype(np.float32) / np.float32(32768) for piece in pieces(audio))
    return (np.stack(piece) for piece in zip(*(actor.audio.stream(scaled(audio)) for audio in speech), strict=True))
