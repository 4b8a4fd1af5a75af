"""Audio features behind one interface: their clock, streams against wholes, and odd recordings."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from tests.audio.released import Reference, config_of, weights_of
from xactor_jax.audio.features import AudioFeatures, LogMelFeatures
from xactor_jax.audio.log_mel import LogMelSettings, log_mel_features
from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.audio.wav2vec2_features import PieceSettings, Wav2Vec2Features, begin, finish, push
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import read_audio
from xactor_jax.pretrained import wav2vec2
from xactor_jax.pretrained.name_map import convert
from xactor_jax.timing import num_frames

P, C = 10, 4  # video frames
PIECES = PieceSettings(piece=P / 25, context=C / 25)
CONFIG = config_of("group")
WEIGHTS = weights_of(CONFIG, np.random.default_rng(1))


def features_of(settings: PieceSettings = PIECES) -> Wav2Vec2Features:
    ours = wav2vec2.read_config(CONFIG, {})
    params = convert(WEIGHTS, wav2vec2.TABLE, wav2vec2.parameter_shapes(ours))
    return Wav2Vec2Features(Wav2Vec2Settings(**ours.network), params, settings, "a folder", "0123")


@pytest.fixture(scope="module")
def tiny() -> Wav2Vec2Features:
    return features_of()


@pytest.fixture(scope="module", params=["log_mel", "wav2vec2"])
def either(request, tiny) -> AudioFeatures:
    return LogMelFeatures() if request.param == "log_mel" else tiny


def speech(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.normal(size=samples) * (1 + np.sin(np.arange(samples) / 2000))).astype(np.float32)


def at_frames(states: np.ndarray, frames: range) -> np.ndarray:
    """Hidden states [states, n, width], frame i centred on sample 320 i + 200, at the middles of video frames."""
    middles, centres = [640 * t + 320 for t in frames], 320 * np.arange(states.shape[1]) + 200
    rows = [np.interp(middles, centres, column) for state in states for column in state.T]
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("samples", [400, 1000, 640 * P, 640 * P + 319])
def test_a_short_recording_is_encoded_as_a_whole(tiny, samples):
    x = speech(samples)
    expected = at_frames(Reference(CONFIG, WEIGHTS)(x), range(num_frames(samples)))
    np.testing.assert_allclose(tiny.whole(x), expected, atol=3e-5)


def test_a_long_recording_is_encoded_in_pieces_with_context(tiny):
    x = speech(640 * (2 * P + 7) + 100)
    frames, reference = num_frames(len(x)), Reference(CONFIG, WEIGHTS)
    found = tiny.whole(x)
    assert len(found) == frames
    for start in range(0, frames, P):
        first = max(0, start - C)
        piece = x[640 * first : 640 * (start + P + C)]
        rows = range(start - first, min(start + P, frames) - first)
        np.testing.assert_allclose(found[start : start + P], at_frames(reference(piece), rows), atol=3e-5)


@pytest.mark.parametrize("chunk", [1, 37, 640, 6400, 16000, 100_000])
@pytest.mark.parametrize("samples", [0, 100, 640 * P, 640 * (P + C), 640 * (2 * P + C) + 1, 23_456])
def test_a_stream_is_bit_for_bit_the_whole(either, chunk, samples):
    x = speech(min(samples, 2000) if chunk == 1 else samples)
    pieces = list(either.stream(x[i : i + chunk] for i in range(0, len(x), chunk)))
    np.testing.assert_array_equal(np.concatenate(pieces), either.whole(x))


def test_there_is_a_row_for_every_video_frame(either):
    near = (640 * frames + more for frames in (0, 1, 2, 9, 10, 11, 14, 15, 24, 30) for more in (-321, -320, -1, 0, 1, 319, 320))
    for samples in sorted({max(0, n) for n in (*near, 80, 399, 400, 401, 12_345)}):
        rows = either.whole(speech(samples))
        assert rows.shape == (max(1, int(np.floor(samples / 640 + 0.5))), either.num_features)
        assert rows.dtype == np.float32 and np.isfinite(rows).all()


def test_one_program_for_all_lengths(monkeypatch):
    traces, fresh = [], features_of()
    original = Wav2Vec2.__call__
    monkeypatch.setattr(Wav2Vec2, "__call__", lambda self, *a: traces.append(1) or original(self, *a))
    for samples in (0, 300, 700, 9_999, 20_000):
        fresh.whole(speech(samples))
    assert len(traces) == 1


def test_pieces_come_as_soon_as_their_context_has_arrived(tiny):
    needed = 640 * (P + C)
    arrived = []
    stream = tiny.stream(arrived.append(n) or speech(n) for n in itertools.chain([needed - 1, 1], itertools.repeat(1)))
    assert next(stream).shape == (P, tiny.num_features) and sum(arrived) == needed


def test_constant_memory():
    def peak(seconds: int) -> int:
        tracemalloc.start()
        sound, frames = begin(PIECES), 0
        for _ in range(seconds):
            sound, done = push(sound, speech(16_000), PIECES)
            frames += sum(window.frames for window in done)
        assert frames + sum(window.frames for window in finish(sound, PIECES)) == 25 * seconds
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(60) < 1.1 * peak(6)


@pytest.mark.parametrize("layers, chosen", [("all", (0, 1, 2)), ("last", (2,)), ("0,-1", (0, 2)), ("2,1", (2, 1))])
def test_layers_are_named_by_a_word_or_by_numbers_from_either_end(layers, chosen):
    settings = PieceSettings(layers=layers)
    assert settings.states(2) == chosen
    assert settings.mixture(2) == pytest.approx([1 / len(chosen)] * len(chosen))


slow = lambda *values: pytest.param(*values, marks=pytest.mark.slow)  # quick: the one before, and the same test without it


@pytest.mark.parametrize("layers, chosen", [slow("last", [2]), ("0,-1", [0, 2]), slow("2,1", [2, 1])])
def test_chosen_layers_are_concatenated(tiny, layers, chosen):
    x = speech(3000)
    every = tiny.whole(x).reshape(num_frames(len(x)), 3, 8)
    some = features_of(PieceSettings(piece=P / 25, context=C / 25, layers=layers))
    assert some.num_features == 8 * len(chosen)
    np.testing.assert_allclose(some.whole(x), every[:, chosen].reshape(len(every), -1), atol=1e-5)


@pytest.mark.parametrize("layers, weights, w", [slow("all", (), (1 / 3, 1 / 3, 1 / 3)), ("0,2", (0.5, -2.0), (0.5, 0, -2.0))])
def test_layers_are_added_up(tiny, layers, weights, w):
    x = speech(3000)
    every = tiny.whole(x).reshape(num_frames(len(x)), 3, 8)
    mixed = features_of(PieceSettings(piece=P / 25, context=C / 25, layers=layers, combine="sum", weights=weights))
    assert mixed.num_features == 8
    np.testing.assert_allclose(mixed.whole(x), np.einsum("tlc,l->tc", every, w), atol=1e-5)


@pytest.mark.parametrize(
    "settings, reason",
    [
        (dict(layers="3"), "no audio layers '3'"),
        (dict(layers="first"), "no audio layers 'first'"),
        (dict(combine="max"), "data.audio.combine=max is not possible: use concat or sum"),
        (dict(weights=(1.0,)), "weights of audio layers have no meaning"),
        (dict(combine="sum", weights=(1.0,)), "1 weights are given for 3"),
        (dict(piece=0.01), "data.audio.piece=0.01"),
        (dict(context=-1.0), "data.audio.context=-1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, reason):
    with pytest.raises(UserError, match=reason):
        features_of(PieceSettings(**settings))


def test_settings_survive_being_written(tiny):
    kept = tiny.to_dict()
    assert kept["kind"] == "wav2vec2" and kept["hash"] == "0123" and kept["num_features"] == 24
    assert Wav2Vec2Features.settings_from(kept) == PIECES
    mel = LogMelFeatures(LogMelSettings(num_mels=40, offset=-2.0))
    assert LogMelFeatures.from_dict(mel.to_dict()) == mel and mel.to_dict()["num_features"] == 160


def test_log_mel_is_what_it_was():
    x = speech(20_000)
    np.testing.assert_array_equal(LogMelFeatures().whole(x), log_mel_features(x))


def test_silence_is_finite_and_the_same_everywhere(either):
    rows = either.whole(np.zeros(640 * P, np.float32))
    assert np.isfinite(rows).all()
    assert np.abs(rows[3:-3] - rows[3]).max() < 1e-4 or either.num_features == 24  # position shows in the network's answer


def tone(rate: int) -> np.ndarray:
    """Half a second of three tones below 3 kHz under an envelope."""
    t = np.arange(rate // 2) / rate
    return (0.2 * (1 + np.sin(2 * np.pi * 3 * t)) * sum(np.sin(2 * np.pi * f * t) for f in (220, 700, 2300)) / 3).astype("f4")


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_other_rates_sound_the_same(either, tmp_path, rate):
    rows = []
    for r in (16_000, rate):
        soundfile.write(tmp_path / f"{r}.wav", tone(r), r, subtype="FLOAT")
        rows.append(either.whole(read_audio(tmp_path / f"{r}.wav")))
    assert len(rows[0]) == 13 and abs(len(rows[1]) - 13) <= 1
    a, b = (x[2:11] for x in rows)
    if either.num_features == 24:
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98
    else:
        below = np.arange(320) % 80 < 55  # bands below 3.2 kHz: at 8 kHz there is nothing above 4
        loud = below & (a > a.max() - 2.5)  # the tones, in logarithms of power
        assert np.abs(a - b)[loud].max() < 0.1


REAL = {
    "speech_en_x_m_17s": "speech",
    "speech_zh_news_8s": "speech",
    "noisy_cafeteria_snr0_6s": "noise",
    "sing_f_10s": "music",
    "rap_f_10s": "music",
    "emotional_f_9s": "speech",
}


@pytest.mark.parametrize("name", list(REAL))
def test_real_recordings(real_data, either, name):
    file = real_data / "audio" / f"{name}.flac"
    if not file.exists():
        pytest.skip(f"{file.name} is not there")
    seconds, rate = (soundfile.info(file).frames / soundfile.info(file).samplerate, soundfile.info(file).samplerate)
    x = read_audio(file)
    rows = either.whole(x)
    assert abs(len(rows) - seconds * 25) <= 1 and np.isfinite(rows).all(), rate
    assert np.abs(rows).max() < 20 and 0.3 < rows.std() < 3
    chunks = np.array_split(x, math.ceil(len(x) / 5_003))
    np.testing.assert_array_equal(np.concatenate(list(either.stream(chunks))), rows)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_a_real_recording_at_other_rates(real_data, tmp_path, rate):
    """Below 3 kHz, where all rates have sound, and where there is any: within a third of the features' standard deviation."""
    file = real_data / "audio" / "speech_en_x_m_17s.flac"
    if not file.exists():
        pytest.skip(f"{file.name} is not there")
    x = read_audio(file)[: 5 * 16_000]
    soundfile.write(tmp_path / "x.wav", soxr.resample(x, 16_000, rate), rate, subtype="FLOAT")
    a, b = (LogMelFeatures().whole(wave).reshape(-1, 80)[:400, :50] for wave in (x, read_audio(tmp_path / "x.wav")))
    assert np.abs(a - b)[(a > 0) & (b > 0)].mean() < 0.1
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
