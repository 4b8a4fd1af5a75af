"""PSNR, SSIM and L1 against the true video, of whole pictures and of the mouth (evaluation/metrics.py, equations 4, 5 and 8).

Frame 0 is left out, because it is the reference in reconstruction. Each is computed frame by frame and averaged. The mouth is
the box of lips and chin around the true video's landmarks (faces/components.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from xactor_jax.errors import UserError
from xactor_jax.evaluation.metrics import l1, psnr, ssim
from xactor_jax.faces.components import component_boxes
from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.landmarks import Points, landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Frame

SCORES: dict[str, Callable[[Frame, Frame], float]] = {"psnr": psnr, "ssim": ssim, "l1": l1}
SMALLEST = 16
"""Least side in pixels of a mouth that is compared: SSIM's window has 11."""


def require_same_size(case: Case) -> None:
    """Raises `UserError` if the two videos have pictures of different sizes."""
    sizes = [f"{video.side[1]} × {video.side[0]}" for video in (case.generated, case.truth)]
    if case.generated.side != case.truth.side:
        raise UserError(
            f"{case.generated.name} has pictures of {sizes[0]} pixels, the true video of {sizes[1]}: give videos of one size."
        )


def mouth(points: Points, side: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of lips and chin; None without a face, or if they are too small."""
    if not np.isfinite(points).all():
        return None
    y0, x0, y1, x1 = (component_boxes(points[:, :2] / side[::-1])[1].reshape(2, 2) * side).round().astype(int).ravel()
    return (slice(y0, y1), slice(x0, x1)) if min(y1 - y0, x1 - x0) >= SMALLEST else None


def scores(generated: Frame, true: Frame, points: Points) -> Iterator[float]:
    """All scores of a frame: of the whole, then of the mouth."""
    box = mouth(points, true.shape[:2])
    yield from (score(generated, true) for score in SCORES.values())
    yield from (score(generated[box], true[box]) if box else float("nan") for score in SCORES.values())


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    require_same_size(case)
    frames = zip(case.generated.read(), case.truth.read(), landmarks_of(case.truth), strict=False)
    table = np.array([list(scores(*frame)) for frame in itertools.islice(frames, 1, None)]).reshape(-1, 2 * len(SCORES))
    curves = dict(zip([number.name for number in NUMBERS], table.T, strict=True))
    return Measured(values={name: mean(curve) for name, curve in curves.items()}, curves=curves)


NUMBERS = (
    Number(name="psnr", title="PSNR, dB", better="higher", digits=2),
    Number(name="ssim", title="SSIM", better="higher"),
    Number(name="l1", title="L1", better="lower", digits=4),
    Number(name="mouth_psnr", title="Mouth PSNR, dB", better="higher", digits=2),
    Number(name="mouth_ssim", title="Mouth SSIM", better="higher"),
    Number(name="mouth_l1", title="Mouth L1", better="lower", digits=4),
)

PROTOCOL = Protocol(
    name="paired",
    source="SSIM: Wang et al. 2004, with their Gaussian window, on RGB of 0 to 255",
    definition="Means over frames, without frame 0, of PSNR, SSIM and L1 (of pixels in 0..1), of the whole pictures at their "
    "own size. Mouth: the box of lips and chin of the true frame.",
    numbers=NUMBERS,
    measure=measure,
    needs_truth=True,
    limits="They reward blur, and measure small shifts as large errors. Only for the same person saying the same words.",
)
