"""Guidance branches: the network predicts the same frames under several sets of conditions, and the predictions are weighted.

(1)  separate:    y = p + (a - 1)(p - p[no audio]) + (e - 1)(p - p[no emotion]),                p = p[everything]
(2)  nested:      y = p[neither] + a (p[no emotion] - p[neither]) + e (p - p[no emotion])        FLOAT (2412.01064), IMTalker
(3)  history:     y <- y + (h - 1)(p[history at level f] - p[history at level 1])                Song et al. 2025 (2502.06764)

p is the network's prediction; a, e and h are the guidance scales, where 1 means no guidance. If f is not set, (3) uses p in
place of p[history at level f]: vanilla history guidance. A level f in (0, 1) hides the fine part of history, so only the coarse
part guides: fractional history guidance. At level 1 history is pure noise and carries no information. All weights add up to 1;
branches with weight 0 are not computed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple


class Branch(NamedTuple):
    """The conditions of one branch."""

    audio: bool = True
    emotion: bool = True
    history: float | None = None
    """Noise level of all history in this branch; None: the levels of the rollout's history schedule."""


def weighted_branches(
    audio: float, emotion: float, history: float, *, nested: bool = False, fraction: float = 0.0
) -> dict[Branch, float]:
    """Branches to compute, the unguided one first, and their weights. `fraction` is f; 0 means vanilla history guidance."""
    weights: dict[Branch, float] = defaultdict(float, {Branch(): 1.0})
    if nested:
        without, neither = Branch(emotion=False), Branch(audio=False, emotion=False)
        _add(weights, emotion - 1.0, Branch(), without)
        _add(weights, audio - 1.0, without, neither)
    else:
        _add(weights, audio - 1.0, Branch(), Branch(audio=False))
        _add(weights, emotion - 1.0, Branch(), Branch(emotion=False))
    _add(weights, history - 1.0, Branch(history=fraction) if fraction else Branch(), Branch(history=1.0))
    return {branch: weight for branch, weight in weights.items() if weight or branch == Branch()}


def _add(weights: dict[Branch, float], weight: float, towards: Branch, away: Branch) -> None:
    """Adds weight × (towards - away)."""
    weights[towards] += weight
    weights[away] -= weight
