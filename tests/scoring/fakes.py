"""Protocols whose numbers are known for the videos of `videos.write_clip`."""

from __future__ import annotations

import numpy as np

from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case


def _means(case: Case) -> np.ndarray:
    return np.array([float(frame.mean()) for frame in case.generated.read()])


def _brightness(case: Case, network: Network | None) -> Measured:
    curve = _means(case)
    return Measured(values={"brightness": curve.mean()}, curves={"brightness": curve})


def _difference(case: Case, network: Network | None) -> Measured:
    pairs = zip(case.generated.read(), case.truth.read(), strict=True)
    return Measured(values={"difference": float(np.mean([a.astype(float) - b for a, b in pairs]))})


def _loudness(case: Case, network: Network | None) -> Measured:
    return Measured(values={"loudness": float(np.std(case.generated.waveform))})


def _spread(case: Case, network: Network | None) -> Measured:
    return Measured(values={}, features=network.params * _means(case)[:, None])


def _far(generated: list[np.ndarray], true: list[np.ndarray]) -> dict[str, float]:
    return {"far": float(np.concatenate(generated).mean() - np.concatenate(true).mean())}


SOURCE = dict(source="these tests", definition="The mean of all pixels.")
BRIGHTNESS = Protocol(
    name="bright", **SOURCE, numbers=(Number(name="brightness", title="Brightness", better="truth"),), measure=_brightness
)
DIFFERENCE = Protocol(
    name="aligned",
    **SOURCE,
    numbers=(Number(name="difference", title="Difference", better="lower", digits=1),),
    measure=_difference,
    needs_truth=True,
)
LOUDNESS = Protocol(
    name="loud",
    **SOURCE,
    numbers=(Number(name="loudness", title="Loudness", better="higher"),),
    measure=_loudness,
    needs_sound=True,
)
FAR = Protocol(
    name="far",
    **SOURCE,
    numbers=(Number(name="far", title="Far_50%", better="lower"),),
    measure=_spread,
    pool=_far,
    kind="lpips",
    limits="A test's number.",
)
FAKES = (BRIGHTNESS, DIFFERENCE, LOUDNESS, FAR)
