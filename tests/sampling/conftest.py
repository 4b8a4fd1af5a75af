"""The tiny stages, a portrait and speech as files."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

from tests.tiny import tiny  # noqa: F401
from xactor_jax.media.image_io import write_image
from xactor_jax.sampling.load import Models, load_models
from xactor_jax.sampling.pipeline import Settings, make_settings


@pytest.fixture(scope="session")
def models(tiny) -> Models:
    return load_models(tiny)


@pytest.fixture(scope="session")
def settings(models) -> Settings:
    return make_settings(models, {}, {})


def make_image(path: pathlib.Path, seed: int = 0) -> str:
    """A picture to sample from with --crop none."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    write_image(path, pixels)
    return str(path)


def make_sound(path: pathlib.Path, seconds: float = 1.0, seed: int = 0) -> str:
    """A noisy recording."""
    noise = np.random.default_rng(seed).normal(size=round(16_000 * seconds)).astype(np.float32)
    soundfile.write(path, 0.1 * noise, 16_000)
    return str(path)


@pytest.fixture
def image(tmp_path) -> str:
    return make_image(tmp_path / "p.png")


@pytest.fixture
def sound(tmp_path) -> str:
    return make_sound(tmp_path / "a.wav")
