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
from launch._options import add_stages, checkpoint
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import SEED, real, whole
from xactor_jax.targets import make_local_folder

if TYPE_CHECKING:
    from launch.study._scene import Performers
    from xactor_jax.evaluation.drift_run import Drift, Job

# The matrices of a measurement are small: on a busy machine, threads that wait for one another cost more than the work itself.
# NumPy reads this when it is loaded, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

EMBEDDED = "embedded="


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--actor", action="append", metavar="NAME=CKPT,…", help="an actor; once for each; default: the embedded one")
    add_stages(about, ("motion",))
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


def load(arguments: argparse.Namespace, drift: Drift) -> tuple[Performers, list[Job]]:
    """Who performs and what is asked of them; raises `UserError` for what is wrong with a checkpoint or its settings."""
    from data.performers.bodies import load_body
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
    body = load_body(motion.config.data.kind)
    given = {name: getattr(arguments, name) for name in ("people", "minutes", "probe_people", "segment_seconds")}
    performers = Performers(body=body, seed=seed, motion=motion, **given)
    settings = [make_settings(pair, variant.changed, {}).rollout for pair, variant in zip(pairs, variants, strict=True)]
    jobs = [
        Job(variant.name, pair.actor, how, drift.mark(performers.mark, pair.actor, how))
        for variant, pair, how in zip(variants, pairs, settings, strict=True)
    ]
    return performers, jobs


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What was measured, by name, true motion first; it is in the report too."""
    from launch.study._scene import make_scene
    from xactor_jax.evaluation.drift_run import Drift

    how = {name: getattr(arguments, name) for name in ("seed", "tell_emotion", "keep_motion")}
    drift = Drift(folder=folder, note=note, counting=counting, **how)
    performers, jobs = load(arguments, drift)
    measured = drift.measured(jobs, performers.mark, lambda: make_scene(folder, performers, note, counting))
    title = f"xactor_jax: {arguments.minutes:g} minutes of {arguments.people} people"
    drift.write_report(title, vars(arguments), measured)
    return measured


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
        folder = make_local_folder(arguments.out)
        measured = run(arguments, folder)
        from rich.console import Console

        from xactor_jax.evaluation.drift_page import rich_table

        Console(width=max(100, 60 + 24 * len(measured))).print(rich_table(measured))
        print(folder / "drift.html")


if __name__ == "__main__":
    main()
