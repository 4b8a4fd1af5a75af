"""Two synthetic people speak with a synthetic voice; no stage was trained on any of them: python launch/demo.py

Writes a portrait, a photograph of another person (wider, with other light and another lens) and a recording. Runs
launch/sample.py on them, and a small launch/evaluate.py. Writes a page (OUT/index.html, by default in build/demo) that shows
the videos, the motion and the report.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from pathlib import Path

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._options import STAGES, add_stages
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import check_value, real
from xactor_jax.targets import make_local_folder
from xactor_jax.unfinished import write_whole

SEED, PERSON, CLIP = 250_802_944, 3, 0  # no data set is made with this seed
PHOTOGRAPHED, PLACE = 0, 1  # the person in the photograph, and the clip that gives its light and lens
PORTRAIT_SIDE, PHOTOGRAPH_SIDE = 256, 512  # pixels
WIDER = 1.4  # side of the photograph divided by that of a portrait
VIDEOS = {"talking": ("portrait.png", "none"), "photographed": ("photograph.png", "auto")}
"""Name → picture and --crop. The portrait is framed like training clips, so it needs no crop."""
QUICK = ("--persons=40", "--clips_per_person=1", "--probe_clips=32", "--actor_clips=4", "--video_clips=2", "--video_frames=25")
"""Options of launch/evaluate.py for a short measurement."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--out", default="build/demo", help="folder to write, on this machine")
    add("--seconds", type=float, default=6.0, help="length of the speech, seconds")
    add("--emotion", default="happy", help="emotion of the voice; the actor gets no label and estimates it from the audio")
    add("--report", choices=("quick", "none"), default="quick", help="quick: also measure; none: only make the videos")
    add_stages(about)
    return about


def write_inputs(folder: Path, seconds: float, emotion: str):
    """Writes portrait.png, photograph.png and speech.wav; returns what the portrait and the speech were made from.

    Raises:
        UserError: there is no such emotion, or the speech would be too short.
    """
    from data.heads import body
    from data.performers.clips import make_demonstration
    from data.performers.emotion import ACTED_EMOTIONS
    from xactor_jax.media.image_io import write_image
    from xactor_jax.media.sound_array import sound_array, wav_file
    from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE

    if emotion not in ACTED_EMOTIONS:
        raise UserError(f"heads do not feel {emotion!r}: choose one of {', '.join(ACTED_EMOTIONS)}.")
    check_value("--seconds", seconds, real(1.0, 3_600.0))
    frames = round(seconds * FRAME_RATE)
    made = make_demonstration(body, SEED, PERSON, CLIP, frames, PORTRAIT_SIDE, ACTED_EMOTIONS.index(emotion))
    write_image(folder / "portrait.png", made.portrait)
    write_image(folder / "photograph.png", photograph())
    write_whole(folder / "speech.wav", wav_file(sound_array(made.performance.audio, SAMPLE_RATE)))
    return made


def photograph():
    """Another head with a neutral face, farther away, so that the face must be found."""
    import dataclasses

    from data.heads import body
    from data.performers.clips import acting_of
    from data.performers.controls import NEUTRAL

    acting = acting_of(NEUTRAL[None])
    head = body.make_figure(SEED, PHOTOGRAPHED, PLACE, acting)
    framing = dataclasses.replace(head.framing, side=WIDER * head.framing.side)
    return dataclasses.replace(head, framing=framing).render(acting, PHOTOGRAPH_SIDE)[0]


def speak(folder: Path, checkpoints: dict[str, str]) -> None:
    """Runs launch/sample.py on both pictures. Writes NAME.mp4 and NAME.json for `VIDEOS`, and motion.npz of the first."""
    from launch import sample

    for name in VIDEOS:  # removes videos of an earlier demo, because finished jobs are skipped
        for suffix in (".mp4", ".json"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    jobs = folder / "jobs.jsonl"
    files = lambda name, image: {"image": image, "audio": "speech.wav", "out": f"{name}.mp4"}
    lines = [files(name, image) | {"crop": crop} for name, (image, crop) in VIDEOS.items()]
    lines[0]["save_motion"] = "motion.npz"
    paths = ("image", "audio", "out", "save_motion")
    absolute = [{key: str(folder / value) if key in paths else value for key, value in line.items()} for line in lines]
    jobs.write_text("".join(json.dumps(line) + "\n" for line in absolute))
    sample.run_jobs(sample.parser().parse_args([f"--jobs={jobs}", *(f"--{k}={v}" for k, v in checkpoints.items())]))


def measure(folder: Path, checkpoints: dict[str, str]):
    """Runs a small launch/evaluate.py. Returns the content of the report and the `Evaluation`."""
    from launch import evaluate

    options = [f"--out={folder / 'report'}", *QUICK, *(f"--{k}={v}" for k, v in checkpoints.items())]
    return evaluate.evaluate_to(evaluate.parser().parse_args(options), note)


def measured_sections(folder: Path, made, checkpoints: dict[str, str]) -> str:
    """Measures, writes demo.png, and returns the sections of the page about the motion and the report."""
    import numpy as np

    from xactor_jax.evaluation import demo_page

    content, evaluation = measure(folder, checkpoints)
    motion = np.load(folder / "motion.npz")["motion_latents"]
    read, true = demo_page.curves_of(motion, made.performance.controls, evaluation.probe)
    write_whole(folder / "demo.png", demo_page.strip_of(made.portrait, folder / "talking.mp4", read, true))
    return demo_page.sections_of(content, evaluation.pictures, read, true)


def note(message: str) -> None:
    print(f"{message} …", file=sys.stderr)


def run(arguments: argparse.Namespace) -> None:
    """Runs all steps, in order."""
    from xactor_jax.evaluation.demo_page import page_of

    folder = make_local_folder(arguments.out)
    checkpoints = {stage: getattr(arguments, stage) for stage in STAGES if getattr(arguments, stage)}
    note("making two pictures and a voice")
    made = write_inputs(folder, arguments.seconds, arguments.emotion)
    note("making them speak")
    speak(folder, checkpoints)
    sections = measured_sections(folder, made, checkpoints) if arguments.report == "quick" else ""
    shown = {name: image for name, (image, _) in VIDEOS.items()}
    write_whole(folder / "index.html", page_of(arguments.emotion, shown, sections))
    print(folder / "index.html")


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        run(arguments)


if __name__ == "__main__":
    main()
