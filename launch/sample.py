"""Makes a portrait speak a recording.

    python launch/sample.py --image P --audio A --out V.mp4
    python launch/sample.py --image P --faces left=A,right=B --out V.mp4
    python launch/sample.py --jobs jobs.jsonl

Writes an mp4 at 25 frames a second with the recording's sound, and beside it a JSON file that records what it was made from. A
list of jobs has one JSON object per line with image, audio and out. A job may also have seed, emotion, crop, detector,
face_index, save_motion, mark and paste_back, which replace the options. Finished jobs are skipped. Every path may be gs://.
Several processes (see launch/train.py) split a list into about equal parts. If a process is lost, all end with status 75; the
same command continues.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import (
    RENDER,
    ROLLOUT,
    add_audio_checkpoint,
    add_portrait,
    add_renderer,
    add_rollout,
    add_stages,
    checkpoints,
    given,
    rollout_changes,
    warn,
)
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.labels import EMOTIONS
from xactor_jax.parallel import processes, supervision
from xactor_jax.settings import Range, ranges


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--image", help="the portrait: any picture file")
    add("--audio", help="the recording: any sound or video file")
    add("--out", help="the video to write, .mp4")
    add(
        "--faces",
        default="",
        metavar="NAME=AUDIO,…",
        help="faces of the picture with a recording each, instead of --audio: left, middle, right, or numbers from the left",
    )
    add("--jobs", help="list of jobs (JSON lines), instead of the options above")
    add_stages(about)
    add_audio_checkpoint(about)
    add_portrait(about)
    add(
        "--emotion",
        default="",
        metavar="TRACK",
        help=f"one of {', '.join(EMOTIONS)}: happy, happy@0.6 (with intensity), or over seconds happy@0.5:0-20,sad:20-; "
        "default: unknown",
    )
    add("--audio_guidance", type=float, help="how strongly motion follows the speech; 1: no guidance")
    add("--emotion_guidance", type=float, help="how strongly motion follows the emotion; 1: no guidance")
    add_renderer(about)
    add("--actor_steps", type=int, help="denoising steps of the actor")
    add("--schedule", help="schedule of the actor: autoregressive, pyramid or full_sequence")
    add_rollout(about)
    add(
        "--shard", action="store_true", help="split networks that are too large for one device over the devices of this process"
    )
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` unless the options describe one sample or a list, with numbers in their ranges."""
    single = [name for name in ("image", "audio", "faces", "out") if getattr(arguments, name)]
    if arguments.jobs and (single or arguments.save_motion):
        raise UserError(
            "--jobs takes no other input: write image, audio, out and save_motion into the list; --faces is not for lists."
        )
    if not arguments.jobs and not (arguments.image and arguments.out and (arguments.audio or arguments.faces)):
        raise UserError("give --image, --audio (or --faces) and --out, or --jobs with a list of them.")
    check_numbers(arguments, allowed())


def allowed() -> dict[str, Range]:
    """Option → range, for the options that change settings of the checkpoints."""
    from xactor_jax.actor.settings import RolloutSettings
    from xactor_jax.video.sampler import RenderSettings

    rollout, render = ranges(RolloutSettings), ranges(RenderSettings)
    of_rollout = {name: rollout[name.removeprefix("actor_")] for name in ROLLOUT}
    return {**of_rollout, **{name: render[name] for name in ("steps", "guidance_scale")}}


def request_defaults(arguments: argparse.Namespace) -> dict[str, object]:
    """Values from the options that a request uses by default."""
    names = ("seed", "emotion", "crop", "detector", "face_index", "save_motion", "mark", "c2pa", "paste_back")
    return {name: getattr(arguments, name) for name in names}


def load(arguments: argparse.Namespace):
    """The models and the settings of sampling."""
    import jax

    from xactor_jax.sampling.load import load_models
    from xactor_jax.sampling.pipeline import make_settings, split_options
    from xactor_jax.sampling.sharded import place_sharded

    changes = rollout_changes(arguments)
    models = load_models(
        checkpoints(arguments), arguments.audio_checkpoint, place_sharded if arguments.shard else jax.device_put
    )
    rollout, render = split_options(given(arguments, **{name: name for name in (*ROLLOUT, *RENDER)}))
    return models, make_settings(models, {**changes, **rollout}, render)


def run_one(arguments: argparse.Namespace) -> None:
    """Makes one sample."""
    from launch._progress import counting
    from xactor_jax.sampling.pipeline import sample
    from xactor_jax.sampling.request import Request, check_request

    named = {name: getattr(arguments, name) or "" for name in ("image", "audio", "faces", "out")}
    request = Request(**named, **request_defaults(arguments))
    check_request(request)
    models, settings = load(arguments)
    with counting("frames") as progress:
        sample(models, request, settings, progress, warn)
    print(request.out)


def run_jobs(arguments: argparse.Namespace) -> None:
    """Makes a list of samples. Ends with status 2 if some of them failed."""
    from launch._progress import counting
    from xactor_jax.emotion import parse_emotion
    from xactor_jax.sampling.jobs import read_lines
    from xactor_jax.sampling.many import sample_many

    parse_emotion(arguments.emotion)
    lines = read_lines(arguments.jobs)
    processes.initialize()
    models, settings = load(arguments)
    with counting("samples") as progress:
        failures = sample_many(models, lines, request_defaults(arguments), settings, progress, warn, arguments.shard)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(2)


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    with exit_on_user_error(), supervision.leaving_at_once(several := bool(arguments.jobs) and processes.several()):
        check_usage(arguments)
        supervision.guard(several)
        run_jobs(arguments) if arguments.jobs else run_one(arguments)


if __name__ == "__main__":
    main()
