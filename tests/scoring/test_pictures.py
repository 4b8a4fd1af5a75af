"""Measures of pictures: sharpness over time, errors against the truth, detail read frame by frame, and identity."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.evaluation.detail import detail_scores
from xactor_jax.scoring import blendshapes, detail, identity, paired, sharpness
from xactor_jax.scoring.video import Case, Video, of_frames


@pytest.fixture
def still(rng) -> np.ndarray:
    """Six equal textured frames."""
    return np.repeat(rng.integers(40, 210, (1, 192, 192, 3), np.uint8), 6, axis=0)


def test_a_blurred_end_is_less_sharp_and_does_not_flicker(still):
    frames = still.copy()
    frames[3:] = [cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in frames[3:]]
    found = sharpness.measure(Case(of_frames("blurred", frames)), None)
    np.testing.assert_allclose(found.curves["sharpness"][:3], 1.0)
    assert found.curves["sharpness"][3:].max() < 0.1 and found.values["sharpness"] < 0.6
    assert sharpness.measure(Case(of_frames("still", still)), None).values["flicker"] == 0


def test_flicker_of_independent_noise_is_its_standard_deviation(rng):
    noise = np.repeat(np.clip(rng.normal(128, 9, (30, 48, 48, 1)), 0, 255), 3, axis=-1).round().astype(np.uint8)
    found = sharpness.measure(Case(of_frames("noise", noise)), None)
    assert found.values["flicker"] == pytest.approx(9.0, rel=0.03)
    assert np.isnan(found.curves["flicker"][:2]).all() and len(found.curves["flicker"]) == 30


def test_errors_of_a_brighter_video_and_of_its_mouth(still, face, show):
    other = still + np.uint8(10)
    other[0] = 0  # the reference does not count
    truth = show(paired, np.repeat(face[None], 6, axis=0), still)
    found = paired.measure(Case(of_frames("brighter", other), truth), None)
    for name in ("", "mouth_"):
        assert found.values[f"{name}l1"] == pytest.approx(10 / 255)
        assert found.values[f"{name}psnr"] == pytest.approx(20 * np.log10(255 / 10))
        assert 0.9 < found.values[f"{name}ssim"] < 1 and found.curves[f"{name}ssim"].shape == (5,)


def test_a_wrong_mouth_counts_only_in_the_mouth_and_only_where_there_is_a_face(still, face, show):
    points = np.repeat(face[None], 6, axis=0)
    points[2] = np.nan
    rows, columns = paired.mouth(face, (192, 192))
    assert rows.start < face[13, 1] < face[152, 1] < rows.stop + 4 and columns.start < face[61, 0] < face[291, 0] < columns.stop
    other = still.copy()
    other[:, rows, columns] = 255 - other[:, rows, columns]
    found = paired.measure(Case(of_frames("other", other), show(paired, points, still)), None)
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / 192**2
    assert found.values["l1"] == pytest.approx(share * found.values["mouth_l1"], rel=0.01)
    assert np.isnan(found.curves["mouth_l1"][1]) and np.isfinite(np.delete(found.curves["mouth_l1"], 1)).all()


def test_videos_of_two_sizes_are_refused(still):
    case = Case(of_frames("small", still[:, ::2, ::2]), of_frames("true", still))
    for module in (paired, detail):
        with pytest.raises(UserError, match="small has pictures of 96 × 96 pixels, the true video of 192 × 192"):
            module.measure(case, None)


def test_detail_is_read_frame_by_frame(still):
    """No more than a few frames are alive; a video from a reader and an array have one value, over the frames of both."""
    frames = still.copy()
    frames[2:, 50:90, 50:90] = frames[2:, 90:130, 50:90]
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in frames])
    longer = np.concatenate([blurred, 255 - blurred[:2]])
    video = Video("read", 8, (192, 192), lambda: iter(longer.copy()))
    found = detail.measure(Case(video, of_frames("true", frames)), None).values
    expected = detail_scores(blurred, frames)
    assert found == pytest.approx({f"{name}_ratio": value for name, value in expected.items()})
    assert 0 < found["detail_ratio"] < 0.5 and 0 < found["background_ratio"] < 0.5


def test_the_same_face_is_the_same_person_and_noise_is_not(portrait, face, show, rng):
    frames = np.stack(
        [portrait, portrait, cv2.GaussianBlur(portrait, (0, 0), 1.0), rng.integers(0, 256, portrait.shape, np.uint8)]
    )
    points = np.repeat(face[None], 4, axis=0)
    points[1] = np.nan
    found = identity.measure(Case(show(identity, points, frames)), None)
    distance, cosine = found.curves["identity_distance"], found.curves["identity_cosine"]
    assert distance[0] == 0 and cosine[0] == pytest.approx(1) and np.isnan(distance[1])
    assert distance[2] < 0.3 < 0.6 < distance[3] and cosine[2] > cosine[3]
    assert found.values["identity_same"] == pytest.approx(2 / 3)


def test_identity_by_hand():
    found = identity.compare(np.array([[3.0, 4.0], [0.0, 5.0]]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(found["identity_cosine"], [1, 0.8])
    np.testing.assert_allclose(found["identity_distance"], [0, np.sqrt(10)])
    np.testing.assert_allclose(found["identity_same"], [1, 0])


def test_blendshapes_of_a_jaw_that_is_late(rng):
    true = np.zeros((60, 51))
    true[:, blendshapes.READ.index("jawOpen")] = rng.random(60)
    found = blendshapes.compared(np.roll(true, 2, axis=0), true)
    assert found.values["jaw_truth"] == pytest.approx(1) and found.values["jaw_truth_lag"] == 2
    shifted = blendshapes.compared(true + 0.25, true)
    assert shifted.values["blendshape_distance"] == pytest.approx(0.25) and shifted.values["jaw_truth_lag"] == 0


def test_mediapipe_is_asked_for_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match="pip install --no-deps mediapipe"):
        blendshapes.open_task(tmp_path / "face_landmarker.task")
