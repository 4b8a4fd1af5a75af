"""Sharpness, background noise and flicker relative to the true video: the scores of evaluation/detail.py."""

from __future__ import annotations

from xactor_jax.evaluation.detail import detail_scores
from xactor_jax.scoring.paired import require_same_size
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    require_same_size(case)
    found = detail_scores(case.generated, case.truth)
    return Measured(values={f"{name}_ratio": value for name, value in found.items()})


PROTOCOL = Protocol(
    name="detail",
    source="of this project: xactor_jax/evaluation/detail.py, equations 1 to 4",
    definition="Detail: energy of fine detail of moving pixels, over the true video's. Background: that of pixels that do not "
    "change in the true video, over its first frame's. Flicker: standard deviation of differences between frames, over the "
    "true video's. Frame 0 is left out.",
    numbers=(
        Number(name="detail_ratio", title="Detail", better="truth"),
        Number(name="background_ratio", title="Background", better="truth"),
        Number(name="flicker_ratio", title="Flicker", better="truth"),
    ),
    measure=measure,
    needs_truth=True,
    limits="1 is the truth's own value. Noise counts as detail.",
)
