"""Reenactment across people: the driver's motion on the target's portrait, compared with the truth.

Rendered performers have a known truth: the target, drawn with the driver's controls. For comparison there are the target's
repeated reference, and the target driven by motion read from the truth itself, which does not come from another person.

If a portrait has the same pose as the driver's first frame, the driver's changes from that frame can drive it, too (equation 1
of xactor_jax/sampling/driving.py). Both ways are measured on such portraits: the first frames of the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.clips import Draw, Encoder, ReadClip, TrueClip
from xactor_jax.evaluation.actor import other_speakers
from xactor_jax.evaluation.identity import IdentityProbe
from xactor_jax.evaluation.video import Render, Videos, scores_against
from xactor_jax.motion.pictures import fit_size
from xactor_jax.sampling.driving import relative_motion


class Cases(NamedTuple):
    """Targets and their drivers, all of one length. They are the same for all renderers."""

    targets: list[str]
    drivers: list[str]
    references: UInt8[np.ndarray, "b h w 3"]
    reference_motion: Float[np.ndarray, "b d"]
    driver: Videos
    driver_motion: Float[np.ndarray, "b t d"]
    true: Videos  # the target with the driver's controls
    true_motion: Float[np.ndarray, "b t d"]


class Transferred(NamedTuple):
    """Rendered frames: `cross` from the driver's motion, `same` from the motion of the truth.

    `posed` and `relative` start from portraits with the pose of the driver's first frame: from the driver's motion, and from
    its changes from the first frame.
    """

    cross: Videos
    same: Videos
    posed: Videos
    relative: Videos


def make_cases(clips: Sequence[TrueClip], latents: Sequence[ReadClip], encode: Encoder, draw: Draw) -> Cases | None:
    """Each clip's first frame as the reference, driven by a clip of another person; None if all clips show one person.

    `clips` have the size of the renderer's frames; `draw` may draw another size.
    """
    order = other_speakers([clip.person for clip in clips])
    pairs = [(i, j) for i, j in enumerate(order) if clips[i].person != clips[j].person]
    if not pairs:
        return None
    drawn = [draw(clips[i], clips[j]) for i, j in pairs]
    side = clips[0].frames.shape[1]
    return Cases(
        targets=[clips[i].person for i, _ in pairs],
        drivers=[clips[j].person for _, j in pairs],
        references=np.stack([clips[i].frames[0] for i, _ in pairs]),
        reference_motion=np.stack([latents[i].latents[0] for i, _ in pairs]),
        driver=np.stack([clips[j].frames for _, j in pairs]),
        driver_motion=np.stack([latents[j].latents for _, j in pairs]),
        true=np.stack([fit_size(frames, side) for frames in drawn]),
        true_motion=np.stack([encode(frames) for frames in drawn]),
    )


def transfer(render: Render, cases: Cases) -> Transferred:
    """Renders the cases in all four ways."""
    portrait, posed = (cases.references, cases.reference_motion), (cases.true[:, 0], cases.true_motion[:, 0])
    changes = np.stack([relative_to(*pair) for pair in zip(cases.driver_motion, posed[1], strict=True)])
    ways = ((portrait, cases.driver_motion), (portrait, cases.true_motion), (posed, cases.driver_motion), (posed, changes))
    return Transferred(*(render(*shown, motion) for shown, motion in ways))


def relative_to(motion: Float[np.ndarray, "t d"], reference: Float[np.ndarray, "d"]) -> Float[np.ndarray, "t d"]:
    """`driving.relative_motion` of a whole clip."""
    return np.concatenate(list(relative_motion([motion], reference)))


def transfer_scores(cases: Cases, rendered: Transferred, probe: IdentityProbe) -> dict[str, object]:
    """PSNR and SSIM against the truth, and the identity that the probe finds in the frames.

    `gain_db` is the PSNR with the driver's motion minus that of the repeated reference; `loss_db` is the PSNR with the motion
    of the truth minus that with the driver's motion. `posed_gain_db` and `relative_gain_db` are the gains of portraits with the
    driver's initial pose.
    """
    still = lambda images: np.broadcast_to(images[:, None], cases.true.shape)
    repeated = {"repeated": still(cases.references), "posed_repeated": still(cases.true[:, 0])}
    scores = {name: scores_against(video, cases.true) for name, video in (rendered._asdict() | repeated).items()}
    return {
        **scores,
        "clips": len(cases.true),
        "frames": cases.true.shape[1],
        "gain_db": scores["cross"]["psnr"] - scores["repeated"]["psnr"],
        "loss_db": scores["same"]["psnr"] - scores["cross"]["psnr"],
        "posed_gain_db": scores["posed"]["psnr"] - scores["posed_repeated"]["psnr"],
        "relative_gain_db": scores["relative"]["psnr"] - scores["posed_repeated"]["psnr"],
        "identity": {
            "people": len(probe.people),
            "true_frames": probe.share(cases.true, cases.targets),
            "cross": probe.share(rendered.cross, cases.targets),
            "cross_is_driver": probe.share(rendered.cross, cases.drivers),
            "same": probe.share(rendered.same, cases.targets),
        },
    }
