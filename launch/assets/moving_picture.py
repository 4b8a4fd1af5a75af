"""The moving picture of README.md, from what launch/demo.py has made: both pictures, and beside each the video made from it.

python launch/assets/moving_picture.py --demo build/demo --out docs/demo.webp
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch.demo import VIDEOS
from xactor_jax.media.video_io import read_frames
from xactor_jax.timing import FRAME_RATE

SIDE, GAP, HEAD = 192, 8, 22  # pixels: of a panel, between panels, above them
EVERY = 2  # frames of the video to one of the picture


def panel(picture: np.ndarray | Image.Image) -> Image.Image:
    """A square picture at the size at which it is shown."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def row(panels: list[Image.Image], names: list[str]) -> Image.Image:
    """Panels side by side under their names, on white."""
    width = len(panels) * (SIDE + GAP) - GAP
    whole = Image.new("RGB", (width, SIDE + HEAD), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(13)
    for index, (image, name) in enumerate(zip(panels, names, strict=True)):
        left = index * (SIDE + GAP)
        draw.text((left + SIDE // 2, HEAD // 2), name, "black", font, anchor="mm")
        whole.paste(image, (left, HEAD))
    return whole


def main() -> None:
    """Writes the picture and says how large it is."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("--demo", required=True, type=pathlib.Path, help="folder that launch/demo.py has written")
    about.add_argument("--out", required=True, type=pathlib.Path, help=".webp to write")
    arguments = about.parse_args()
    given = [panel(Image.open(arguments.demo / image)) for image, _ in VIDEOS.values()]
    made = [[panel(frame) for _, frame in read_frames(arguments.demo / f"{name}.mp4")][::EVERY] for name in VIDEOS]
    names = [text for image, _ in VIDEOS.values() for text in (pathlib.Path(image).stem, "generated")]
    frames = [row([p for pair in zip(given, moment, strict=True) for p in pair], names) for moment in zip(*made, strict=True)]
    duration = 1000 * EVERY // FRAME_RATE
    frames[0].save(arguments.out, save_all=True, append_images=frames[1:], duration=duration, loop=0, quality=70, method=6)
    print(f"{arguments.out}: {len(frames)} frames of {frames[0].size}, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
