"""Content of motion latents: they should contain the controls of held-out people, and as little identity as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from xactor_jax.clips import ReadClip, stacked
from xactor_jax.evaluation.metrics import r_squared
from xactor_jax.evaluation.probes import RidgeProbe, fit_controls, fit_logistic
from xactor_jax.labels import CONTROLS, UNITS

FACE = ("jaw", "lip_width", "smile", "brow_raise", "brow_tilt", "lids")
POSE = ("yaw", "pitch", "roll")
SHIFT = ("shift_x", "shift_y")
USED = 0.02
"""Smallest standard deviation of a unit that counts as used."""


def control_probe(train: Sequence[ReadClip], held: Sequence[ReadClip]) -> RidgeProbe:
    """Linear probe that reads `CONTROLS` from motion latents. Its regularisation is chosen on the people of `held`."""
    return fit_controls(*stacked(train), *stacked(held))


def column(values: Float[np.ndarray, "t controls"], name: str) -> Float[np.ndarray, "t"]:
    """One control over time."""
    return values[:, CONTROLS.index(name)]


def control_scores(probe: RidgeProbe, test: Sequence[ReadClip]) -> dict[str, Any]:
    """R² of each control, and means over groups. The people of `test` are unknown to the probe and to the stage."""
    latents, controls = stacked(test)
    r2 = dict(zip(CONTROLS, map(float, r_squared(controls.astype(np.float64), probe(latents))), strict=True))
    mean = lambda names: float(np.mean([r2[name] for name in names]))
    return {"r2": r2, "r2_face": mean(FACE), "r2_pose": mean(POSE), "r2_shift": mean(SHIFT)}


def unit_scores(train: Sequence[ReadClip], held: Sequence[ReadClip], test: Sequence[ReadClip]) -> dict[str, Any]:
    """R² of each expression unit that the test clips use, and their mean, as for the controls. Empty if units are unknown."""
    if not all(_knows_units(clip) for clip in (*train, *held, *test)):
        return {}
    latents, units = zip(*(_latents_and_units(clips) for clips in (train, held, test)), strict=True)
    probe = fit_controls(latents[0], units[0], latents[1], units[1])
    r2 = r_squared(units[2].astype(np.float64), probe(latents[2]))
    used = [i for i in range(len(UNITS)) if units[2][:, i].std() > USED]
    return {"r2_unit": {UNITS[i]: float(r2[i]) for i in used}, "r2_units": float(np.mean(r2[used]))}


def _knows_units(clip: ReadClip) -> bool:
    return clip.units is not None and len(clip.units) == len(clip.latents)


def _latents_and_units(clips: Sequence[ReadClip]) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n units"]]:
    return stacked(clips)[0], np.concatenate([clip.units for clip in clips])


def split_by_clip(clips: Sequence[ReadClip]) -> tuple[list[ReadClip], list[ReadClip]]:
    """Splits the clips of every person with several clips: all but the last one, and the last one."""
    people = sorted({clip.person for clip in clips})
    groups = [[clip for clip in clips if clip.person == person] for person in people]
    known = [clip for group in groups if len(group) > 1 for clip in group[:-1]]
    return known, [group[-1] for group in groups if len(group) > 1]


def identity_scores(clips: Sequence[ReadClip]) -> dict[str, float]:
    """Identity leakage: how often a linear probe, fitted on other clips of the same people, recognises the person.

    It is given for single frames and for whole clips; the class scores of a clip are the sum over its frames. `chance` is the
    accuracy of guessing. `nan` unless at least two people have two clips each.
    """
    known, unseen = split_by_clip(clips)
    people = sorted({clip.person for clip in known})
    if len(people) < 2:
        return {"people": float(len(people)), "chance": float("nan"), "frames": float("nan"), "clips": float("nan")}
    number = lambda group: np.concatenate([np.full(len(clip.latents), people.index(clip.person)) for clip in group])
    probe = fit_logistic(stacked(known)[0], number(known), len(people))
    guesses = [people[int(probe.scores(clip.latents).sum(axis=0).argmax())] for clip in unseen]
    return {
        "people": float(len(people)),
        "chance": 1 / len(people),
        "frames": probe.accuracy(stacked(unseen)[0], number(unseen)),
        "clips": float(np.mean([guess == clip.person for guess, clip in zip(guesses, unseen, strict=True)])),
    }
