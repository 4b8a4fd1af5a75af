"""Whether a video stays as sharp as its first frame, and how much it flickers. Needs no true video.

With luminance x_t and its fine detail h_t = x_t − G x_t (G a Gaussian with standard deviation 1 pixel):

(1)  sharpness_t = Σ h_t² / Σ h_0²                  1: as sharp as frame 0; it falls as a long video becomes blurred
(2)  flicker_t = √ mean (x_{t−1} − 2 x_t + x_{t+1})² / √6,  in grey levels of 255

Motion at constant speed of smooth parts cancels in (2). Noise that is independent in every frame, of standard deviation s,
gives s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float

from xactor_jax.evaluation.detail import fine_detail, luminance
from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Frame


def energies(frames: Iterable[Frame]) -> Iterator[tuple[float, float]]:
    """Energy of fine detail, and flicker, of each frame. Flicker is `nan` for the first two frames."""
    last: deque[np.ndarray] = deque(maxlen=3)
    for frame in frames:
        last.append(luminance(frame))
        fine, _ = fine_detail(last[-1])
        yield float(np.square(fine).sum()), flicker(*last) if len(last) == 3 else float("nan")


def flicker(before: Float[np.ndarray, "h w"], now: Float[np.ndarray, "h w"], after: Float[np.ndarray, "h w"]) -> float:
    """Flicker of the middle one of three pictures, in grey levels of 255 (equation 2)."""
    return float(np.sqrt(np.square(before - 2 * now + after).mean() / 6))


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    energy, flickers = np.array(list(energies(case.generated.read()))).T
    curves = {"sharpness": energy / energy[0] if energy[0] else np.full(len(energy), np.nan), "flicker": flickers}
    return Measured(values={name: mean(curve) for name, curve in curves.items()}, curves=curves)


PROTOCOL = Protocol(
    name="sharpness",
    source="of this project; drift of high-frequency energy as in evaluation/detail.py",
    definition="Sharpness: energy of fine detail (luminance minus its Gaussian blur of 1 pixel) of each frame over that of the "
    "first, mean over frames. Flicker: root mean square of the second difference over time of the luminance, over √6, mean "
    "over frames.",
    numbers=(
        Number(name="sharpness", title="Sharpness against frame 0", better="truth"),
        Number(name="flicker", title="Flicker, grey levels", better="truth"),
    ),
    measure=measure,
    limits="Noise counts as sharpness, and so do edges that the head uncovers. The first frame of an "
    "encoded video is often sharper than the rest. Fast motion counts as flicker.",
)
