"""Measures the systems on a folder of videos by all protocols, on one page.

    python launch/benchmark/talking_heads.py --out DIR
    python launch/benchmark/talking_heads.py --out DIR --videos HDTF --layout hdtf --weights syncnet=CKPT --weights i3d=CKPT

Without --videos or --data the people are synthetic heads with an unknown seed, and nothing is needed but the project. Videos
are prepared into DIR/clips by launch/prepare.py; all people are measured. Then every system writes its videos into DIR/videos,
and DIR/report.html has the scores of launch/score.py. Protocols without weights always run, the others where --weights are
given. Folders of other systems' videos (--generated), made from the first frames and the sound of DIR/videos/truth, get rows
beside ours. The same command continues after a stop.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root
from launch._numbers import check_numbers
from launch._options import add_audio_checkpoint, add_rollout, add_stages
from launch._scoring import add_protocols, add_systems
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel.supervision import run_child, status_of
from xactor_jax.settings import SEED, whole
from xactor_jax.targets import make_folder

if TYPE_CHECKING:
    from etils import epath

EVERYBODY, UNSEEN = "train", "test"
"""Splits that are measured: of videos that are prepared here, whose people are not split; and of other clips."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--videos", nargs="+", default=[], metavar="DIR", help="folders of videos, searched to any depth")
    add("--layout", default="", metavar="NAME", help="data set whose paths give the persons, as for launch/prepare.py")
    add("--data", default="", metavar="CLIPS", help="clips that are prepared already, instead of --videos")
    add("--split", default=UNSEEN, help="split of --data")
    add("--out", required=True, metavar="DIR", help="folder for clips, videos and the report; created if it is missing")
    add("--size", type=int, default=256, help="side of prepared frames, pixels")
    add("--video_clips", type=int, default=16, help="number of clips; 0: all")
    add("--video_frames", type=int, default=250, help="number of frames of each")
    add("--steps", type=int, help="denoising steps of the renderer")
    add("--actor_steps", type=int, help="denoising steps of the actor")
    add_rollout(about)
    add("--persons", type=int, default=400, help="number of synthetic people; a tenth of them is measured")
    add("--clips_per_person", type=int, default=1, help="number of clips of each of them; 5 s each")
    add("--sheets", type=int, default=4, help="contact sheets in the report")
    add("--seed", type=int, default=0, help="seed of all random numbers")
    add_stages(about)
    add_audio_checkpoint(about)
    add_systems(about)
    add_protocols(about)
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for options that exclude each other, and for numbers out of range."""
    if arguments.videos and arguments.data:
        raise UserError("--videos and --data are two ways to name the clips: give one of them.")
    if arguments.layout and not arguments.videos:
        raise UserError("--layout says how the folders of --videos are named: give them, too.")
    least = dict(persons=3, clips_per_person=1, video_clips=0, video_frames=2, sheets=0, size=16)
    steps = dict.fromkeys(("steps", "actor_steps"), whole(1, 10_000))
    check_numbers(arguments, {**{name: whole(low, 1_000_000) for name, low in least.items()}, **steps, "seed": whole(0, SEED)})


def prepared(arguments: argparse.Namespace, folder: epath.Path) -> str:
    """Prepares the videos by launch/prepare.py, all people in one split. Returns the folder of the clips."""
    clips = str(folder / "clips")
    program = [sys.executable, str(_root.ROOT / "launch" / "prepare.py"), "--videos", *arguments.videos, "--out", clips]
    options = ["--size", str(arguments.size), "--layout", arguments.layout, "--validation", "0", "--test", "0"]
    status, sentence = status_of(run_child([*program, *options]))
    if status:
        print(sentence, end="\n" if sentence else "", file=sys.stderr)
        sys.exit(status)
    return clips


def measure(arguments: argparse.Namespace) -> None:
    """Prepares, renders, scores and reports."""
    from launch._clips import data_path
    from launch._options import STAGES
    from launch._scoring import load_judges, tell
    from launch._systems import evaluate_systems, models_of

    folder = make_folder(arguments.out)
    load_judges(arguments, true=True)  # wrong weights are refused before videos are prepared
    path = prepared(arguments, folder) if arguments.videos else ""
    models, settings = models_of(arguments, STAGES)
    split = EVERYBODY if path else arguments.split
    tell(arguments, evaluate_systems(arguments, models, settings, path or str(data_path(arguments, models)), split))


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        measure(arguments)


if __name__ == "__main__":
    main()
