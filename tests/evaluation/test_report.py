"""The report says what the scores are, and is one file without links to others."""

from __future__ import annotations

import base64
import json
import re

import cv2
import numpy as np
import pytest

from xactor_jax.evaluation import figures, report
from xactor_jax.labels import CONTROLS

SCORES = {
    "motion": {
        "r2": dict.fromkeys(CONTROLS, 0.5),
        "r2_face": 0.86,
        "r2_pose": 0.85,
        "r2_shift": 0.5,
        "identity": {"people": 4.0, "chance": 0.25, "frames": 0.31, "clips": float("nan")},
    },
    "actor": {
        "jaw_correlation": 0.82,
        "jaw_correlation_shuffled": 0.1,
        "jaw_correlation_true_motion": 0.9,
        "jaw_best_lag": 1,
        "std_ratio": 0.9,
        "velocity_ratio": 1.2,
        "audio_gain": {"gain": 1.9, "true_motion": 6.0, "error": 0.4, "error_other": 0.8},
        "boundary_jerk": 1.2,
        "boundary_jerk_true_motion": 1.05,
        "fmd": {"across": 90.0, "true_motion": 70.0, "paired": 50.0},
        "fmd_velocity": {"across": 5.0, "true_motion": 1.5, "paired": 4.0},
        "diversity": 0.7,
        "seeds": 3,
        "emotion": {"accuracy": 0.66, "other_speech": 0.4, "true_motion": 0.75, "chance": 0.25, "windows": 100.0},
    },
    "video": {
        "true_motion": {"psnr": 28.0, "ssim": 0.9, "detail": 0.9, "background": 1.01, "flicker": None},
        "reference_repeated": {"psnr": 26.0, "ssim": 0.8},
        "gain_db": 2.0,
        "gain_ssim": 0.1,
    },
}


ACROSS = {
    "cross": {"psnr": 26.5, "ssim": 0.85},
    "same": {"psnr": 29.0, "ssim": 0.9},
    "repeated": {"psnr": 24.0, "ssim": 0.7},
    "gain_db": 5.5,
    "loss_db": 2.5,
    "identity": {"people": 80, "true_frames": 0.99, "cross": 0.96, "cross_is_driver": 0.01, "same": 0.95},
}


def decoded(picture: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_targets_are_reached_or_missed():
    outcomes = [t["passed"] for t in report.check_targets(SCORES)]
    assert outcomes == [True, False, True, True, False, True, False, True, False, False, True]


def test_a_stage_that_was_not_evaluated_has_no_targets():
    assert len(report.check_targets({"motion": SCORES["motion"]})) == 2


def actor_target(words: str, **changed) -> dict:
    """The one of the actor's targets whose name has these words, with some of its scores changed."""
    outcomes = report.check_targets({"actor": {**SCORES["actor"], **changed}})
    return next(outcome for outcome in outcomes if words in outcome["name"])


@pytest.mark.parametrize(("value", "passed"), [(0.8, False), (0.85, True), (1.0, True), (1.15, True), (1.2, False)])
@pytest.mark.parametrize(("name", "field"), [("Std-R", "std_ratio"), ("VC-R", "velocity_ratio")])
def test_liveliness_has_an_upper_bound_too(value, passed, name, field):
    outcome = actor_target(name, **{field: value})
    assert outcome["passed"] is passed
    assert report.bounds(outcome) == "0.85 to 1.15"


@pytest.mark.parametrize(("accuracy", "passed"), [(0.66, True), (0.64, False), (0.9, True), (float("nan"), False)])
def test_emotion_may_be_ten_points_below_true_motions(accuracy, passed):
    outcome = actor_target("emotion", emotion={**SCORES["actor"]["emotion"], "accuracy": accuracy})
    assert outcome["passed"] is passed and "true motion 0.75" in outcome["beside"]
    assert report.bounds(outcome) == "at least 0.65"


def test_emotion_that_is_not_known_is_no_target():
    outcomes = report.check_targets({"actor": {**SCORES["actor"], "emotion": None}})
    assert len(outcomes) == 5 and not any("emotion" in outcome["name"] for outcome in outcomes)


@pytest.mark.parametrize(
    ("changed", "passed"),
    [
        ({}, [True, True, True]),
        ({"gain_db": 4.9}, [False, True, True]),
        ({"cross": {"psnr": 25.9, "ssim": 0.8}}, [True, False, True]),
        ({"identity": {**ACROSS["identity"], "cross": 0.94}}, [True, True, False]),
    ],
)
def test_targets_of_reenactment_across_people(changed, passed):
    outcomes = report.check_targets({"transfer": {**ACROSS, **changed}})
    assert [outcome["passed"] for outcome in outcomes] == passed
    assert "of 80 people" in outcomes[2]["beside"]
    assert report.facts({"transfer": ACROSS})[0][1] == "0.850, 0.900, 0.700"


def test_what_is_not_known_in_a_saved_report_is_a_dash():
    """JSON has no NaN: numbers that were not measured come back as None, as of people with one clip each."""
    unknown = {"people": 160.0, "chance": None, "frames": None, "clips": None}
    rows = dict(report.facts({"motion": {**SCORES["motion"], "identity": unknown}}))
    assert rows["the same by chance"] == "–"
    assert rows["identity read from the latents of other clips, of 160 people"] == "– of frames, – of clips"


@pytest.mark.parametrize(("shuffled", "passed"), [(0.3, False), (0.2, True), (-0.4, True)])
def test_shuffled_speech_must_score_a_third(shuffled, passed):
    scores = {"actor": {**SCORES["actor"], "jaw_correlation_shuffled": shuffled}}
    assert report.check_targets(scores)[1]["passed"] is passed


def test_the_page_needs_no_other_file_and_the_json_is_valid(tmp_path):
    picture = figures.r2_bars(SCORES["motion"]["r2"], (0.7, 0.9))
    content = {"scores": SCORES, "targets": report.check_targets(SCORES), "checkpoints": {"motion": {"hash": "abc123"}}}
    report.write_report(tmp_path, content, {"controls <of> people": picture})
    page = (tmp_path / "report.html").read_text()
    assert "controls &lt;of&gt; people" in page and "abc123" in page and "31% of frames" in page
    assert page.count('class="reached"') == 6 and page.count('class="missed"') == 5
    assert "0.85 to 1.15" in page and "90.00 (true motion 70.00)" in page
    data = re.search(r'src="data:image/png;base64,([^"]+)"', page)[1]
    assert base64.b64decode(data) == picture
    assert not re.search(r'(src|href)="(?!data:)', page)
    loaded = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert loaded["scores"]["motion"]["identity"]["clips"] is None
    assert loaded["scores"]["video"]["gain_db"] == 2.0
    assert [target["at_most"] for target in loaded["targets"]].count(1.15) == 2


def test_figures_are_pictures(rng):
    frames = rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    curves = {name: rng.normal(size=(3, 50)) for name in ("true", "own", "other")}
    lags = {name: list(rng.normal(size=21)) for name in curves}
    for picture in (
        figures.contact_sheet(frames[0], {"true": frames, "rendered": frames[::-1]}),
        figures.jaw_plot(curves, ["a", "b", "c"]),
        figures.lag_plot(lags),
    ):
        image = decoded(picture)
        assert min(image.shape[:2]) > 100 and image.std() > 5


def test_the_contact_sheet_shows_the_frames(rng):
    red = np.zeros((3, 16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    image = decoded(figures.contact_sheet(red[0], {"true": red, "rendered": 255 - red}, columns=3))
    count = lambda colour: (np.abs(image.astype(int) - colour).max(-1) < 10).sum()
    assert count([255, 0, 0]) > count([0, 255, 255]) > 5000  # the reference is one more red picture
