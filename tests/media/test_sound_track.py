"""The sound of a written video: the file's own, in step with the picture."""

from __future__ import annotations

import hashlib
import re

import av
import numpy as np
import pytest
import soundfile

from tests.media import builders
from tests.media.test_video_io import ffmpeg
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import SoundForm, read_audio, read_blocks
from xactor_jax.media.sound_array import sound_array
from xactor_jax.media.sound_track import BLOCK, Mix, SoundFile, blocks_of, cut, first_moment, form_of, in_packets
from xactor_jax.media.video_io import VideoWriter


def write(path, sound, frames: int = 50, pieces: int = 50):
    """A video of `frames` frames with that sound."""
    with VideoWriter(path, 32, sound=sound) as writer:
        for start in range(0, frames, pieces):
            writer.write(builders.numbered_frames(frames, 32, 32)[start : start + pieces])
    return path


def recording(path, rate: int, channels: int, seconds: float = 2.0):
    """Clicks, in each channel at another time: 0.5 s, 0.6 s …"""
    sound = np.stack([builders.click_track(seconds, rate, [0.5 + i / 10]) for i in range(channels)], axis=1)
    soundfile.write(path, sound, rate)
    return str(path)


@pytest.mark.parametrize(
    ("rate", "channels", "written"),
    [
        (44100, 2, "44100 Hz, stereo"),
        (48000, 1, "48000 Hz, mono"),
        (16000, 1, "16000 Hz, mono"),
        (96000, 6, "48000 Hz, stereo"),
        (37800, 2, "44100 Hz, stereo"),
    ],
)
def test_rate_and_channels_are_the_file_s_own(tmp_path, rate, channels, written):
    path = write(tmp_path / "x.mp4", SoundFile(recording(tmp_path / "x.wav", rate, channels)))
    assert re.search(f"Audio: aac .*{written}", ffmpeg("-i", str(path)))
    with av.open(str(path)) as container:
        form = SoundForm(container.streams.audio[0].rate, "stereo" if channels > 1 else "mono")
    sound = np.concatenate(list(read_blocks(path, form)), axis=1)
    for i, channel in enumerate(sound):
        assert builders.onset(channel / np.abs(channel).max(), form.rate) == pytest.approx(0.5 + i / 10, abs=0.004)


def test_at_least_128_kbit_a_second(tmp_path, rng):
    soundfile.write(tmp_path / "x.wav", rng.uniform(-0.5, 0.5, (96000, 2)), 48000)
    write(tmp_path / "x.mp4", SoundFile(str(tmp_path / "x.wav")))
    with av.open(str(tmp_path / "x.mp4")) as container:
        sizes = [packet.size for packet in container.demux(container.streams.audio[0])]
    assert 8 * sum(sizes) / 2 > 128_000


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


@pytest.mark.parametrize("suffix", ["m4a", "mkv"])
def test_aac_is_copied_and_in_step(tmp_path, suffix):
    clicks = builders.click_track(2.0, 48000, [0.5, 1.7])
    source = builders.write_media(tmp_path / f"x.{suffix}", audio=clicks)
    path = write(tmp_path / "x.mp4", SoundFile(str(source), whole=True))
    assert packets(path) == packets(source)
    ffmpeg("-i", str(path), "-f", "f32le", "-ar", "16000", "-ac", "1", str(tmp_path / "x.raw"))
    for decoded in (read_audio(path), np.fromfile(tmp_path / "x.raw", np.float32)):
        assert builders.onset(decoded) == pytest.approx(0.5, abs=0.002) and abs(len(decoded) - 32000) < 400


@pytest.mark.parametrize("suffix", ["m4a", "wav"])
def test_a_part_of_the_sound_is_cut_to_its_place(tmp_path, suffix):
    clicks = builders.click_track(3.0, 48000, [0.5, 1.7, 2.9])
    codec = "aac" if suffix == "m4a" else "pcm_s16le"
    source = builders.write_media(tmp_path / f"x.{suffix}", audio=clicks, audio_codec=codec)
    decoded = read_audio(write(tmp_path / "x.mp4", SoundFile(str(source), 1.5, 1.0), 25))
    assert builders.onset(decoded) == pytest.approx(0.2, abs=0.002) and 16000 <= len(decoded) < 16000 + 800


@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_sound_before_the_first_picture_is_kept_or_left_out(tmp_path, codec):
    times = [0.4 + i / 25 for i in range(25)]
    clicks = builders.click_track(1.5, 48000, [0.1, 0.9])
    frames = builders.numbered_frames(25)
    source = str(builders.write_media(tmp_path / "x.mkv", frames, times=times, audio=clicks, audio_codec=codec))
    for whole, onset in ((True, 0.1), (False, 0.5)):
        decoded = read_audio(write(tmp_path / f"{whole}.mp4", SoundFile(source, whole=whole)))
        assert builders.onset(decoded) == pytest.approx(onset, abs=0.003)


def test_aac_with_a_gap_is_encoded_with_silence_in_it(tmp_path):
    source = builders.write_media(tmp_path / "x.m4a", audio=builders.click_track(2.0, 48000, [0.1, 1.7]))
    assert first_moment(str(source)) == 0.0
    with av.open(str(source)) as read, av.open(str(tmp_path / "y.mkv"), "w") as target:
        stream = target.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(read.streams.audio[0]):
            if packet.pts is not None and not 0.5 < packet.pts * packet.time_base < 1.2:
                packet.stream = stream
                target.mux(packet)
    assert first_moment(str(tmp_path / "y.mkv")) is None
    decoded = read_audio(write(tmp_path / "x.mp4", SoundFile(str(tmp_path / "y.mkv"))))
    assert 0.5 + builders.onset(decoded[8000:]) - builders.onset(decoded) == pytest.approx(1.6, abs=0.005)


def test_the_same_bytes_however_the_video_is_cut(tmp_path):
    sources = recording(tmp_path / "x.wav", 44100, 2), str(builders.write_media(tmp_path / "x.m4a", audio=np.zeros(96000)))
    for source in sources:
        paths = [write(tmp_path / f"{pieces}.mp4", SoundFile(source), 50, pieces) for pieces in (50, 1, 17)]
        assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


def test_what_has_no_sound_is_refused_and_leaves_nothing(tmp_path):
    silent = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(3))
    unknown = builders.write_media(tmp_path / "y.m4a", audio=np.zeros(4800))
    unknown.write_bytes(unknown.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    for path in (silent, tmp_path / "none.wav", unknown):
        with pytest.raises(UserError, match=r"no sound|no audio file"):
            write(tmp_path / "y.mp4", SoundFile(str(path)))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.mkv", "y.m4a"]


def test_blocks_are_cut_and_repacked(rng):
    form, sound = SoundForm(16000, "stereo"), rng.normal(size=(2, 5000)).astype(np.float32)
    blocks = lambda: iter(np.split(sound, [100, 100, 3000], axis=1))
    whole = lambda pieces: np.concatenate(list(pieces), axis=1)
    np.testing.assert_array_equal(whole(cut(blocks(), form, 0.0, None)), sound)
    np.testing.assert_array_equal(whole(cut(blocks(), form, 0.01, 0.2)), sound[:, 160:3360])
    longer = whole(cut(blocks(), form, 0.25, 0.1))
    np.testing.assert_array_equal(longer, np.pad(sound[:, 4000:], ((0, 0), (0, 600))))
    assert not whole(cut(blocks(), form, 1.0, 0.1)).any() and whole(cut(blocks(), form, 1.0, 0.1)).shape == (2, 1600)
    sizes = [piece.shape[1] for piece in in_packets(blocks())]
    assert sizes == [BLOCK] * 4 + [5000 - 4 * BLOCK]
    np.testing.assert_array_equal(whole(in_packets(blocks())), sound)


def test_a_mix_is_the_sum_at_the_best_of_their_forms(tmp_path, rng):
    """Each part keeps its level; one that has ended is silent; what would be clipped is made quieter as a whole."""
    mono, stereo = rng.uniform(-0.4, 0.4, 3_000).astype(np.float32), rng.uniform(-0.4, 0.4, (5_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "m.wav", mono, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "s.wav", stereo, 44_100, subtype="FLOAT")
    mix = Mix((SoundFile(str(tmp_path / "m.wav")), sound_array(stereo, 44_100)))
    form = form_of(mix)
    assert form == (44_100, "stereo") == form_of(Mix(mix.parts[::-1]))
    assert form_of(Mix((mix.parts[0], sound_array(mono, 16_000)))) == (44_100, "mono")
    expected = stereo.T.copy()
    expected[:, :3_000] += mono
    made = np.concatenate(list(blocks_of(mix, form)), axis=1)
    assert np.abs(expected).max() < 1
    np.testing.assert_allclose(made, expected, atol=1e-5)
    loud = Mix((*mix.parts, *mix.parts, *mix.parts))
    made = np.concatenate(list(blocks_of(loud, form)), axis=1)
    np.testing.assert_allclose(made, expected / np.abs(expected).max(), atol=1e-5)
    assert np.abs(expected * 3).max() > 1


def test_a_mix_is_written(tmp_path, rng):
    waves = [0.2 * rng.normal(size=size).astype(np.float32) for size in (16_000, 8_000)]
    path = write(tmp_path / "x.mp4", Mix(tuple(sound_array(wave, 16_000) for wave in waves)), 25)
    expected = waves[0] + np.pad(waves[1], (0, 8_000))
    assert np.corrcoef(read_audio(path)[:16_000], expected)[0, 1] > 0.8
