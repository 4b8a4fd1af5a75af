"""The decoder of stage 1 is measured on any clips, beside the reference repeated."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from data.frames import encode_frames
from data.records import NO_UNITS, Clip, write_clips
from tests.launch.programs import run_here
from tests.tiny import SIZE, tiny  # noqa: F401
from xactor_jax.clips import TrueClip
from xactor_jax.evaluation import decoder
from xactor_jax.evaluation.video import Rendered
from xactor_jax.media.image_io import read_image


def moving(rng, frames: int = 8) -> np.ndarray:
    return rng.integers(0, 256, (frames, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> str:
    """Real people: nothing is known but the pictures; larger than the network's, and of different lengths."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("clips") / "d"

    def clip(i: int) -> Clip:
        frames = 8 + 3 * i
        return Clip(
            person=f"p{i}",
            clip="0",
            frames=encode_frames(rng.integers(0, 256, (frames, SIZE + 8, SIZE + 8, 3), dtype=np.uint8)),
            audio=np.zeros(640 * frames, np.int16),
            emotion=np.full(frames, -1, np.int32),
            emotion_intensity=np.ones(frames, np.float32),
            controls=np.zeros((0, 14), np.float32),
            component_boxes=np.zeros((frames, 2, 4), np.float32),
            units=NO_UNITS,
        )

    write_clips(path, {"test": [clip(i) for i in range(3)]})
    return str(path)


run = partial(run_here, "study/compare_motion.py")


def test_two_checkpoints_side_by_side_on_clips_without_truth(clips, tiny, tmp_path):  # noqa: F811
    named = [f"--motion={name}={tiny['motion']}" for name in "ab"]
    done = run("--data", clips, "--out", tmp_path / "r", "--step=2", "--rows=2", *named)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "r" / "report.json").read_text())["scores"]
    assert scores["a"]["true_motion"] == scores["b"]["true_motion"] and scores["a"]["clips"] == 3
    assert scores["a"]["frames"] == 4 and scores["a"]["side"] == SIZE
    assert read_image(tmp_path / "r" / "b.png").shape == (4 * SIZE, 11 * SIZE, 3)
    assert "the reference repeated" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--motion=a="] * 2, "two motion stages are called a"),
        (["--step=0"], "--step=0 is not possible"),
        (["--step=50"], "no clip of two frames 50 apart"),
        (["--split=validation"], "no split 'validation'"),
    ],
)
def test_what_is_wrong_is_one_sentence(clips, tmp_path, options, message):
    done = run_here("study/compare_motion.py", "--data", clips, "--out", tmp_path / "r", *options)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_the_score_of_a_decoder_is_over_the_reference_repeated():
    rng = np.random.default_rng(1)
    true = np.stack([moving(rng), moving(rng)])
    near = np.clip(true.astype(int) + rng.integers(-3, 4, true.shape), 0, 255).astype(np.uint8)
    assert decoder.decoder_scores(Rendered(true, near, near), people())["better"] == 1.0
    drawn = near.copy()
    drawn[:, 4:] = true[:, :1]  # repeats the reference in half of the frames, which does not beat it
    scores = decoder.decoder_scores(Rendered(true, drawn, drawn), people())
    assert scores["better"] == pytest.approx(3 / 7) and scores["gain_db"] > 0 and scores["better_mouth"] is None


def people(**more) -> list[TrueClip]:
    """Two clips, of which the scores look only at the boxes."""
    empty = dict(frames=moving(np.random.default_rng(0)), waveform=np.zeros(0, np.float32), controls=np.zeros((8, 14)))
    return [TrueClip(person=name, clip="0", **empty, **more) for name in "ab"]


def test_mouths_are_scored_inside_their_boxes():
    """The lower left quarter is drawn well in three frames of seven, all else in none."""
    rng = np.random.default_rng(3)
    true = np.stack([moving(rng), moving(rng)])
    drawn = np.repeat(true[:, :1], 8, axis=1)
    half = SIZE // 2
    drawn[:, 5:, half:, :half] = true[:, 5:, half:, :half]
    drawn[:, :, :half] = 255 - true[:, :, :half]
    boxes = np.tile(np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 0.5]], np.float32), (8, 1, 1))
    scores = decoder.decoder_scores(Rendered(true, drawn, drawn), people(component_boxes=boxes))
    assert scores["better_mouth"] == pytest.approx(3 / 7) and scores["better"] < 0.1


def test_a_clip_is_decoded_from_its_first_frame_and_its_own_latents():
    rng = np.random.default_rng(2)
    clip = TrueClip(person="a", clip="0", frames=moving(rng), waveform=np.zeros(0, np.float32), controls=np.zeros((8, 14)))
    encode = lambda frames: frames.reshape(len(frames), -1)[:, :4].astype(np.float32)
    seen = []

    def decode(reference, latents):
        seen.append((reference, latents))
        return clip.frames

    rendered = decoder.decode_clips(decode, encode, [clip])
    np.testing.assert_array_equal(seen[0][0], clip.frames[0])
    np.testing.assert_array_equal(seen[0][1], encode(clip.frames))
    np.testing.assert_array_equal(rendered.from_true[0], clip.frames)
