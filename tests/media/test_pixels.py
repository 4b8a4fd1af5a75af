"""Colours of decoded frames against the standards' own numbers."""

from __future__ import annotations

import av
import numpy as np
import pytest

from xactor_jax.media.pixels import (
    BT709_OF_BT2020,
    HLG,
    LEVELS,
    PEAK,
    PQ,
    WHITE,
    compressed,
    light_of_pq,
    rgb,
    scene_of_hlg,
    tone_mapped,
)


def plain(width: int, height: int, code: tuple[int, int, int], **tags: int) -> av.VideoFrame:
    """A frame of one colour, 8-bit or, where a code is above 255, 10-bit."""
    deep = max(code) > 255
    frame = av.VideoFrame(width, height, "yuv420p10le" if deep else "yuv420p")
    for plane, value in zip(frame.planes, code, strict=True):
        plane.update(np.full(plane.buffer_size // (1 + deep), value, np.uint16 if deep else np.uint8).tobytes())
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame


RED_709, RED_601 = (63, 102, 240), (81, 90, 240)
"""Y, Cb, Cr of pure red."""


@pytest.mark.parametrize(
    ("width", "height", "code", "tags"),
    [
        (1280, 720, RED_709, {}),
        (406, 720, RED_709, {}),
        (640, 480, RED_601, {}),
        (640, 480, RED_709, {"colorspace": 1}),
        (1280, 720, RED_601, {"colorspace": 6}),
    ],
)
def test_red_is_red_in_hd_and_sd(width, height, code, tags):
    pixels = rgb(plain(width, height, code, **tags))
    assert pixels.shape == (height, width, 3)
    np.testing.assert_allclose(pixels[height // 2, width // 2], (255, 0, 0), atol=5)


def test_light_is_that_of_the_standards():
    np.testing.assert_allclose(light_of_pq(np.array([0.0, 0.5081, 0.5807, 1.0])) * WHITE, [0, 100, 203, 10000], rtol=0.005)
    scene = scene_of_hlg(np.array([0.0, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(scene, [0, 1 / 12, 0.2650, 1], atol=1e-3)
    np.testing.assert_allclose(PEAK * scene[2] ** 1.2, 203, rtol=0.01)  # graphics white
    x = np.linspace(0, PEAK / WHITE, 1000, dtype=np.float32)[None]
    assert (np.diff(compressed(x)) > 0).all() and compressed(x)[0, -1] == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(compressed(x)[x < 0.6], x[x < 0.6])


def coded(light: np.ndarray, kind: int) -> np.ndarray:
    """The signal of light in BT.2020, in graphics white, by bisection of the functions that are inverted."""
    table = np.arange(LEVELS) / (LEVELS - 1)
    if kind == PQ:
        return np.interp(light, light_of_pq(table), np.arange(LEVELS)).round().astype(np.uint16)
    luminance = (light * WHITE / PEAK @ [0.2627, 0.6780, 0.0593])[..., None]
    scene = light * WHITE / PEAK * np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1)
    return np.interp(scene, scene_of_hlg(table), np.arange(LEVELS)).round().astype(np.uint16)


@pytest.mark.parametrize("kind", [HLG, PQ])
def test_what_a_usual_screen_can_show_keeps_its_colour(kind, rng):
    colours = rng.uniform(0.02, 0.6, (8, 8, 3))
    wide = colours @ np.linalg.inv(BT709_OF_BT2020).T
    np.testing.assert_allclose(tone_mapped(coded(wide, kind), kind, True), 255 * colours ** (1 / 2.4), atol=2)
    np.testing.assert_allclose(tone_mapped(coded(colours, kind), kind, False), 255 * colours ** (1 / 2.4), atol=2)
    bright = tone_mapped(coded(np.full((1, 1, 3), 1.0), kind), kind, True)
    assert (
        225 < bright.min() == bright.max() < 240
        and tone_mapped(np.full((1, 1, 3), LEVELS - 1, np.uint16), kind, True).min() > 250
    )


@pytest.mark.parametrize(("kind", "white"), [(HLG, 64 + 0.75 * 876), (PQ, 64 + 0.5807 * 876)])
def test_frames_of_high_dynamic_range_are_tone_mapped(kind, white):
    tags = {"colorspace": 9, "color_trc": kind, "color_primaries": 9, "color_range": 1}
    pixels = rgb(plain(64, 48, (round(white), 512, 512), **tags))
    assert pixels.shape == (48, 64, 3) and np.ptp(pixels) <= 1 and abs(int(pixels[0, 0, 0]) - 233) < 4
