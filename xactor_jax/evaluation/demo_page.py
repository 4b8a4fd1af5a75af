"""The page of the demo: pictures beside the videos that were made of them, what the motion does, and a small report."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.evaluation import figures
from xactor_jax.evaluation.motion import column
from xactor_jax.evaluation.probes import RidgeProbe
from xactor_jax.evaluation.report import body, inlined, page
from xactor_jax.media.video_io import read_frames

CURVES = ("jaw", "lip_width", "brow_raise", "yaw")
SIDE = 384
"""Of a video on the page, pixels."""

STYLE = "<style>.row { display: flex; gap: 2rem; align-items: end; flex-wrap: wrap } video { image-rendering: auto }</style>"

Curves = dict[str, Float[np.ndarray, "t"]]


def page_of(emotion: str, videos: Mapping[str, str], sections: str) -> str:
    """The page; the files of `videos`, name of the mp4 → picture, and speech.wav lie beside it."""
    about = (
        "Two people who do not exist speak with a synthetic voice. Nothing was trained on them or on the voice. Each video is "
        f'made from one picture and the <a href="speech.wav">speech</a> ({html.escape(emotion)}), by three small networks.'
    )
    rows = "".join(_row(name, image) for name, image in videos.items())
    return page("xactor_jax: a portrait speaks", f"{STYLE}<p>{about}</p>{rows}{sections}")


def _row(name: str, image: str) -> str:
    """A picture beside the video that was made from it."""
    kind = pathlib.PurePath(image).stem
    given = f'<figure><img src="{image}" width="256" alt="{kind}"><figcaption>the {kind}</figcaption></figure>'
    video = f'<video src="{name}.mp4" width="{SIDE}" controls loop></video>'
    return f'<div class="row">{given}<figure>{video}<figcaption>generated</figcaption></figure></div>'


def curves_of(
    motion: Float[np.ndarray, "t d"], controls: Float[np.ndarray, "t controls"], probe: RidgeProbe
) -> tuple[Curves, Curves]:
    """(read from generated motion, true), each name → curve."""
    read = probe(motion)
    return {name: column(read, name) for name in CURVES}, {"jaw": column(controls, "jaw")}


def sections_of(content: Mapping[str, Any], pictures: Mapping[str, bytes], read: Curves, true: Curves) -> str:
    """The page's part about the motion and the report."""
    curves = inlined(figures.curve_plot(read, true), "Controls read from the generated motion latents by a linear map")
    quick = "<h2>Report</h2><p>On few clips; <code>python launch/evaluate.py --out DIR</code> takes more of them.</p>"
    return f"<h2>Motion</h2>{curves}{quick}{body(content, pictures)}"


def strip_of(portrait: UInt8[np.ndarray, "h w 3"], video: pathlib.Path, read: Curves, true: Curves) -> bytes:
    """PNG of the portrait, frames of its video and the jaw."""
    frames = np.stack([frame for _, frame in read_frames(video)])
    return figures.film_strip(portrait, frames, {"jaw": read["jaw"]}, true)
