"""Contact sheets: evenly spaced frames of every system's video of a clip, above those of the true video."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.evaluation.figures import contact_sheet
from xactor_jax.scoring.files import Pair, open_video
from xactor_jax.scoring.run import TRUTH
from xactor_jax.scoring.video import Video
from xactor_jax.timing import FRAME_RATE

COLUMNS, SIDE = 8, 192
"""Frames of a row, and the longest side of a frame in pixels."""


def sheets(pairs: Sequence[Pair], most: int) -> dict[str, bytes]:
    """Caption → PNG, for the first `most` names. Videos that cannot be read are left out."""
    names = list(dict.fromkeys(pair.name for pair in pairs))[:most]
    shown = {name: _sheet([pair for pair in pairs if pair.name == name]) for name in names}
    return {f"{name}: {', '.join(rows)}": picture for name, (rows, picture) in shown.items() if rows}


def _sheet(pairs: Sequence[Pair]) -> tuple[list[str], bytes]:
    """Names of the rows, and the picture, of all videos of one name."""
    truth = next((pair.truth for pair in pairs if pair.truth), "")
    files = {pair.system: pair.generated for pair in pairs} | ({TRUTH: truth} if truth else {})
    videos = {system: video for system, path in files.items() if (video := _opened(path))}
    if not videos:
        return [], b""
    count = min(video.count for video in videos.values())
    step = max(1, count // COLUMNS)
    rows = {system: _frames(video, step, min(count, COLUMNS * step)) for system, video in videos.items()}
    last = rows[next(reversed(rows))]
    return list(rows), contact_sheet(last[0], rows, len(last), FRAME_RATE / step)


def _opened(path: str) -> Video | None:
    try:
        return open_video("", path, sound=False)
    except UserError:
        return None


def _frames(video: Video, step: int, end: int) -> UInt8[np.ndarray, "t h w 3"]:
    """Every `step`-th frame before frame `end`, small."""
    return np.stack([_small(frame) for frame in itertools.islice(video.read(), 0, end, step)])


def _small(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    scale = SIDE / max(frame.shape[:2])
    return frame if scale >= 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
