"""Whether the mouth opens when the sound is loud: a measure of lip synchronisation without a trained network.

    ρ(ℓ) = corr(o[t + ℓ], a[t]),  |ℓ| ≤ `MOST`:  o the mouth opening (face_motion.py, equation 1), a the loudness (loudness.py)

The reported correlation is the largest; its lag is positive if the mouth is late.
"""

from __future__ import annotations

from xactor_jax.scoring.curves import lagged
from xactor_jax.scoring.face_motion import mouth_opening
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.loudness import loudness
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case

MOST = 5
"""Frames."""


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    points = landmarks_of(case.generated)
    correlation, lag = lagged(mouth_opening(points), loudness(case.generated.waveform, len(points)), MOST)
    return Measured(values={"mouth_loudness": correlation, "mouth_loudness_lag": lag})


PROTOCOL = Protocol(
    name="lips",
    source="of this project; landmarks of Face Mesh (arXiv 1907.06724)",
    definition=f"Pearson correlation of mouth opening (inner lips over the distance of the eyes' outer corners) with loudness "
    f"(RMS of 50 ms), largest within ±{MOST} frames, and the lag at which it is largest (positive: the mouth is late).",
    numbers=(
        Number(name="mouth_loudness", title="Mouth–loudness correlation", better="truth"),
        Number(name="mouth_loudness_lag", title="its lag, frames", better="truth", digits=0),
    ),
    measure=measure,
    needs_sound=True,
    limits="Loud sounds can be spoken with a closed mouth: six true clips have correlations of .01, .24, .26, .26, .34 and "
    ".40, and .04 to .09 if the sound is shifted. Compare with the true video's value, over many videos.",
)
