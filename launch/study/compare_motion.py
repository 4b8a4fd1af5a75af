"""Compares decoders of stage 1 on prepared clips, real or synthetic.

python launch/study/compare_motion.py --data CLIPS --out DIR
python launch/study/compare_motion.py --data CLIPS --out DIR --motion a=runs/a --motion b=runs/b [--split test] [--clips 16]

Each clip is decoded from its first frame and its own motion latents, so that the true frames are known. DIR/report.json has the
numbers, DIR/NAME.png a contact sheet with the true frames above the decoded ones. The baseline is the repeated reference.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.checkpoints.embedded import checkpoint
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import whole
from xactor_jax.targets import make_folder

EMBEDDED = "embedded="


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--data", required=True, metavar="CLIPS", help="folder of clip records")
    add("--split", default="test", help="split of the records")
    add("--motion", action="append", metavar="NAME=CKPT", help="a motion stage; may be repeated; default: the embedded one")
    add("--clips", type=int, default=0, help="largest number of clips, spread over the people; 0: all")
    add("--frames", type=int, default=75, help="largest number of frames of each clip")
    add("--step", type=int, default=3, help="use only every N-th frame")
    add("--rows", type=int, default=10, help="clips on a sheet")
    add("--out", required=True, help="folder for the report; created if it does not exist")
    return about


def make_clips(arguments: argparse.Namespace, side: int):
    """Test clips of one length, at the image size of the network."""
    import dataclasses

    from launch._clips import true_clips
    from xactor_jax.evaluation.run import cut_alike
    from xactor_jax.motion.pictures import fit_size

    clips = [clip.every(arguments.step) for clip in true_clips(arguments.data, arguments.split, arguments.clips)]
    clips = [clip for clip in cut_alike(clips, arguments.frames) if len(clip.frames) > 1]
    if not clips:
        raise UserError(f"{arguments.data} has no clip of two frames {arguments.step} apart: take a smaller --step.")
    return [dataclasses.replace(clip, frames=fit_size(clip.frames, side)) for clip in clips]


def measure(arguments: argparse.Namespace, name: str, path: str, folder) -> dict:
    """Scores one checkpoint and writes its contact sheet."""
    from xactor_jax.evaluation import decoder
    from xactor_jax.media.image_io import write_image
    from xactor_jax.motion.pictures import frame_encoder
    from xactor_jax.sampling.load import load_stage

    stage = load_stage("motion", path)
    clips = make_clips(arguments, stage.model.image_size)
    encode, decode = (make(stage.model, stage.variables) for make in (frame_encoder, decoder.frame_decoder))
    decoded = decoder.decode_clips(decode, encode, clips)
    shown = type(decoded)(*(videos[: arguments.rows] for videos in decoded))
    write_image(folder / f"{name}.png", decoder.decoder_sheet(shown))
    return {**decoder.decoder_scores(decoded, clips), "checkpoint": stage.hash, "side": stage.model.image_size}


def compare_to(arguments: argparse.Namespace) -> dict:
    """Writes the report and returns the content of its JSON."""
    from xactor_jax.evaluation.variants import parse_variants
    from xactor_jax.sampling import provenance

    folder = make_folder(arguments.out)
    variants = parse_variants(arguments.motion or [EMBEDDED], "motion")
    scores = {}
    for variant in variants:
        print(f"decoding with {variant.name} …", file=sys.stderr)
        scores[variant.name] = measure(arguments, variant.name, str(checkpoint("motion", variant.path)), folder)
    content = {"scores": scores, "arguments": vars(arguments), "versions": provenance.versions()}
    provenance.write_json(folder / "report.json", content)
    return content


def show(scores: dict) -> None:
    """Prints a row for each checkpoint, and one for the repeated reference."""
    ratios = ("detail", "background", "flicker")
    head = ("", "PSNR", "gain dB", "SSIM", "L1", "better", "at mouth", *ratios)
    shown = lambda value: "–" if value is None else f"{value:.2f}"
    rows = [head]
    for name, s in scores.items():
        m = s["true_motion"]
        of_clips = (f"{m['psnr']:.2f}", f"{s['gain_db']:+.2f}", f"{m['ssim']:.3f}", f"{m['l1']:.4f}", f"{s['better']:.0%}")
        mouth = "–" if s["better_mouth"] is None else f"{s['better_mouth']:.0%}"
        rows.append((name, *of_clips, mouth, *(shown(m[ratio]) for ratio in ratios)))
        r = s["reference_repeated"]
        rows.append(("  the reference repeated", f"{r['psnr']:.2f}", "", f"{r['ssim']:.3f}", f"{r['l1']:.4f}", ""))
    for row in rows:
        print(f"{row[0]:28}" + "".join(f"{cell:>11}" for cell in row[1:]))


def main() -> None:
    """Runs the command line."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        least = {"clips": 0, "frames": 2, "step": 1, "rows": 1}
        check_numbers(arguments, {name: whole(low) for name, low in least.items()})
        show(compare_to(arguments)["scores"])


if __name__ == "__main__":
    main()
