"""Sync-C and Sync-D on embeddings that are known, and from videos to numbers with a small network."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from xactor_jax.metric_networks import mfcc
from xactor_jax.metric_networks.syncnet import SyncNetSettings, embed_lips, embed_sound, init
from xactor_jax.scoring import syncnet, syncnet_crop
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.syncnet_crop import Piece, whole_piece
from xactor_jax.scoring.video import Case, of_frames

SETTINGS = SyncNetSettings(lips=(2,) * 5 + (8,), sound=(4,) * 5 + (8,), hidden=8, embedding=6)
FRAMES = 12


def looped(lips: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Distances as `calc_pdist` of the published program takes them: sound padded by zeros, a window of it for each frame."""
    padded = np.concatenate([np.zeros((15, sound.shape[1])), sound, np.zeros((15, sound.shape[1]))])
    rows = [
        [np.sqrt(sum((x - y + 1e-6) ** 2 for x, y in zip(v, a, strict=True))) for a in padded[i : i + 31]]
        for i, v in enumerate(lips)
    ]
    return np.array(rows)


def test_distances_are_those_of_padded_sound(rng):
    lips, sound = rng.normal(size=(2, 40, 3)).astype(np.float32)
    sound[7] = lips[7]  # where the small number that is added counts
    found = np.stack(list(syncnet.distances(iter(lips), iter(sound))))
    np.testing.assert_allclose(found, looped(lips, sound), rtol=1e-5)
    np.testing.assert_allclose(np.stack(list(syncnet.distances(lips[:1], sound[:1]))), looped(lips[:1], sound[:1]), rtol=1e-5)


@pytest.mark.parametrize("ahead", [-4, 0, 9])
def test_a_planted_offset_is_found(rng, ahead):
    """Sound that is ahead by some frames: what belongs to frame i comes at frame i − ahead."""
    lips = rng.normal(size=(60, 8)).astype(np.float32)
    sound = np.stack([lips[min(max(i + ahead, 0), 59)] for i in range(60)]) + 0.1 * rng.normal(size=(60, 8)).astype(np.float32)
    d = np.stack(list(syncnet.distances(lips, sound.astype(np.float32))))
    found, mean = syncnet.scores(d, 3, 70), looped(lips, sound).mean(axis=0)
    assert found.values["sync_offset"] == ahead == 15 - mean.argmin()
    assert found.values["sync_d"] == pytest.approx(mean.min(), rel=1e-4)
    assert found.values["sync_c"] == pytest.approx(sorted(mean)[15] - mean.min(), rel=1e-4)
    for name, curve in found.curves.items():
        assert curve.shape == (70,) and np.isnan(curve[[0, 2, 63, 69]]).all() and np.isfinite(curve[3:63]).all()
        assert np.nanmean(curve) == pytest.approx(found.values[name], rel=1e-5)


@pytest.fixture(scope="module")
def network() -> Network:
    """Weights with which pictures and sound matter."""
    rng, shapes = np.random.default_rng(0), jax.eval_shape(lambda key: init(SETTINGS, key), jax.random.key(0))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if (name := path[-1].key) == "kernel":
            return rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32)
        return np.full(leaf.shape, {"mean": 0.0, "bias": 0.5}.get(name, 1.0), np.float32)

    return Network(ConfigDict({"network": dataclasses.asdict(SETTINGS)}), jax.tree.map_with_path(draw, shapes), "hash")


@pytest.fixture
def clip(rng) -> Case:
    """Every frame has other colours, and every hundredth of a second another loudness."""
    frames = rng.integers(0, 256, (FRAMES, 4, 4, 3)).astype(np.uint8).repeat(56, axis=1).repeat(56, axis=2)
    waveform = rng.uniform(-0.5, 0.5, FRAMES * 640) * rng.uniform(0, 1, FRAMES * 4).repeat(160)
    return Case(of_frames("clip", frames, waveform.astype(np.float32)))


def protocol():
    return syncnet.make_protocol(cropped=True, batch=1)


def test_windows_of_a_video_belong_together(clip, network):
    """Frames i to i + 4 as blue, green, red, with columns 4 i to 4 i + 19; as many as the published program takes."""
    video, count = clip.generated, FRAMES - 5
    cepstra = mfcc.mfcc(np.rint(video.waveform * 32768).astype(np.int16)).T.astype(np.float32)
    frames = np.stack(list(video.read()))[..., [2, 1, 0]]
    pictures = np.stack([frames[i : i + 5] for i in range(count)] + [frames[:5]])  # 8 devices have one each
    columns = np.stack([cepstra[:, 4 * i : 4 * i + 20] for i in range(count)] + [cepstra[:, :20]])
    v = np.asarray(embed_lips(SETTINGS, network.params, jnp.asarray(pictures)))[:count]
    a = np.asarray(embed_sound(SETTINGS, network.params, jnp.asarray(columns)))[:count]
    expected = syncnet.scores(looped(v, a), 0, FRAMES)
    found = protocol().measure(clip, network)
    assert {number.name for number in protocol().numbers} == set(found.values)
    for name, value in expected.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-3, abs=1e-4)
    np.testing.assert_allclose(found.curves["sync_d"], expected.curves["sync_d"], rtol=1e-3)


def test_sound_is_that_of_the_frames_that_are_scored(clip, network, monkeypatch):
    calls = []
    monkeypatch.setattr(syncnet, "sound_vectors", lambda network, samples, count, batch: calls.append((samples, count)) or [])
    monkeypatch.setattr(syncnet, "lip_vectors", lambda *_: [])
    monkeypatch.setattr(syncnet, "distances", lambda lips, sound: np.ones((4, 31)))
    cut = lambda video: Piece(2, 9, itertools.islice(video.read(), 2, 11))
    found = syncnet.measure(clip, network, cut)
    (samples, count), video = calls[0], clip.generated
    np.testing.assert_array_equal(samples, mfcc.int16(video.waveform[1280:7040]))
    assert count == 4
    np.testing.assert_array_equal(np.isfinite(found.curves["sync_c"]), [2 <= i < 6 for i in range(FRAMES)])


@pytest.mark.parametrize(("frames", "samples"), [(5, 3200), (9, 3839), (12, None), (0, 640)])
def test_short_and_silent_clips_have_no_value(network, frames, samples):
    waveform = None if samples is None else np.zeros(samples, np.float32)
    video = of_frames("short", np.zeros((frames, 224, 224, 3), np.uint8), waveform)
    found = protocol().measure(Case(video), network)
    assert len(found.values) == 3 and all(np.isnan(value) for value in found.values.values()) and not found.curves


def test_a_video_without_a_face_has_no_value(network, monkeypatch):
    video = of_frames("grey", np.full((20, 64, 64, 3), 90, np.uint8), np.zeros(12800, np.float32))
    monkeypatch.setattr(syncnet_crop, "landmarks_of", lambda video: np.full((20, 468, 3), np.nan, np.float32))
    assert np.isnan(syncnet.PROTOCOL.measure(Case(video), network).values["sync_c"])


def test_crops_of_another_size_are_resized():
    piece = whole_piece(of_frames("small", np.full((2, 96, 96, 3), 7, np.uint8)))
    crops = list(piece.crops)
    assert (piece.first, piece.count) == (0, 2) and crops[1].shape == (224, 224, 3) and (crops[1] == 7).all()
