"""Which predictions a rollout asks for, and their weights, worked out by hand from the equations."""

from __future__ import annotations

import itertools

import pytest

from xactor_jax.actor.branches import Branch, weighted_branches

ALL, NO_AUDIO, NO_EMOTION, NEITHER = Branch(), Branch(audio=False), Branch(emotion=False), Branch(audio=False, emotion=False)
NO_HISTORY = Branch(history=1.0)


@pytest.mark.parametrize(
    ("scales", "how", "want"),
    [
        ((1.0, 1.0, 1.0), {}, {ALL: 1.0}),
        ((2.0, 1.0, 1.0), {}, {ALL: 2.0, NO_AUDIO: -1.0}),
        ((2.0, 1.5, 1.0), {}, {ALL: 2.5, NO_AUDIO: -1.0, NO_EMOTION: -0.5}),
        ((2.0, 1.5, 1.0), {"nested": True}, {ALL: 1.5, NO_EMOTION: 0.5, NEITHER: -1.0}),
        ((2.0, 1.0, 1.0), {"nested": True}, {ALL: 1.0, NO_EMOTION: 1.0, NEITHER: -1.0}),
        ((1.5, 1.5, 1.0), {"nested": True}, {ALL: 1.5, NEITHER: -0.5}),
        ((1.0, 1.0, 1.5), {}, {ALL: 1.5, NO_HISTORY: -0.5}),
        ((1.0, 1.0, 1.5), {"fraction": 0.3}, {ALL: 1.0, Branch(history=0.3): 0.5, NO_HISTORY: -0.5}),
        ((0.0, 1.0, 1.0), {}, {ALL: 0.0, NO_AUDIO: 1.0}),
    ],
)
def test_weights_by_hand(scales: tuple[float, float, float], how: dict, want: dict[Branch, float]) -> None:
    assert weighted_branches(*scales, **how) == pytest.approx(want)


def test_weights_add_up_and_the_first_branch_has_every_condition() -> None:
    for scales in itertools.product((0.5, 1.0, 3.0), repeat=3):
        for nested, fraction in itertools.product((False, True), (0.0, 0.4)):
            weights = weighted_branches(*scales, nested=nested, fraction=fraction)
            assert sum(weights.values()) == pytest.approx(1.0) and next(iter(weights)) == ALL
