"""The cores that data needs, by hand."""

from __future__ import annotations

import pytest

from launch.benchmark import _need
from launch.benchmark._need import Load


def test_needed_cores_by_hand() -> None:
    """An example of 1 TFLOP: half of an H200's 989 TFLOP/s makes 494.5 of them a second, half of a v5e's 197 makes 98.5."""
    one, eight, host = _need.needs(Load(flops=1e12, batch_size=256, rate=200.0), goal=4.0)
    assert (one["machine"], one["examples/s"]) == ("H200", pytest.approx(494.5))
    assert one["steps/s"] == pytest.approx(494.5 / 256) and one["cores per device"] == pytest.approx(2.4725) == one["cores"]
    assert eight["examples/s"] == pytest.approx(3956.0) and eight["steps/s"] == pytest.approx(15.453125)
    assert eight["cores per device"] == pytest.approx(2.4725) and eight["cores"] == pytest.approx(19.78)
    assert host["examples/s"] == pytest.approx(788.0) and host["cores"] == pytest.approx(3.94)
    assert host["cores per device"] == pytest.approx(0.4925) and host["goal"] == "≤ 4 per device: reached"


@pytest.mark.parametrize(("rate", "verdict"), [(494.5, "reached"), (490.0, "missed")])
def test_goals(rate: float, verdict: str) -> None:
    assert next(iter(_need.needs(Load(1e12, 1, rate), goal=1.0)))["goal"] == f"≤ 1 per device: {verdict}"


def test_stage_3_has_a_goal_at_every_size_and_stage_1_at_512_pixels() -> None:
    assert [_need.goal_of("video", side) for side in (128, 512)] == [1.0, 1.0]
    assert [_need.goal_of("motion", side) for side in (256, 512)] == [None, 4.0]
    assert _need.goal_of("actor", 512) is None and next(iter(_need.needs(Load(1e12, 1, 1.0), None)))["goal"] == ""
