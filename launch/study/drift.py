"""Does minute 60 look like minute 1? Actors perform the same hour, and every minute of it is measured: one table.

    python launch/study/drift.py --actor NAME=CKPT --actor NAME=CKPT,history_level=0,steps=8 … --minutes 60 --people 2 --out DIR

People that no stage was trained on speak, of the kind that stage 1 knows. Each actor, a run or an export (empty: the embedded
one) with changed settings of its rollout, performs them all as one batch, streamed. Of each minute, and of each segment of some
seconds: the Fréchet distance to true motion latents, liveliness, the jaw's correlation with the true one, jerk where chunks
join, the norm of the mean latent and the emotion that shows; and what a chunk took in time and the process in memory.
DIR/drift.json holds the numbers, DIR/drift.html table and plots. The same command again goes on after the actors that are done:
their files are in DIR/results.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SEED, real, whole
from xactor_jax.unfinished import write_whole

if TYPE_CHECKING:
    import numpy as np

    from data.performers.bodies import Body
    from data.performers.performance import Performance
    from xactor_jax.actor.settings import RolloutSettings
    from xactor_jax.evaluation.drift import Rulers
    from xactor_jax.motion.pictures import Encoder
    from xactor_jax.sampling.load import Stage

# The matrices of a measurement are small: on a busy machine, threads that wait for one another cost more than the work itself.
# NumPy reads this when it is loaded, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

EMBEDDED = "embedded="
PROBE_FRAMES, PROBE_STEP = 125, 5
"""Frames of a clip that probes are fitted on, and from one that they see to the next."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--actor", action="append", metavar="NAME=CKPT,…", help="an actor; once for each; default: the embedded one")
    add("--motion", default="", metavar="CKPT", help="run or export of the motion stage; default: the embedded one")
    add("--minutes", type=float, default=60.0, help="length of the performance")
    add("--people", type=int, default=2, help="people who perform it")
    add("--out", required=True, help="folder for the report, made if it is missing, on this machine")
    add("--segment_seconds", type=float, default=10.0, help="of the shorter segments")
    add("--probe_people", type=int, default=400, help="other people, on whom the probes of jaw and emotion are fitted")
    add("--tell_emotion", action="store_true", help="tell the actors the emotion of every frame; else they have to hear it")
    add("--keep_motion", action="store_true", help="leave the actors' latents in DIR, as NAME.f32: float32 [T, people, D]")
    add("--seed", type=int, default=0, help="of the people and of the rollouts")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Sizes that make sense."""
    counts = {"people": whole(1), "probe_people": whole(10), "seed": whole(0, SEED)}
    check_numbers(arguments, {**counts, "minutes": real(0.02, 100_000.0), "segment_seconds": real(0.5, 3_600.0)})


def make_folder(path: str) -> Path:
    """Raises `UserError` if the folder cannot be made or is not on this machine."""
    from xactor_jax.paths import is_remote

    folder = Path(path)
    try:
        if is_remote(path):
            raise OSError("it is not on this machine")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made ({error}): name another one with --out.") from None
    return folder


class Job(NamedTuple):
    """An actor that is to perform, and all that its numbers depend on."""

    name: str
    actor: Stage
    settings: RolloutSettings
    mark: dict[str, Any]

    @property
    def chunk(self) -> int:
        return self.actor.model.network.chunk


class Work(NamedTuple):
    """What is to be done, by whom, and on which performers: of the kind that stage 1 was trained on."""

    motion: Stage
    body: Body
    jobs: list[Job]
    data_seed: int
    mark: dict[str, Any]

    def file(self, folder: Path, name: str) -> Path:
        return folder / "results" / f"{name}.json"


def load(arguments: argparse.Namespace) -> Work:
    """Reads the checkpoints; raises `UserError` for what is wrong with any of them or their settings."""
    from data.embedded import embedded_checkpoint
    from data.performers.bodies import load_body
    from xactor_jax.evaluation.variants import parse_variants
    from xactor_jax.sampling.load import Models, check_fit, load_stage
    from xactor_jax.sampling.pipeline import make_settings

    variants = parse_variants(arguments.actor or [EMBEDDED])
    motion = load_stage("motion", arguments.motion or embedded_checkpoint("motion"))
    body = load_body(motion.config.data.kind)
    actor = functools.cache(lambda path: load_stage("actor", path or embedded_checkpoint("actor")))
    pairs = [Models(motion, actor(variant.path)) for variant in variants]
    for pair in pairs:
        check_fit(pair)
    data_seed = 1 + arguments.seed + max(stage.config.data.seed for pair in pairs for stage in pair.present.values())
    given = {name: getattr(arguments, name) for name in ("minutes", "people", "segment_seconds", "probe_people")}
    mark = {**given, "people_are": body.PERSON, "generator": body.GENERATOR, "data_seed": data_seed, "motion": motion.hash}
    settings = [make_settings(pair, variant.changed, {}).rollout for pair, variant in zip(pairs, variants, strict=True)]
    jobs = [
        Job(variant.name, pair.actor, how, {**mark, **actor_mark(arguments, pair.actor, how)})
        for variant, pair, how in zip(variants, pairs, settings, strict=True)
    ]
    return Work(motion, body, jobs, data_seed, mark)


def actor_mark(arguments: argparse.Namespace, actor: Stage, settings: RolloutSettings) -> dict[str, Any]:
    """What the numbers of one actor depend on beside the performers."""
    told = {"seed": arguments.seed, "tell_emotion": arguments.tell_emotion}
    return {**told, "actor": actor.hash, "settings": dataclasses.asdict(settings)}


class Scene(NamedTuple):
    """The performances, their true motion [B, T, D] on disk, the emotions of their frames, and what measures them."""

    performances: list[Performance]
    latents: np.ndarray
    emotion: np.ndarray
    rulers: Rulers


def make_scene(arguments: argparse.Namespace, folder: Path, work: Work) -> Scene:
    """Everything that all actors share."""
    import numpy as np

    from data.performers.long import make_long_performance
    from xactor_jax.motion.pictures import frame_encoder

    encode = frame_encoder(work.motion.model, work.motion.variables)
    note(f"making {arguments.minutes:g} minutes of speech of {arguments.people} people")
    performances = [make_long_performance(work.body, work.data_seed, i, arguments.minutes) for i in range(arguments.people)]
    latents = true_latents(folder, work, performances, encode)
    emotion = np.stack([performance.mood.label for performance in performances])
    return Scene(performances, latents, emotion, make_rulers(arguments, work, encode, performances, latents, emotion))


def true_latents(folder: Path, work: Work, performances: list[Performance], encode: Encoder) -> np.ndarray:
    """True motion [B, T, D], drawn and encoded in pieces into DIR/true.f32 unless it is there."""
    import numpy as np

    from data.performers.long import iter_latents
    from data.performers.performance import LONG
    from xactor_jax.evaluation.drift import append, finished, opened, write_record

    path, told, model = folder / "true.f32", folder / "results" / "true.f32.json", work.motion.model
    if not (path.exists() and finished(told, work.mark)):
        told.unlink(missing_ok=True)
        figures = [work.body.make_figure(work.data_seed, i, LONG, one.acting) for i, one in enumerate(performances)]
        latents = (iter_latents(*pair, model.image_size, encode) for pair in zip(figures, performances, strict=True))
        pieces = zip(*latents, strict=True)
        with counting("frames drawn", len(performances[0].controls)) as advance:
            append(path, (np.stack(piece) for piece in pieces), advance)
        write_record(told, {"mark": work.mark})
    return opened(path, len(performances), model.latent_dim)


def make_rulers(
    arguments: argparse.Namespace,
    work: Work,
    encode: Encoder,
    performances: list[Performance],
    latents: np.ndarray,
    emotion: np.ndarray,
) -> Rulers:
    """Probes fitted on other people, and the truth."""
    import numpy as np

    from data.performers.long import read_person
    from xactor_jax.evaluation.drift import MINUTE, Rulers
    from xactor_jax.evaluation.emotion import fit_emotion
    from xactor_jax.evaluation.motion import column, control_probe
    from xactor_jax.evaluation.motion_report import Ruler, Truth
    from xactor_jax.timing import FRAME_RATE

    note("fitting probes")
    others = range(len(performances), len(performances) + arguments.probe_people)
    size = work.motion.model.image_size
    clips = [read_person(work.body, work.data_seed, i, size, encode, PROBE_FRAMES, PROBE_STEP) for i in others]
    held = max(1, len(clips) // 5)
    probes = {"probe": control_probe(clips[held:], clips[:held]), "feelings": fit_emotion(clips, PROBE_STEP)}
    jaw = np.stack([column(performance.controls, "jaw") for performance in performances])
    truth = Truth(latents=latents, jaw=jaw, emotion=emotion)
    sizes = (round(arguments.segment_seconds * FRAME_RATE), MINUTE)
    return Rulers(*(Ruler(truth=truth, segment=size, **probes) for size in sizes))


def speech_features(performances: list[Performance], actor: Stage) -> Iterator[np.ndarray]:
    """Audio features [B, n, A] of all performances as the actor hears them, in pieces."""
    import numpy as np

    from xactor_jax.sampling.pipeline import pieces

    scaled = lambda audio: (piece.astype(np.float32) / np.float32(32768) for piece in pieces(audio))
    return (np.stack(piece) for piece in zip(*(actor.audio.stream(scaled(one.audio)) for one in performances), strict=True))


def run_job(arguments: argparse.Namespace, folder: Path, job: Job, scene: Scene) -> dict[str, Any]:
    """One actor's performance: what was measured of it, and what it cost."""
    from xactor_jax.evaluation.drift import Meter, append, opened, perform
    from xactor_jax.timing import FRAME_RATE

    path, meter = folder / f"{job.name}.f32", Meter(job.chunk)
    features, emotion = speech_features(scene.performances, job.actor), scene.emotion if arguments.tell_emotion else None
    motion = perform(job.actor, job.settings, features, scene.latents[:, 0], emotion, arguments.seed)
    with counting(f"frames by {job.name}", scene.latents.shape[1]) as advance:
        append(path, motion, lambda frames: (meter.piece(frames), advance(frames)))
    note(f"measuring {job.name}")
    people, _, dim = scene.latents.shape
    measured = scene.rulers.generated(opened(path, people, dim), job.chunk)
    if not arguments.keep_motion:
        path.unlink()
    needed = job.actor.model.window(job.settings).needed / FRAME_RATE
    cost = {"needed_seconds": needed, **meter.cost()._asdict()}
    return {**measured, "chunk": job.chunk, "checkpoint": job.actor.origin, "cost": cost}


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Does what is not done yet: what was measured, by name, true motion first."""
    from xactor_jax.evaluation.drift import finished, write_record

    work = load(arguments)
    scene = functools.cache(lambda: make_scene(arguments, folder, work))
    chunk = work.jobs[0].chunk
    tasks = {"true": ({**work.mark, "chunk": chunk}, lambda: {**scene().rulers.true_motion(chunk), "chunk": chunk})}
    for job in work.jobs:
        tasks[job.name] = (job.mark, functools.partial(lambda job: run_job(arguments, folder, job, scene()), job))
    for name, (mark, measure) in tasks.items():
        if finished(work.file(folder, name), mark):
            note(f"{name} is done")
            continue
        write_record(work.file(folder, name), {"mark": mark, **measure()})
    return {name: json.loads(work.file(folder, name).read_text()) for name in tasks}


def write_report(arguments: argparse.Namespace, folder: Path, measured: dict[str, Any]) -> None:
    """drift.json and drift.html."""
    from xactor_jax.evaluation import drift_page
    from xactor_jax.evaluation.drift import write_record
    from xactor_jax.evaluation.report import page
    from xactor_jax.sampling import provenance

    content = {"arguments": vars(arguments), "about": drift_page.ABOUT, "measured": measured, "versions": provenance.versions()}
    write_record(folder / "drift.json", content)
    title = f"xactor_jax: {arguments.minutes:g} minutes of {arguments.people} people"
    write_whole(folder / "drift.html", page(title, drift_page.body(measured)))


@contextlib.contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that is told of the frames of each piece."""
    from launch import _progress

    done = 0
    with _progress.counting(what) as progress:

        def advance(frames: int) -> None:
            nonlocal done
            done += frames
            progress(done, total)

        yield advance


def note(message: str) -> None:
    print(f"{message} …", file=sys.stderr)


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        folder = make_folder(arguments.out)
        measured = run(arguments, folder)
        write_report(arguments, folder, measured)
        from rich.console import Console

        from xactor_jax.evaluation.drift_page import rich_table

        Console(width=max(100, 60 + 24 * len(measured))).print(rich_table(measured))
        print(folder / "drift.html")


if __name__ == "__main__":
    main()
