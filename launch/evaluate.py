"""Measures the three stages on held-out people, and writes a report.

    python launch/evaluate.py --out DIR
    python launch/evaluate.py --out DIR --data CLIPS --weights syncnet=CKPT --generated peer=VIDEOS

On synthetic people, linear probes read the controls and the identity from motion latents. They also read mouth and emotion from
motion that is generated for held-out voices; its latents are compared with true ones too. Rendered video is compared with true
video, driven by the person's own motion and by another person's. DIR/report.html has pictures and plots, DIR/report.json the
numbers.

Of real people no controls are known. On prepared clips of them the systems write videos, DIR/videos/SYSTEM/NAME.mp4, which are
scored as by launch/score.py: the reference repeated, stage 1's decoder, the renderer with true motion, with another person's,
and with motion from the clip's sound; beside them the videos of other systems for the same names (--generated). The same
command continues after a stop. Several processes (see launch/train.py) split the clips.
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
from launch._options import STAGES, add_audio_checkpoint, add_rollout, add_stages
from launch._scoring import add_protocols, add_systems
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes, supervision
from xactor_jax.settings import SEED, whole
from xactor_jax.targets import make_folder

SPLIT = "test"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--data", default="", metavar="CLIPS", help="folder of clip records; default: synthetic people, made on first use")
    add("--split", default=SPLIT, help="split of real people; synthetic people are measured on test")
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
    add_rollout(about)
    add("--seed", type=int, default=0, help="seed of all random numbers")
    add_systems(about)
    add_protocols(about)
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for numbers outside their ranges."""
    least = dict(persons=3, clips_per_person=1, probe_clips=1, test_clips=0, actor_clips=2, actor_frames=12, actor_seeds=2)
    least |= dict(segment_frames=12, video_clips=1, video_frames=2, sheets=0)
    steps = dict.fromkeys(("steps", "actor_steps"), whole(1, 10_000))
    check_numbers(arguments, {**{name: whole(low, 1_000_000) for name, low in least.items()}, **steps, "seed": whole(0, SEED)})


def shows_real_people(arguments: argparse.Namespace) -> bool:
    """Whether the clips have no true controls, so that only videos can be scored.

    Raises:
        UserError: there are no such clips, or an option for real people was given for synthetic ones.
    """
    from launch._clips import has_controls

    if arguments.data and not has_controls(arguments.data, arguments.split):
        return True
    options = {"generated": [], "weights": [], "only": "", "without": "", "example_avi": "", "split": SPLIT}
    if odd := [name for name, default in options.items() if getattr(arguments, name) != default]:
        raise UserError(f"--{odd[0]} is for real people: score synthetic ones by launch/benchmark/talking_heads.py.")
    return False


def evaluate_videos(arguments: argparse.Namespace) -> None:
    """Scores the systems' videos of real people. The last of several processes writes the report."""
    from launch._scoring import tell
    from launch._systems import evaluate_systems, models_of

    processes.initialize()
    models, settings = models_of(arguments, STAGES[: STAGES.index(arguments.until) + 1])
    tell(arguments, evaluate_systems(arguments, models, settings, arguments.data, arguments.split))


def evaluate_to(arguments: argparse.Namespace, note: Callable[[str], None]):
    """Writes the report. Returns the content of its JSON, and the `Evaluation`."""
    from data.performers.redraw import redrawer
    from launch._clips import data_path, true_clips
    from launch._systems import models_of
    from xactor_jax.evaluation.report import write_report
    from xactor_jax.evaluation.run import EvaluationSettings, Splits, content_of, evaluate

    start, given = time.perf_counter(), vars(arguments)
    models, settings = models_of(arguments, STAGES[: STAGES.index(arguments.until) + 1])
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
    arguments, several = parser().parse_args(), processes.several()
    with exit_on_user_error(), supervision.leaving_at_once(several):
        check_usage(arguments)
        supervision.guard(several)
        make_folder(arguments.out)
        if shows_real_people(arguments):
            evaluate_videos(arguments)
            return
        content, _ = evaluate_to(arguments, lambda message: print(f"{message} …", file=sys.stderr))
        show(content)
        print(f"{arguments.out}/report.html")


if __name__ == "__main__":
    main()
