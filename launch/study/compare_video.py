"""Compares renderers on held-out people: variants of training or of sampling.

    python launch/study/compare_video.py --out DIR --video masked= --video unmasked=runs/unmasked
    python launch/study/compare_video.py --out DIR --video segments= --video loop=,offline=true --video guided=,guidance_scale=2
    python launch/study/compare_video.py --out DIR --data CLIPS --split train --video whole= --video draft=,steps=0

A renderer is NAME=CKPT,field=value,…: a run or an export of the video stage (empty: the embedded one) and changed settings of
its sampler. With 0 steps it shows the drafts without change. DIR/comparison.html and DIR/comparison.json have the
errors of each renderer with a person's own motion and, if the clips are performers, with another person's motion; the identity
that a probe finds in its frames; and its difference to the first renderer. DIR/NAME.png shows true frames above rendered ones.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._options import add_stages
from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SEED, whole
from xactor_jax.targets import make_folder
from xactor_jax.unfinished import write_whole

EMBEDDED = "embedded="


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--video", action="append", metavar="NAME=CKPT,…", help="a renderer; may be repeated; default: the embedded one")
    add_stages(about, ("motion",))
    add(
        "--data",
        default="",
        metavar="CLIPS",
        help="folder of clip records; default: heads, generated on first use, see evaluate.py",
    )
    add("--split", default="test", help="split of --data, with people that are unknown to the renderers")
    add("--lpips", default="", metavar="FOLDER", help="network of launch/import_weights.py --what lpips; default: no LPIPS")
    add("--out", required=True, help="folder for the report; created if it does not exist")
    add("--persons", type=int, default=400, help="people in the generated data set; a tenth of them are for tests")
    add("--clips_per_person", type=int, default=1, help="clips of 5 s of each person")
    add("--clips", type=int, default=8, help="test clips that are rendered")
    add("--frames", type=int, default=75, help="frames of each clip")
    add("--seed", type=int, default=0)
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for sizes that are not possible."""
    least = dict(persons=3, clips_per_person=1, clips=1, frames=2)
    check_numbers(arguments, {**{name: whole(low, 1_000_000) for name, low in least.items()}, "seed": whole(0, SEED)})


def load(arguments: argparse.Namespace):
    """Loads the renderers: name → (models, settings)."""
    from xactor_jax.evaluation.variants import parse_variants
    from xactor_jax.sampling.load import Models, check_fit, load_stage
    from xactor_jax.sampling.pipeline import make_settings

    variants = parse_variants(arguments.video or [EMBEDDED], "video")
    motion = load_stage("motion", checkpoint("motion", arguments.motion))
    stages = {path: load_stage("video", checkpoint("video", path)) for path in {v.path for v in variants}}
    if len({stage.model.image_size for stage in stages.values()}) > 1:
        raise UserError("the renderers' frames differ in size: compare renderers of one size.")
    loaded = {v.name: Models(motion, video=stages[v.path]) for v in variants}
    for models in loaded.values():
        check_fit(models)
    return {v.name: (loaded[v.name], make_settings(loaded[v.name], {}, v.changed)) for v in variants}


def write_sheet(path, scene, frames) -> None:
    """Writes a contact sheet with true frames of every clip above rendered ones."""
    import numpy as np

    from xactor_jax.evaluation.decoder import decoder_sheet
    from xactor_jax.evaluation.video import Rendered
    from xactor_jax.media.image_io import write_image

    true = np.stack([clip.frames for clip in scene.clips])
    write_image(path, decoder_sheet(Rendered(true, frames, frames)))


def note(message: str) -> None:
    print(f"{message} …", file=sys.stderr)


def compare_to(arguments: argparse.Namespace) -> dict:
    """Writes the report and returns the content of its JSON."""
    from data.performers.redraw import redrawer
    from launch._clips import data_path, true_clips
    from xactor_jax.evaluation import side_by_side
    from xactor_jax.evaluation.report import finite, page, table
    from xactor_jax.evaluation.run import renderer
    from xactor_jax.sampling import provenance

    distance = side_by_side.perceptual_distance(arguments.lpips) if arguments.lpips else None
    loaded = load(arguments)
    first, _ = next(iter(loaded.values()))
    folder, path = make_folder(arguments.out), data_path(arguments, first)
    test = true_clips(path, arguments.split, 0)
    scene = side_by_side.make_scene(first, test, arguments.clips, arguments.frames, redrawer(path))
    measured = {}
    for name, (models, settings) in loaded.items():
        note(f"rendering with {name}")
        measured[name] = side_by_side.measure(renderer(models, settings, arguments.seed), scene, distance)
        write_sheet(folder / f"{name}.png", scene, measured[name].frames)
    scores = side_by_side.compare(measured)
    described = {n: {"checkpoints": m.origins, "settings": s.to_dict()["render"], **scores[n]} for n, (m, s) in loaded.items()}
    content = finite({"renderers": described, "data": str(path), "versions": provenance.versions()})
    write_whole(folder / "comparison.json", json.dumps(content, indent=2) + "\n")
    cells = side_by_side.rows(scores)
    write_whole(folder / "comparison.html", page("xactor_jax: renderers", table(side_by_side.HEAD, cells)))
    for line in (side_by_side.HEAD, *cells):
        print(" | ".join(line))
    return content


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        compare_to(arguments)
        print(f"{arguments.out}/comparison.html")


if __name__ == "__main__":
    main()
