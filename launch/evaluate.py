"""Measures the three stages on held-out people, and writes a report.

    python launch/evaluate.py --out DIR

Linear probes read the controls and the identity from motion latents. They also read mouth and emotion from motion that is
generated for held-out voices; its latents are compared with true ones too. Rendered video is compared with true video, driven
by the person's own motion and, for synthetic people, by another person's. DIR/report.html has pictures and plots,
DIR/report.json the numbers.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import STAGES, add_audio_checkpoint, add_stages, checkpoints
from xactor_jax.errors import exit_on_user_error
from xactor_jax.settings import SEED, whole
from xactor_jax.targets import make_folder


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--data", default="", metavar="CLIPS", help="records with true controls; default: synthetic people, made on first use")
    add_stages(about)
    add_audio_checkpoint(about)
    add("--until", choices=STAGES, default="video", help="last stage to measure; later stages need not exist")
    add("--out", required=True, help="folder for the report; created if it is missing")
    add(
        "--persons",
        type=int,
        default=400,
        help="number of people in the data set that is made; a tenth of them is the test split",
    )
    add("--clips_per_person", type=int, default=1, help="number of clips of each person; 5 s each")
    add("--probe_clips", type=int, default=320, help="number of clips of the train split to fit probes on")
    add("--test_clips", type=int, default=0, help="number of clips of the test split to score probes on; 0: all")
    add("--actor_clips", type=int, default=32, help="number of these clips whose speech drives the actor")
    add("--actor_frames", type=int, default=125, help="number of frames of each of them")
    add("--actor_seeds", type=int, default=3, help="number of rollouts per clip, to measure diversity")
    add(
        "--segment_frames",
        type=int,
        default=250,
        help="frames per piece when drift is measured; clips shorter than two pieces are not measured",
    )
    add("--video_clips", type=int, default=8, help="number of test clips that are rendered")
    add("--video_frames", type=int, default=75, help="number of frames of each that are rendered")
    add("--sheets", type=int, default=3, help="number of contact sheets in the report")
    add("--steps", type=int, help="denoising steps of the renderer")
    add("--actor_steps", type=int, help="denoising steps of the actor")
    add("--seed", type=int, default=0, help="seed of all random numbers")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for numbers outside their ranges."""
    least = dict(persons=3, clips_per_person=1, probe_clips=1, test_clips=0, actor_clips=2, actor_frames=12, actor_seeds=2)
    least |= dict(segment_frames=12, video_clips=1, video_frames=2, sheets=0)
    steps = dict.fromkeys(("steps", "actor_steps"), whole(1, 10_000))
    check_numbers(arguments, {**{name: whole(low, 1_000_000) for name, low in least.items()}, **steps, "seed": whole(0, SEED)})


def evaluate_to(arguments: argparse.Namespace, note: Callable[[str], None]):
    """Writes the report. Returns the content of its JSON, and the `Evaluation`."""
    from data.performers.redraw import redrawer
    from launch._clips import data_path, true_clips
    from xactor_jax.evaluation.report import write_report
    from xactor_jax.evaluation.run import EvaluationSettings, Splits, content_of, evaluate
    from xactor_jax.sampling.load import load_models
    from xactor_jax.sampling.pipeline import make_settings

    start, given = time.perf_counter(), vars(arguments)
    measured = STAGES[: STAGES.index(arguments.until) + 1]
    models = load_models(checkpoints(arguments, measured), arguments.audio_checkpoint)
    changed = lambda name: {"steps": given[name]} if given[name] else {}
    settings = make_settings(models, changed("actor_steps"), changed("steps"))
    path = data_path(arguments, models)
    note("reading clips")
    sizes = {"train": arguments.probe_clips, "validation": max(1, arguments.probe_clips // 4), "test": arguments.test_clips}
    splits = Splits(**{split: true_clips(path, split, most, known=True) for split, most in sizes.items()})
    folder = make_folder(arguments.out)
    draw = redrawer(path) if models.video else None
    evaluation = evaluate(models, splits, settings, EvaluationSettings.of(given), note, draw)
    content = content_of(models, settings, splits, evaluation.scores)
    content |= {"arguments": given, "data": str(path), "seconds": round(time.perf_counter() - start, 1)}
    write_report(folder, content, evaluation.pictures)
    return content, evaluation


def show(content: dict) -> None:
    """Prints the targets, one per line."""
    from xactor_jax.evaluation.report import bounds

    for target in content["targets"]:
        verdict = "reached" if target["passed"] else "missed "
        line = f"{verdict} {target['value']:6.2f} ({bounds(target)})  {target['name']}; {target['beside']}"
        print(line.rstrip("; "))


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence; missed targets are no error."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        make_folder(arguments.out)
        content, _ = evaluate_to(arguments, lambda message: print(f"{message} …", file=sys.stderr))
        show(content)
        print(f"{arguments.out}/report.html")


if __name__ == "__main__":
    main()
