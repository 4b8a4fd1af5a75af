"""Both formats give the frames back within their error, however the frames are read; what is damaged ends in one sentence."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest

from data.frames import FORMATS, GROUP, check_format, decode_frames, encode_frames
from tests.fuzz.mutations import mutated
from xactor_jax.errors import UserError

HEIGHT, WIDTH = 45, 63
AWAY = 3 * GROUP + 2
"""Frames of a clip that ends inside a group."""


def clip(frames: int = AWAY) -> np.ndarray:
    """A smooth coloured picture that moves, with the frame's number as its brightness."""
    y, x, t = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(frames), indexing="ij")
    red, green = 100 + 60 * np.sin((x + t) / 9) + t, 120 + 60 * np.cos((y - t) / 11) + t
    blue = 90 + 40 * np.sin((x + y) / 15) + t
    return np.stack([red, green, blue], axis=-1).transpose(2, 0, 1, 3).astype(np.uint8)


@pytest.fixture(scope="module", params=FORMATS)
def encoded(request) -> list[bytes]:
    return encode_frames(clip(), request.param)


class Noted(Sequence):
    """Entries of a clip that note which of them are read."""

    def __init__(self, entries: list[bytes]):
        self.entries, self.read = entries, set()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> bytes:
        self.read.add(index)
        return self.entries[index]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("frames", [1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP + 3])
def test_clips_of_any_length_come_back_in_their_colours(kind, frames):
    pictures = clip(frames)
    entries = encode_frames(iter(pictures), kind)
    assert len(entries) == frames and all(isinstance(entry, bytes) for entry in entries)
    error = decode_frames(entries).astype(float) - pictures
    assert (
        error.shape == (frames, HEIGHT, WIDTH, 3) and np.abs(error).mean() < 1.5 and np.abs(error.mean((0, 1, 2))).max() < 0.7
    )


def test_jpeg_is_what_opencv_reads_and_has_the_quality_of_old_records():
    picture = clip(1)[0]
    (entry,) = encode_frames([picture])
    assert entry == cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    bgr = cv2.imdecode(np.frombuffer(entry, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode_frames([entry])[0], cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def test_h264_is_a_stream_that_players_read_in_the_same_colours():
    """Its headers name the colours, so FFmpeg needs none of our constants."""
    entries = encode_frames(clip(), "h264")
    with av.open(io.BytesIO(b"".join(entries)), format="h264") as container:
        played = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        context = container.streams.video[0].codec_context
        assert (context.color_range, context.colorspace) == (2, 6)
    assert np.abs(np.stack(played).astype(int) - decode_frames(entries)).mean() < 1.5


@pytest.mark.parametrize(
    "indices", [[0], [AWAY - 1], [5, 5, 2], range(AWAY), range(AWAY - 1, -1, -3), range(GROUP - 2, GROUP + 3)]
)
def test_chosen_frames_are_those_of_the_whole_clip(encoded, indices):
    np.testing.assert_array_equal(decode_frames(encoded, np.array(indices)), decode_frames(encoded)[list(indices)])


def test_a_window_needs_no_more_than_its_groups():
    entries = Noted(encode_frames(clip(), "h264"))
    decode_frames(entries, range(2 * GROUP - 2, 2 * GROUP + 1))
    assert entries.read == set(range(GROUP, 2 * GROUP + 1))


def test_the_same_frames_give_the_same_bytes_and_h264_fewer_of_them():
    jpeg, h264 = (encode_frames(clip(), kind) for kind in ("jpeg", "h264"))
    assert h264 == encode_frames(clip(), "h264") and sum(map(len, h264)) < 0.6 * sum(map(len, jpeg))


def test_damage_ends_in_one_sentence(encoded):
    smaller = encode_frames(clip(1)[:, 1:], "jpeg" if encoded[0][:2] == b"\xff\xd8" else "h264")
    later = encoded[5][: len(encoded[5]) // 4]
    cases = [[b""], [b"not a picture"], [encoded[0][:40]], [*encoded[:5], b"", encoded[6]], [encoded[0], *smaller]]
    cases += [encoded[1:], [*encoded[:5], later, *encoded[6:]]] if encoded[0][:2] != b"\xff\xd8" else []
    for entries in cases:
        with pytest.raises(UserError, match=r"^a frame of the data set cannot be decoded: .*make it again\.$"):
            decode_frames(entries)


def test_no_damage_ends_otherwise(encoded):
    rng = random.Random(0)
    for _ in range(60):
        entries = list(encoded[:4])
        place = rng.randrange(4)
        entries[place] = mutated(entries[place], rng)[0]
        try:
            decode_frames(entries)
        except UserError as error:
            assert "damaged" in str(error)


def test_formats_are_checked():
    with pytest.raises(UserError, match="--frames gif is not possible: use jpeg or h264"):
        check_format("gif")
