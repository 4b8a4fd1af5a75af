"""Whether the mouth opens when the true mouth opens.

    ρ(ℓ) = corr(o[t + ℓ], õ[t]),  |ℓ| ≤ `MOST`:  o, õ the mouth opening of the generated and the true video

The largest correlation is reported; its lag is positive if the generated mouth is late.
"""

from __future__ import annotations

from xactor_jax.scoring.curves import lagged
from xactor_jax.scoring.face_motion import mouth_opening
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case

MOST = 3
"""Frames."""


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    openings = (mouth_opening(landmarks_of(video)) for video in (case.generated, case.truth))
    correlation, lag = lagged(*openings, MOST)
    return Measured(values={"mouth_truth": correlation, "mouth_truth_lag": lag})


PROTOCOL = Protocol(
    name="lips_truth",
    source="of this project; landmarks of Face Mesh (arXiv 1907.06724)",
    definition="Pearson correlation of mouth opening (inner lips over the distance of the eyes' outer corners) with that of "
    f"the true video, largest within ±{MOST} frames, and the lag at which it is largest (positive: the generated mouth is "
    "late).",
    numbers=(
        Number(name="mouth_truth", title="Mouth correlation with truth", better="higher"),
        Number(name="mouth_truth_lag", title="its lag, frames", better="truth", digits=0),
    ),
    measure=measure,
    needs_truth=True,
    limits="A mouth that opens half as far as the true one has the same correlation.",
)
