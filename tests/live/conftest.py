"""The tiny stages as programs of one slot, a portrait, and sound as clients send it."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from tests.sampling.conftest import models, settings  # noqa: F401
from tests.tiny import tiny  # noqa: F401
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Choices, Limits
from xactor_jax.live.pictures import parsed
from xactor_jax.live.programs import Programs
from xactor_jax.live.seat import Seat
from xactor_jax.sampling import pipeline
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.sampling.request import Request


@pytest.fixture(scope="session")
def programs(models, settings) -> Programs:
    return Programs(models, settings)


@pytest.fixture(scope="session")
def portrait(models) -> Portrait:
    rng = np.random.default_rng(7)
    return Portrait(*(rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in models.sides))


@pytest.fixture
def engine(programs) -> Engine:
    return Engine(programs, Limits(sessions=2, idle_seconds=600.0))


def speech(samples: int, seed: int = 0) -> np.ndarray:
    """16-bit sound."""
    return np.random.default_rng(seed).normal(0, 3000, samples).astype(np.int16)


def offline(models, settings, portrait: Portrait, sound: np.ndarray, choices: Choices) -> np.ndarray:
    """Frames of the whole recording, as sample.py makes them."""
    request = Request(image="", audio="", out="", seed=choices.seed, emotion=choices.emotion)
    performance = pipeline.perform(models, portrait, sound.astype(np.float32) / 32768, request, settings)
    return np.concatenate(list(performance.frames))


def pixels(message: bytes) -> np.ndarray:
    """Pixels of a message's picture."""
    return np.asarray(PIL.Image.open(io.BytesIO(parsed(message).data)))


def taken(seat: Seat) -> list[bytes]:
    """All pictures that wait for the client."""
    return list(iter(seat.take, None))


def run_to_end(engine: Engine, *seats: Seat) -> None:
    """Ticks until the sessions have ended."""
    for _ in range(10_000):
        if all(seat.reason for seat in seats):
            return
        engine.tick()
    raise AssertionError("a session did not end")
