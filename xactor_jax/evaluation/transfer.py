"""Reenactment across people: one person's motion on another's portrait, held against what that other person would look like.

Performers make it knowable: the truth is the target drawn under the driver's controls. Beside it stand the target's reference
repeated, and the target driven by motion read from the truth itself, where only the driver is another.

A portrait that is posed as the driver begins may also be driven by the driver's changes alone, equation 1 of
xactor_jax/sampling/driving.py. Both ways are measured on such portraits: the truth's first frames.
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
    """Targets and what drives them, all of one length; everything but the drawing is the same for every renderer."""

    targets: list[str]
    drivers: list[str]
    references: UInt8[np.ndarray, "b h w 3"]
    reference_motion: Float[np.ndarray, "b d"]
    driver: Videos
    driver_motion: Float[np.ndarray, "b t d"]
    true: Videos  # the target under the driver's controls
    true_motion: Float[np.ndarray, "b t d"]


class Transferred(NamedTuple):
    """Frames rendered of the cases: from the driver's motion, and from that of the truth.

    The last two from portraits posed as the driver begins: from the driver's motion, and from its changes alone.
    """

    cross: Videos
    same: Videos
    posed: Videos
    relative: Videos


def make_cases(clips: Sequence[TrueClip], latents: Sequence[ReadClip], encode: Encoder, draw: Draw) -> Cases | None:
    """Each clip's first frame as reference, driven by a clip of somebody else; None if all are of one person.

    `clips` are as large as the renderer's frames, whatever size `draw` draws.
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
    """The cases rendered in all ways."""
    portrait, posed = (cases.references, cases.reference_motion), (cases.true[:, 0], cases.true_motion[:, 0])
    changes = np.stack([relative_to(*pair) for pair in zip(cases.driver_motion, posed[1], strict=True)])
    ways = ((portrait, cases.driver_motion), (portrait, cases.true_motion), (posed, cases.driver_motion), (posed, changes))
    return Transferred(*(render(*shown, motion) for shown, motion in ways))


def relative_to(motion: Float[np.ndarray, "t d"], reference: Float[np.ndarray, "d"]) -> Float[np.ndarray, "t d"]:
    """A whole clip's motion as `driving.relative_motion` makes it."""
    return np.concatenate(list(relative_motion([motion], reference)))


def transfer_scores(cases: Cases, rendered: Transferred, probe: IdentityProbe) -> dict[str, object]:
    """PSNR and SSIM against the truth, and whom the probe says that frames show.

    `gain_db` is what another's motion gains over repeating the reference, `loss_db` what it loses to one's own; `posed_gain_db`
    and `relative_gain_db` are those of portraits posed as the driver begins.
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
