"""How lively head, mouth, lids and brows are, relative to the true video.

    ratio = std_t(generated) / std_t(true)        1: as lively as the truth; below: stiffer

of the mouth opening, the lid opening and the brow height (face_motion.py, equations 1, 3 and 4); for the head, the ratio of the
square roots of the summed variances of yaw, pitch and roll. The head's speeds are the means of
dynamics.py, equation 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xactor_jax.scoring.curves import mean
from xactor_jax.scoring.dynamics import speed, spread, steady
from xactor_jax.scoring.face_motion import Landmarks, brow_height, head_pose, lid_opening, mouth_opening
from xactor_jax.scoring.landmarks import landmarks_of
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case


def amounts(points: Landmarks) -> Mapping[str, float]:
    """Amount of motion of each part."""
    pose = head_pose(points)
    return {
        "head_ratio": float(np.hypot.reduce([spread(angle) for angle in pose.T])),
        "head_speed_ratio": mean(speed(steady(pose))),
        "mouth_ratio": spread(mouth_opening(points)),
        "lids_ratio": spread(lid_opening(points).mean(axis=1)),
        "brows_ratio": spread(brow_height(points)),
    }


def measure(case: Case, network: Network | None) -> Measured:
    """See the module docstring."""
    generated, true = (amounts(landmarks_of(video)) for video in (case.generated, case.truth))
    return Measured(values={name: generated[name] / true[name] if true[name] else float("nan") for name in generated})


PROTOCOL = Protocol(
    name="dynamics_truth",
    source="of this project, after the ratios of Motar (arXiv 2609.10317), which are of motion latents",
    definition="Ratio of the standard deviations over time, generated over true, of head pose, mouth opening, lid opening and "
    "brow height, and of the mean angular speeds of the head.",
    numbers=(
        Number(name="head_ratio", title="Head, std ratio", better="truth"),
        Number(name="head_speed_ratio", title="Head, speed ratio", better="truth"),
        Number(name="mouth_ratio", title="Mouth, std ratio", better="truth"),
        Number(name="lids_ratio", title="Lids, std ratio", better="truth"),
        Number(name="brows_ratio", title="Brows, std ratio", better="truth"),
    ),
    measure=measure,
    needs_truth=True,
    limits="1 is the truth's own value. Motion at the wrong moment has the same ratio.",
)
