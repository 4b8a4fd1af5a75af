"""A puppet that nothing was trained on speaks with a voice never heard: python launch/demo.py [--out build/demo].

Writes a portrait and a recording, runs what launch/sample.py runs on them, a small launch/evaluate.py, and a page
(OUT/index.html) that shows the video, what the motion does and the report.
"""

from __future__ import annotations

import argparse
import html
import sys
import wave
from pathlib import Path

import _root  # noqa: F401  (puts the project on the path)

from xactor_jax.errors import UserError, exit_on_user_error

SEED, PERSON, CLIP = 250_802_944, 7, 0  # a seed that no data set is made with
PORTRAIT_SIDE = 256  # pixels
CURVES = ("jaw", "lip_width", "brow_raise", "yaw")
STAGES = ("motion", "actor", "video")
QUICK = ("--persons=120", "--clips_per_person=2", "--probe_clips=96", "--actor_clips=6", "--video_clips=2", "--video_frames=25")
"""Options of launch/evaluate.py with which it takes little time."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--out", default="build/demo", help="folder to write, on this machine")
    add("--seconds", type=float, default=6.0, help="length of the speech")
    add("--emotion", default="happy", help="of the voice; what the actor makes of it, it hears")
    add("--report", choices=("quick", "none"), default="quick", help="whether to measure, too")
    for stage in STAGES:
        add(f"--{stage}", default="", metavar="CKPT", help=f"run or export of the {stage} stage; default: the embedded one")
    return about


def write_inputs(folder: Path, seconds: float, emotion: str):
    """Writes portrait.png and speech.wav; returns what they were made from.

    Raises:
        UserError: there is no such emotion, or the speech would be too short.
    """
    from data.performers.clips import make_demonstration
    from data.performers.emotion import FELT
    from data.puppets import body
    from xactor_jax.media.image_io import write_image
    from xactor_jax.timing import FRAME_RATE, SAMPLE_RATE

    if emotion not in FELT:
        raise UserError(f"puppets do not feel {emotion!r}: choose one of {', '.join(FELT)}.")
    if seconds < 1:
        raise UserError(f"{seconds} seconds of speech are too few: take at least 1.")
    frames = round(seconds * FRAME_RATE)
    made = make_demonstration(body, SEED, PERSON, CLIP, frames, PORTRAIT_SIDE, FELT.index(emotion))
    write_image(folder / "portrait.png", made.portrait)
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(made.performance.audio.tobytes())
    return made


def speak(folder: Path, checkpoints: dict[str, str]) -> None:
    """launch/sample.py on the two files: talking.mp4, talking.json and motion.npz."""
    from launch import sample

    files = {"image": "portrait.png", "audio": "speech.wav", "out": "talking.mp4", "save_motion": "motion.npz"}
    options = [f"--{name}={folder / file}" for name, file in files.items()]
    # A puppet's portrait is drawn as its clips are, so there is nothing to crop.
    sample.run_one(sample.parser().parse_args([*options, "--crop=none", *(f"--{k}={v}" for k, v in checkpoints.items())]))


def measure(folder: Path, checkpoints: dict[str, str]):
    """A small launch/evaluate.py: (content of the report, `Evaluation`)."""
    from launch import evaluate

    options = [f"--out={folder / 'report'}", *QUICK, *(f"--{k}={v}" for k, v in checkpoints.items())]
    return evaluate.evaluate_to(evaluate.parser().parse_args(options), note)


def curves_of(folder: Path, made, probe):
    """(read from the generated motion, true), each name → curve."""
    import numpy as np

    from xactor_jax.evaluation.motion import column

    read = probe(np.load(folder / "motion.npz")["motion_latents"])
    return {name: column(read, name) for name in CURVES}, {"jaw": column(made.performance.controls, "jaw")}


def write_picture(folder: Path, made, read: dict, true: dict) -> None:
    """demo.png: the portrait, frames and the jaw."""
    import numpy as np

    from xactor_jax.evaluation.figures import film_strip
    from xactor_jax.media.video_io import read_frames

    frames = np.stack([frame for _, frame in read_frames(folder / "talking.mp4")])
    (folder / "demo.png").write_bytes(film_strip(made.portrait, frames, {"jaw": read["jaw"]}, true))


def write_page(folder: Path, emotion: str, sections: str) -> None:
    """index.html; everything that it shows lies beside it or in it."""
    from xactor_jax.evaluation.report import page

    inputs = '<figure><img src="portrait.png" width="256" alt="portrait"><figcaption>the portrait</figcaption></figure>'
    video = '<figure><video src="talking.mp4" width="384" controls loop></video><figcaption>generated</figcaption></figure>'
    about = (
        "A puppet that nothing was trained on speaks with a voice never heard: the video is made from the portrait and the "
        f'<a href="speech.wav">speech</a> ({html.escape(emotion)}) alone, by three small networks.'
    )
    style = (
        "<style>.row { display: flex; gap: 2rem; align-items: end; flex-wrap: wrap } video { image-rendering: auto }</style>"
    )
    content = f'{style}<p>{about}</p><div class="row">{inputs}{video}</div>{sections}'
    (folder / "index.html").write_text(page("xactor_jax: a portrait speaks", content))


def measured_sections(folder: Path, made, checkpoints: dict[str, str]) -> str:
    """Measures, writes demo.png, and returns the page's part about the motion and the report."""
    from xactor_jax.evaluation import figures
    from xactor_jax.evaluation.report import body, inlined

    content, evaluation = measure(folder, checkpoints)
    read, true = curves_of(folder, made, evaluation.probe)
    write_picture(folder, made, read, true)
    curves = inlined(figures.curve_plot(read, true), "Controls read from the generated motion latents by a linear map")
    quick = "<h2>Report</h2><p>On few clips; <code>python launch/evaluate.py --out DIR</code> takes more of them.</p>"
    return f"<h2>Motion</h2>{curves}{quick}{body(content, evaluation.pictures)}"


def note(message: str) -> None:
    print(f"{message} …", file=sys.stderr)


def make_folder(path: str) -> Path:
    """Raises `UserError` if the folder cannot be made."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made ({error}): name another one with --out.") from None
    return folder


def run(arguments: argparse.Namespace) -> None:
    """Everything, in order."""
    folder = make_folder(arguments.out)
    checkpoints = {stage: getattr(arguments, stage) for stage in STAGES if getattr(arguments, stage)}
    note("making a portrait and a voice")
    made = write_inputs(folder, arguments.seconds, arguments.emotion)
    note("making it speak")
    speak(folder, checkpoints)
    sections = measured_sections(folder, made, checkpoints) if arguments.report == "quick" else ""
    write_page(folder, arguments.emotion, sections)
    print(folder / "index.html")


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        run(arguments)


if __name__ == "__main__":
    main()
