"""The scene of a clip: light, background, lens and camera, drawn at random once."""

from __future__ import annotations

import dataclasses

import numpy as np

from data.heads.background import Background, make_background
from data.heads.camera import Lens
from data.heads.light import Light, make_light
from data.heads.sensor import Sensor, make_sensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything in a clip except the person and their acting."""

    light: Light
    background: Background
    lens: Lens
    sensor: Sensor
    noise: int  # seed of the sensor's noise


def make_scene(rng: np.random.Generator) -> Scene:
    """A random scene for a clip."""
    light = make_light(rng)
    return Scene(
        light=light,
        background=make_background(rng),
        lens=Lens(distance=float(np.exp(rng.uniform(np.log(4.5), np.log(25.0))))),
        sensor=make_sensor(rng),
        noise=int(rng.integers(2**31)),
    )
