"""Sound of many containers, aligned with the picture."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.gcs import gcs_bucket  # noqa: F401
from tests.media import builders
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import SoundForm, has_audio, is_silent, read_audio, read_blocks

FORMATS = {
    "wav": ("pcm_s16le", 44100, "stereo"),
    "flac": ("flac", 48000, "mono"),
    "ogg": ("libopus", 48000, "stereo"),
    "mp3": ("libmp3lame", 44100, "stereo"),
    "m4a": ("aac", 48000, "stereo"),
    "mkv": ("libopus", 48000, "5.1"),
    "mpg": ("mp2", 44100, "stereo"),
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_container_and_codec(tmp_path, suffix):
    codec, rate, layout = FORMATS[suffix]
    clicks = builders.click_track(2.0, rate, [1.0])
    path = builders.write_media(tmp_path / f"x.{suffix}", audio=clicks, audio_rate=rate, layout=layout, audio_codec=codec)
    samples = read_audio(path)
    assert samples.dtype == np.float32 and abs(len(samples) - 32000) < 0.08 * 16000 and np.abs(samples).max() <= 1.0
    assert builders.onset(samples / np.abs(samples).max()) == pytest.approx(1.0, abs=0.03 if suffix == "mpg" else 0.004)


def test_wav_equals_soundfile(tmp_path, rng):
    samples = rng.uniform(-0.9, 0.9, 16000).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), samples, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 16])
def test_what_all_channels_have_stays_as_loud(tmp_path, channels):
    tone = 0.98 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / "x.wav", np.repeat(tone[:, None], channels, 1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), tone, atol=1e-5)
    for block in read_blocks(tmp_path / "x.wav", SoundForm(16000, "stereo")):
        assert len(block) == 2 and np.abs(block).max() < 0.981


def test_stereo_is_read_as_its_mean_or_as_it_is(tmp_path, rng):
    both = rng.uniform(-0.9, 0.9, (4000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", both, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "x.wav"), both.mean(1), atol=1e-6)
    kept = np.concatenate(list(read_blocks(tmp_path / "x.wav", SoundForm(16000, "stereo"))), axis=1)
    np.testing.assert_allclose(kept.T, both, atol=1e-6)


def test_vorbis(tmp_path):
    soundfile.write(tmp_path / "x.ogg", builders.click_track(2.0, 44100, [1.0]), 44100, format="OGG", subtype="VORBIS")
    samples = read_audio(tmp_path / "x.ogg")
    assert abs(len(samples) - 32000) < 100 and builders.onset(samples) == pytest.approx(1.0, abs=0.002)


def test_resampling_keeps_a_tone_and_its_phase(tmp_path):
    t = np.arange(44100 * 2) / 44100
    soundfile.write(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 44100, subtype="FLOAT")
    samples = read_audio(tmp_path / "x.wav")
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / 16000)
    np.testing.assert_allclose(samples[200:-200], expected[200:-200], atol=2e-3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_sound_is_aligned_with_the_picture(tmp_path, suffix, start):
    frames = builders.numbered_frames(50)
    clicks = builders.click_track(1.5, 48000, [0.8])
    path = builders.write_media(tmp_path / f"x.{suffix}", frames, audio=clicks, audio_start=start)
    assert builders.onset(read_audio(path)) == pytest.approx(0.8 + start, abs=0.003)


def test_picture_that_starts_late_is_time_zero(tmp_path):
    times = [0.4 + i / 25 for i in range(25)]
    clicks = builders.click_track(1.5, 48000, [0.9])
    path = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(25), times=times, audio=clicks)
    assert builders.onset(read_audio(path)) == pytest.approx(0.5, abs=0.003)


def test_the_whole_sound_begins_before_the_first_picture(tmp_path):
    times = [0.4 + i / 25 for i in range(25)]
    clicks = builders.click_track(1.5, 48000, [0.1, 0.9])
    path = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(25), times=times, audio=clicks)
    whole = read_audio(path, whole=True)
    assert builders.onset(whole) == pytest.approx(0.1, abs=0.003) and abs(len(whole) - 24000) < 1024
    late = builders.write_media(tmp_path / "y.mkv", builders.numbered_frames(50), audio=clicks, audio_start=0.5)
    assert builders.onset(read_audio(late, whole=True)) == pytest.approx(0.6, abs=0.003)


def with_tag(path, encoded: bytes):
    """A WAV file with a title of these bytes."""
    soundfile.write(path, builders.click_track(1.0, 16000, [0.5]), 16000)
    chunk = b"INFOINAM" + len(encoded).to_bytes(4, "little") + encoded
    data = path.read_bytes() + b"LIST" + len(chunk).to_bytes(4, "little") + chunk
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    return path


def test_tags_may_be_in_any_encoding(tmp_path):
    path = with_tag(tmp_path / "x.wav", "Café de".encode("latin-1") + b"\0")
    assert len(read_audio(path)) == 16000
    title = b"\x03Beyonc\xe9"  # said to be UTF-8, and is not: common in MP3
    frame = b"TPE1" + len(title).to_bytes(4, "big") + b"\0\0" + title
    plain = builders.write_media(tmp_path / "x.mp3", audio=np.zeros(4800, np.float32), audio_codec="libmp3lame").read_bytes()
    (tmp_path / "y.mp3").write_bytes(b"ID3\x03\0\0\0\0\0" + bytes([len(frame)]) + frame + plain)
    assert len(read_audio(tmp_path / "y.mp3")) > 1000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path, value):
    samples = np.zeros(16000, np.float32)
    samples[8000] = value
    soundfile.write(tmp_path / "x.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="no numbers"):
        read_audio(tmp_path / "x.wav")


def test_a_jump_in_the_time_stamps_is_not_hours_of_silence(tmp_path):
    clicks = builders.click_track(1.0, 48000, [0.5])
    far = builders.write_media(tmp_path / "x.mkv", builders.numbered_frames(5), audio=clicks, audio_start=36000.0)
    with pytest.raises(UserError, match=r"time stamps of .*x\.mkv jump by 36000 s"):
        next(read_blocks(far))
    late = builders.write_media(tmp_path / "y.mkv", builders.numbered_frames(5), audio=clicks, audio_start=90.0)
    assert builders.onset(read_audio(late)) == pytest.approx(90.5, abs=0.01)


def test_gap_in_the_time_stamps_is_silence():
    from xactor_jax.media.audio_io import _aligned

    ones = np.full((1, 100), 0.5, np.float32)
    empty = np.zeros((1, 0), np.float32)
    pieces = _aligned([(1.0, empty), (None, ones), (1.1, empty), (None, ones)], 0.99)
    out = np.concatenate([x for gap, block in pieces for x in (np.zeros(round(gap * 16000)), block[0])])
    expected = np.zeros(1860, np.float32)
    expected[160:260] = expected[1760:] = 0.5
    np.testing.assert_array_equal(out, expected)


def test_blocks_together_are_the_whole(tmp_path, rng):
    soundfile.write(tmp_path / "x.flac", rng.uniform(-0.5, 0.5, 48000 * 3), 48000)
    blocks = list(read_blocks(tmp_path / "x.flac"))
    assert len(blocks) > 3 and max(block.shape[1] for block in blocks) < 16000
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1)[0], read_audio(tmp_path / "x.flac"))


def test_errors_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="there is no audio file"):
        read_audio(tmp_path / "none.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        read_audio(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("not sound " * 100)
    with pytest.raises(UserError, match="damaged or of an unknown format"):
        read_audio(tmp_path / "text.wav")
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), 16000)
    with pytest.raises(UserError, match="holds no sound"):
        read_audio(tmp_path / "zero.wav")
    video = builders.write_media(tmp_path / "mute.mp4", builders.numbered_frames(5))
    assert not has_audio(video)
    with pytest.raises(UserError, match="has no sound"):
        read_audio(video)
    with pytest.raises(UserError, match="there is no audio file"):
        read_audio(tmp_path)


def test_truncated_file_gives_what_it_has(tmp_path, rng):
    soundfile.write(tmp_path / "x.flac", rng.uniform(-0.5, 0.5, 32000), 16000)
    data = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    assert 8000 < len(read_audio(tmp_path / "cut.flac")) < 24000


def test_is_silent(rng):
    assert is_silent(np.zeros(16000, np.float32)) and is_silent(np.zeros(0, np.float32))
    assert is_silent(np.full(16000, 0.3, np.float32))  # a constant is no sound
    assert is_silent((1e-4 * rng.standard_normal(16000)).astype(np.float32))
    speech = np.zeros(160000, np.float32)
    speech[80000:83200] = 0.01 * rng.standard_normal(3200)
    assert not is_silent(speech)


def test_gs_path(tmp_path, rng, gcs_bucket):
    from etils import epath

    soundfile.write(tmp_path / "x.wav", rng.uniform(-0.5, 0.5, 16000), 16000)
    remote = epath.Path(f"{gcs_bucket}/audio_io/x.wav")
    remote.write_bytes((tmp_path / "x.wav").read_bytes())
    np.testing.assert_array_equal(read_audio(remote), read_audio(tmp_path / "x.wav"))
    with pytest.raises(UserError, match="there is no"):
        read_audio(f"{gcs_bucket}/audio_io/none.wav")


def test_aac_of_real_clips_is_in_step_with_their_lossless_sound(real_data):
    lags = []
    for file in sorted((real_data / "videos").glob("talk_0*.mp4")):
        a, b = read_audio(file), read_audio(file.with_suffix(".flac"))
        n = min(len(a), len(b), 16000 * 4)
        spectrum = np.fft.rfft(a[:n], 2 * n) * np.conj(np.fft.rfft(b[:n], 2 * n))
        correlation = np.fft.irfft(spectrum)
        lags.append((np.argmax(correlation) + n) % (2 * n) - n)
    assert np.abs(lags).max() <= 16  # one millisecond
