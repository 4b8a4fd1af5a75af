"""Hair styles: the parameters of every style, and a person's hairline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from data.heads.regions import HAIRLINE
from data.heads.traits import Traits


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Parameters of a hair style. Thicknesses and lengths are decimetres."""

    top: float = 0.1  # distance from the skin
    side: float = 0.05
    back: float = 0.07
    front: float = 0.0  # additional thickness above the forehead
    comb: str = "crown"  # direction of strands: from the crown, to the side, back, or round (no direction)
    bumps: float = 0.0  # unevenness of the outline
    cover: float = 0.97  # opacity of the lower layer
    outer: float = 0.5  # opacity of the outer layer
    spread: float = 1.2  # thickness of the outer layer relative to the lower one
    length: float = 0.0  # of hair that hangs down, below the tops of the ears
    front_angle: float = 0.8  # azimuth from which on hair hangs down
    wave: float = 0.0
    inward: float = 0.0  # bend of the tips towards the neck
    roots: float = 0.75  # how much the scalp takes the hair's colour
    coarse: float = 1.0  # width of strands
    tufts: bool = False  # whether locks stick out of the outline
    fringed: bool = True  # whether a fringe is possible
    braided: bool = False
    edge: float = 0.12  # width of the thin hair along the hairline


CUTS: dict[str, Cut] = {
    "bald": Cut(fringed=False, top=0.0, roots=0.22),
    "receding": Cut(fringed=False, top=0.04, side=0.04, back=0.06, cover=0.6, outer=0.3, roots=0.5, edge=0.25),
    "buzz": Cut(
        fringed=False,
        top=0.02,
        side=0.012,
        back=0.014,
        comb="round",
        cover=0.62,
        outer=0.35,
        roots=0.9,
        spread=1.8,
        coarse=0.25,
    ),
    "crop": Cut(tufts=True, top=0.07, side=0.03, back=0.04, bumps=0.3, outer=0.6, roots=0.85),
    "short": Cut(tufts=True, top=0.15, side=0.045, back=0.07, front=0.05, bumps=0.5),
    "side part": Cut(tufts=True, top=0.15, side=0.05, back=0.08, front=0.08, comb="side", bumps=0.15),
    "quiff": Cut(fringed=False, tufts=True, top=0.17, side=0.035, back=0.06, front=0.2, comb="back", bumps=0.2),
    "pixie": Cut(tufts=True, top=0.15, side=0.09, back=0.09, front=0.05, comb="side", bumps=0.3),
    "curly": Cut(top=0.2, side=0.12, back=0.15, comb="round", bumps=1.0, outer=0.55, coarse=1.3, edge=0.05),
    "afro": Cut(
        fringed=False, top=0.42, side=0.34, back=0.36, comb="round", bumps=0.6, spread=1.12, coarse=0.45, edge=0.04, outer=0.6
    ),
    "bob": Cut(top=0.13, side=0.19, back=0.18, comb="side", length=1.05, inward=0.16),
    "long": Cut(top=0.1, side=0.17, back=0.15, comb="side", length=2.0),
    "wavy": Cut(top=0.13, side=0.2, back=0.18, comb="side", length=1.8, wave=0.06, bumps=0.3),
    "bun": Cut(top=0.06, side=0.05, back=0.07, comb="back"),
    "ponytail": Cut(top=0.06, side=0.05, back=0.07, comb="back"),
    "braids": Cut(fringed=False, top=0.06, side=0.05, back=0.06, comb="back", braided=True),
    "headscarf": Cut(fringed=False, roots=0.5),
    "beanie": Cut(fringed=False, top=0.02, side=0.03, back=0.05, roots=0.6),
}
WITHOUT_MANE = ("bald", "headscarf", "beanie")
"""Styles without hair that stands off the skin."""

OVER_EARS = np.array([(0.86, 7.66), (0.95, 7.55), (1.02, 7.5), (1.12, 7.46), (1.22, 7.43), (1.32, 7.4), (1.6, 7.3), (1.8, 7.2)])
"""Line where hair that hangs over the ears leaves the skull: (azimuth, height)."""


def hairline(traits: Traits) -> Float[np.ndarray, "h 2"]:
    """A person's hairline (azimuth, height). Receding hair recedes most at the temples."""
    table = HAIRLINE.copy()
    angle = table[:, 0]
    temple = np.exp(-(((angle - 0.6) / 0.3) ** 2))
    strength = traits.receded * (1.7 if traits.cut == "receding" else 1.0)
    table[:, 1] += strength * (0.26 * temple + 0.1 * (angle < 1.0))
    if CUTS[traits.cut].length:
        table[:, 1] = np.where(
            (angle >= OVER_EARS[0, 0]) & (angle <= OVER_EARS[-1, 0]), np.interp(angle, *OVER_EARS.T), table[:, 1]
        )
    return table


def cut_of(traits: Traits) -> Cut:
    """The parameters of a person's style, adapted to other traits of the person."""
    cut = CUTS[traits.cut]
    if not cut.length:
        return cut
    tucked = traits.fringe == 0.0 and traits.curl > 0.55 and traits.cut != "bob"
    angle = 1.55 if tucked else cut.front_angle
    return replace(
        cut, length=cut.length * (0.85 + 0.3 * abs(traits.part)), wave=cut.wave + 0.03 * traits.curl, front_angle=angle
    )
