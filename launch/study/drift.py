"""Measures drift: all actors generate motion for the same hour of speech, and every minute is measured.

    python launch/study/drift.py --actor NAME=CKPT --actor NAME=CKPT,history_level=0,steps=8 … --minutes 60 --people 2 --out DIR

The speakers are held-out people of the kind that stage 1 was trained on, drawn for this. With --data CLIPS they are the
validation clips of a data set of synthetic people, one after the other: minutes of work instead of an hour. An actor is a run
or an export (empty: the embedded one) with changed settings of its rollout. It generates motion for all people as one batch,
streamed. Each minute, and each segment of some seconds, is measured: the Fréchet distance to true motion latents, liveliness,
the correlation of the jaw with the true one, the jerk at joins of chunks, the norm of the mean latent, the emotion that is
recognised, the time per chunk and the memory of the process. DIR/drift.json has the numbers, DIR/drift.html a table and
plots. If the same command runs again, it skips the actors that are finished; their files are in DIR/results.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import add_stages
from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import SEED, real, whole
from xactor_jax.targets import make_local_folder

if TYPE_CHECKING:
    from launch.study._clip_scene import Recorded
    from launch.study._scene import Performers
    from xactor_jax.evaluation.drift_run import Drift, Job

# The matrices of a measurement are small: on a busy machine, threads that wait for each other cost more than the work itself.
# This must be set before NumPy is imported, which happens later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

EMBEDDED = "embedded="


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--actor", action="append", metavar="NAME=CKPT,…", help="an actor; may be repeated; default: the embedded one")
    add_stages(about, ("motion",))
    add("--data", default="", metavar="CLIPS", help="perform the validation clips of this data set, again and again")
    add("--minutes", type=float, default=60.0, help="length of the performance")
    add("--people", type=int, default=2, help="number of people")
    add("--out", required=True, help="folder for the report on this machine; created if it does not exist")
    add("--segment_seconds", type=float, default=10.0, help="length of the shorter segments")
    add("--probe_people", type=int, default=400, help="number of other people for fitting the probes of jaw and emotion")
    add("--tell_emotion", action="store_true", help="give the actors the emotion of every frame; default: only the audio")
    add("--keep_motion", action="store_true", help="keep the actors' latents in DIR, as NAME.f32: float32 [T, people, D]")
    add("--seed", type=int, default=0, help="seed of the people and of the rollouts")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for sizes that are not possible."""
    counts = {"people": whole(1), "probe_people": whole(10), "seed": whole(0, SEED)}
    check_numbers(arguments, {**counts, "minutes": real(0.02, 100_000.0), "segment_seconds": real(0.5, 3_600.0)})


def load(arguments: argparse.Namespace, drift: Drift) -> tuple[Performers | Recorded, list[Job]]:
    """Who performs, and the actors; raises `UserError` for what is wrong with a checkpoint or its settings."""
    from data.performers.bodies import load_body
    from launch.study._clip_scene import Recorded
    from launch.study._scene import Performers
    from xactor_jax.evaluation.drift_run import Job
    from xactor_jax.evaluation.variants import parse_variants
    from xactor_jax.sampling.load import Models, check_fit, load_stage
    from xactor_jax.sampling.pipeline import make_settings

    variants = parse_variants(arguments.actor or [EMBEDDED])
    motion = load_stage("motion", checkpoint("motion", arguments.motion))
    actor = functools.cache(lambda path: load_stage("actor", checkpoint("actor", path)))
    pairs = [Models(motion, actor(variant.path)) for variant in variants]
    for pair in pairs:
        check_fit(pair)
    seed = 1 + arguments.seed + max(stage.config.data.seed for pair in pairs for stage in pair.present.values())
    given = {name: getattr(arguments, name) for name in ("people", "minutes", "probe_people", "segment_seconds")}
    drawn = lambda: Performers(body=load_body(motion.config.data.kind), seed=seed, motion=motion, **given)
    performers = Recorded(data=arguments.data, motion=motion, **given) if arguments.data else drawn()
    settings = [make_settings(pair, variant.changed, {}).rollout for pair, variant in zip(pairs, variants, strict=True)]
    jobs = [
        Job(variant.name, pair.actor, how, drift.mark(performers.mark, pair.actor, how))
        for variant, pair, how in zip(variants, pairs, settings, strict=True)
    ]
    return performers, jobs


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What was measured, by name, true motion first; it is in the report too."""
    from xactor_jax.evaluation.drift_run import Drift

    how = {name: getattr(arguments, name) for name in ("seed", "tell_emotion", "keep_motion")}
    drift = Drift(folder=folder, note=note, counting=counting, **how)
    performers, jobs = load(arguments, drift)
    measured = drift.measured(jobs, performers.mark, lambda: performers.make_scene(folder, note, counting))
    title = f"xactor_jax: {arguments.minutes:g} minutes of {arguments.people} people"
    drift.write_report(title, vars(arguments), measured)
    return measured


@contextlib.contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr. Call the result with the number of frames of each piece."""
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
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        folder = make_local_folder(arguments.out)
        measured = run(arguments, folder)
        from rich.console import Console

        from xactor_jax.evaluation.drift_page import rich_table

        Console(width=max(100, 60 + 24 * len(measured))).print(rich_table(measured))
        print(folder / "drift.html")


if __name__ == "__main__":
    main()
