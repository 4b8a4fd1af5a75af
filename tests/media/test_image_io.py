"""Pictures in and out, against Pillow where it is independent."""

from __future__ import annotations

import pathlib
import struct
import subprocess
import sys
import zlib

import cv2
import imageio_ffmpeg
import numpy as np
import PIL.Image
import pytest

from tests.gcs import gcs_bucket  # noqa: F401
from xactor_jax.errors import UserError
from xactor_jax.media.image_io import image_pixels, read_image, write_image


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


def turns(pixels: np.ndarray) -> list[np.ndarray]:
    """What EXIF's orientations 1 to 8 mean."""
    across = pixels.transpose(1, 0, *range(2, pixels.ndim))
    both = lambda x: (x, x[:, ::-1], x[::-1, ::-1], x[::-1])
    return [*both(pixels), across, across[:, ::-1], across[::-1, ::-1], across[::-1]]


@pytest.mark.parametrize("orientation", [2, 3, 6, 7])
@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_transparency_is_turned_with_the_colours(tmp_path, suffix, orientation):
    clear = np.full((40, 64, 1), 255, np.uint8)
    clear[:20, :16] = 0
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation  # in AVIF it becomes boxes irot and imir, the only ones that count there
    stored = PIL.Image.fromarray(np.concatenate([quadrants(), clear], axis=2))
    stored.save(tmp_path / f"x.{suffix}", exif=exif, **({} if suffix == "png" else {"quality": 95}))
    expected = np.where(clear > 0, quadrants(), 255)
    pixels = read_image(tmp_path / f"x.{suffix}")
    expected = turns(expected)[orientation - 1]
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).mean() < 8
    assert all(np.abs(pixels.astype(int) - other).mean() > 20 for other in turns(expected)[1:4])


def test_deep_greys_palettes_and_print_colours(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 5), 77 * 257, np.uint16))
    palette = PIL.Image.new("P", (5, 4), 1)
    palette.putpalette([9, 9, 9, 8, 8, 8])
    palette.save(tmp_path / "clear.png", transparency=1)
    PIL.Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(tmp_path / "print.tiff")
    for name, colour in (("deep.png", (77, 77, 77)), ("clear.png", (255, 255, 255)), ("print.tiff", (255, 0, 0))):
        np.testing.assert_array_equal(read_image(tmp_path / name), np.broadcast_to(np.uint8(colour), (4, 5, 3)))


def box(name: bytes, *content: bytes, version: int | None = None) -> bytes:
    """Of an ISO media file."""
    body = (b"" if version is None else bytes([version, 0, 0, 0])) + b"".join(content)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def heic(folder: pathlib.Path, pixels: np.ndarray, quarters: int) -> bytes:
    """A HEIC file as telephones write it: one HEVC picture, to be turned anticlockwise."""
    write_image(folder / "x.png", pixels)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-i",
        folder / "x.png",
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx265",
        "-tag:v",
        "hvc1",
    ]
    subprocess.run([*command, folder / "x.mp4"], capture_output=True, check=True)
    mp4 = (folder / "x.mp4").read_bytes()
    after = lambda name: mp4.index(name) + 4
    settings = mp4[after(b"hvcC") : after(b"hvcC") - 8 + int.from_bytes(mp4[after(b"hvcC") - 8 :][:4], "big")]
    picture = mp4[after(b"mdat") : after(b"mdat") - 8 + int.from_bytes(mp4[after(b"mdat") - 8 :][:4], "big")]
    number = lambda value, size=2: value.to_bytes(size, "big")
    height, width = pixels.shape[:2]
    properties = (
        box(b"hvcC", settings)
        + box(b"ispe", number(width, 4), number(height, 4), version=0)
        + box(b"irot", number(quarters, 1))
    )
    associated = box(b"ipma", number(1, 4), number(1), bytes([3, 0x81, 2, 0x83]), version=0)
    item = box(b"infe", number(1), number(0), b"hvc1\0", version=2)
    start = box(b"ftyp", b"heic", number(0, 4), b"mif1heic")

    def meta(offset: int) -> bytes:
        place = box(
            b"iloc",
            b"\x44\0",
            number(1),
            number(1),
            number(0),
            number(1),
            number(offset, 4),
            number(len(picture), 4),
            version=0,
        )
        handler = box(b"hdlr", bytes(4), b"pict", bytes(13), version=0)
        listed = box(b"iinf", number(1), item, version=0)
        tree = box(b"iprp", box(b"ipco", properties), associated)
        return box(b"meta", handler, box(b"pitm", number(1), version=0), place, listed, tree, version=0)

    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", picture)


def test_heic(tmp_path):
    (tmp_path / "x.heic").write_bytes(heic(tmp_path, quadrants(64, 96), 1))
    pixels, expected = read_image(tmp_path / "x.heic"), np.rot90(quadrants(64, 96))
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).mean() < 12


def test_pictures_larger_than_photographs_are_refused_by_their_header(tmp_path):
    write_image(tmp_path / "x.png", quadrants(2, 2))
    data = (tmp_path / "x.png").read_bytes()
    for width, height in ((40_000, 30_000), (60_000, 10)):
        header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        (tmp_path / "x.png").write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
        with pytest.raises(UserError, match="has more than 178,956,970 pixels or 32,000 a side: make it smaller"):
            read_image(tmp_path / "x.png")


def test_a_large_transparent_picture_takes_little_memory(tmp_path):
    side = 3000
    PIL.Image.new("RGBA", (side, side), (9, 8, 7, 128)).save(tmp_path / "x.png", compress_level=1)
    code = """if True:
        import resource, sys
        from xactor_jax.media.image_io import read_image
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak()
        read_image(sys.argv[1])
        print(peak() - before)"""
    taken = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.png")], capture_output=True, text=True, check=True)
    assert int(taken.stdout) * 1024 < 20 * side**2  # bytes a pixel; laying it over white in floats takes 35


def test_grey_and_transparent(tmp_path):
    PIL.Image.fromarray(np.full((4, 5), 77, np.uint8)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.full((4, 5, 3), 77))
    rgba = np.zeros((4, 5, 4), np.uint8)
    rgba[:, 2:] = (200, 100, 0, 255)
    PIL.Image.fromarray(rgba).save(tmp_path / "alpha.png")
    pixels = read_image(tmp_path / "alpha.png")
    assert (pixels[:, :2] == 255).all() and (pixels[:, 2:] == (200, 100, 0)).all()
    np.testing.assert_array_equal(image_pixels(rgba), pixels)


def test_a_picture_in_memory_is_turned_as_its_file():
    picture = PIL.Image.fromarray(quadrants())
    picture.getexif()[0x0112] = 6  # to be turned to the right
    np.testing.assert_array_equal(image_pixels(picture), np.rot90(quadrants(), -1))
    with pytest.raises(UserError, match=r"float64 \(4, 4, 3\) is not possible: give uint8"):
        image_pixels(np.zeros((4, 4, 3)))


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
