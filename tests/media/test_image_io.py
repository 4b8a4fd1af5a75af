"""Pictures in and out, against Pillow where it is independent."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tests.gcs import gcs_bucket  # noqa: F401
from xactor_jax.errors import UserError
from xactor_jax.media.image_io import read_image, write_image


def quadrants(height: int = 40, width: int = 64) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[height // 2 :, : width // 2] = (250, 20, 20), (20, 250, 20)
    pixels[: height // 2, width // 2 :] = (20, 20, 250)
    return pixels


def test_png_round_trip(tmp_path, rng):
    pixels = rng.integers(0, 256, (9, 13, 3), np.uint8)
    write_image(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "x.png")), pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    from PIL import ImageOps

    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(quadrants()).save(tmp_path / "x.jpg", exif=exif, quality=98, subsampling=0)
    expected = np.asarray(ImageOps.exif_transpose(PIL.Image.open(tmp_path / "x.jpg")))
    pixels = read_image(tmp_path / "x.jpg")
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).mean() < 2


def test_grey_and_transparent(tmp_path):
    PIL.Image.fromarray(np.full((4, 5), 77, np.uint8)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.full((4, 5, 3), 77))
    rgba = np.zeros((4, 5, 4), np.uint8)
    rgba[:, 2:] = (200, 100, 0, 255)
    PIL.Image.fromarray(rgba).save(tmp_path / "alpha.png")
    pixels = read_image(tmp_path / "alpha.png")
    assert (pixels[:, :2] == 255).all() and (pixels[:, 2:] == (200, 100, 0)).all()


def test_errors(tmp_path):
    with pytest.raises(UserError, match="there is no image"):
        read_image(tmp_path / "none.png")
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(UserError, match="cannot be read"):
        read_image(tmp_path / "x.png")
    (tmp_path / "e.png").write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        read_image(tmp_path / "e.png")
    with pytest.raises(UserError, match="name a format"):
        write_image(tmp_path / "x.nothing", quadrants())
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "none" / "x.png", quadrants())


def test_gs_path(rng, gcs_bucket):
    pixels = rng.integers(0, 256, (9, 13, 3), np.uint8)
    write_image(f"{gcs_bucket}/image_io/x.png", pixels)
    np.testing.assert_array_equal(read_image(f"{gcs_bucket}/image_io/x.png"), pixels)
