"""Prepares a folder of talking-head videos as clip records for training.

    python launch/prepare.py --videos DIR --out DIR

Reads mp4, mov, webm, mkv, avi and mpg files at any depth, with any frame rate, sample rate and number of channels, with or
without sound. Keeps the longest segment with one face, and crops a steady square around it, at 25 fps and with 16 kHz mono
sound. OUT/manifest.csv has the result for every file. Run the same command again to continue after a stop. With --cluster, many
machines share the files (docs/scale.md); the data set is the same.
"""

import argparse
import os
import pathlib
import sys
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from rich import console, table

from launch import _root  # noqa: F401

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # every process handles one picture at a time

from data.frames import FORMATS
from data.layouts import LAYOUTS
from data.prepare import PrepareSettings, Row, prepare
from data.prepare_video import VideoSettings
from launch._progress import counting
from xactor_jax.errors import exit_on_user_error
from xactor_jax.faces.choice import DETECTORS


def parse() -> PrepareSettings:
    """Settings from the command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--videos", required=True, nargs="+", metavar="DIR", help="folders of videos, searched to any depth")
    add("--out", required=True, metavar="DIR", help="new folder for the data set")
    add_video(about)
    add_labels(about)
    add("--validation", type=float, default=0.1, help="share of the persons in the validation split")
    add("--test", type=float, default=0.1, help="share of the persons in the test split")
    add_work(about)
    arguments = vars(about.parse_args())
    names = VideoSettings.__dataclass_fields__
    video = VideoSettings(**{name: arguments.pop(name) for name in list(arguments) if name in names})
    return PrepareSettings(videos=tuple(arguments.pop("videos")), video=video, **arguments)


def add_video(about: argparse.ArgumentParser) -> None:
    """Adds options for what becomes a clip of a video, with the defaults of `VideoSettings`."""
    add, video = about.add_argument, VideoSettings()
    add("--size", type=int, default=video.size, help="side of the square frames, pixels")
    add(
        "--detector",
        default=video.detector,
        help=f"face detector: {DETECTORS} (columns file, frame or time, x0, y0, x1, y1)",
    )
    add("--detections", type=float, default=video.detections, help="pictures per second in which faces are detected")
    add("--frames", default=video.frames, help=f"format of the frames of a record: {', '.join(FORMATS)} (docs/data.md)")
    add("--need_sound", action="store_true", help="reject videos with missing or silent sound")
    add("--sidecar_audio", action="store_true", help="use the sound of X.flac, X.wav, X.m4a, X.mp3, … beside X.mp4")
    add("--min_seconds", type=float, default=video.min_seconds, help="length of the shortest clip, seconds")
    add(
        "--max_seconds",
        type=float,
        default=video.max_seconds,
        help="length of the longest record, seconds; longer clips become several records",
    )


def add_labels(about: argparse.ArgumentParser) -> None:
    """Adds options for the names of persons and for emotions."""
    add = about.add_argument
    add(
        "--layout",
        default="",
        metavar="NAME",
        help=f"data set whose folders give persons, clips and emotions: {', '.join(LAYOUTS)}",
    )
    add(
        "--persons",
        default="",
        help="source of the persons: a csv (columns file, person), folder, name, name:REGEX or path:REGEX (first group); "
        "default: --layout, else name",
    )
    add(
        "--emotions",
        default="",
        help="source of the emotions: a csv (columns file, emotion: happy, happy@0.6, or over seconds happy:0-20,sad:20-) "
        "or path:REGEX (first group)",
    )


def add_work(about: argparse.ArgumentParser) -> None:
    """Adds options for who does the work."""
    add = about.add_argument
    add(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="number of files processed in parallel; 0: no worker processes, so a crash ends the program",
    )
    add(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help="address or scheduler file of a Dask scheduler: its workers process the files, as many as they have threads "
        "(--processes is not used); --videos and --out must be seen by all workers at the same path, or be gs://",
    )
    add("--timeout", type=float, default=1800.0, help="longest time for one file, seconds")


def summary(rows: list[Row]) -> table.Table:
    """Table of the kept files by split, and of the rejected files by reason."""
    kept = [row for row in rows if row["status"] == "kept"]
    shown = table.Table("", "files", "persons", "records", "frames", "minutes")
    for split in ("train", "validation", "test"):
        part = [row for row in kept if row["split"] == split]
        frames = sum(int(row["frames"]) for row in part)
        numbers = len(part), len({row["person"] for row in part}), sum(int(row["records"]) for row in part), frames
        shown.add_row(split, *map(str, numbers), f"{frames / 1500:.1f}")
    for reason, number in Counter(row["reason"] for row in rows if row["status"] == "rejected").most_common():
        shown.add_row(f"rejected: {reason}", str(number))
    return shown


def warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def run() -> None:
    """Prepares the data set and prints a summary."""
    settings, screen = parse(), console.Console()
    with counting("files") as count:
        rows, worked = prepare(settings, lambda done, total, row: count(done, total), warn)
    screen.print(summary(rows))
    if not worked:
        screen.print(f"{settings.out} is prepared already from these files with these settings: nothing to do.")
    else:
        screen.print(f"The data set is {settings.out}; {settings.out}/manifest.csv has a line for each file.")


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    with exit_on_user_error():
        run()


if __name__ == "__main__":
    main()
