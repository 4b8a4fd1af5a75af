"""Pairs are measured once, by any number of processes, and a video that fails is a row."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.scoring.fakes import BRIGHTNESS, DIFFERENCE, FAKES, FAR, LOUDNESS
from tests.scoring.videos import write_clip
from xactor_jax.scoring import results
from xactor_jax.scoring.files import Pair
from xactor_jax.scoring.protocol import Measured, Network
from xactor_jax.scoring.run import finished, score, share

NETWORKS = {"lpips": Network(ConfigDict(), 2.0, "abc")}


def quiet(message: str) -> None:
    pass


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two systems on two names: b is three frames ahead of the truth, that is 12 levels brighter; the second one is damaged."""
    folder = tmp_path_factory.mktemp("videos")
    truth = {name: write_clip(folder / f"t/{name}.mp4", side=64, sound=name == "x") for name in "xy"}
    same = {name: write_clip(folder / f"a/{name}.mp4") for name in "xy"}
    ahead = {"x": write_clip(folder / "b/x.mp4", shift=3), "y": folder / "b/y.mp4"}
    ahead["y"].write_bytes(b"no video")
    systems = {"a": same, "b": ahead}
    return [Pair(s, name, str(path), str(truth[name])) for s, made in systems.items() for name, path in made.items()]


def table(rows) -> dict:
    return {(row.system, row.name, row.protocol.name, row.true): row.measured for row in rows}


def test_every_pair_has_its_numbers_and_what_fails_is_a_sentence(pairs, tmp_path):
    rows = score(pairs, FAKES, NETWORKS, tmp_path, quiet)
    assert finished(rows) and all(bool(row.key) != (row.system == "b" and row.name == "y") for row in rows)
    found = table(rows)
    assert found["b", "x", "aligned", False].values["difference"] == pytest.approx(12, abs=1)
    assert found["a", "x", "aligned", False].values["difference"] == pytest.approx(0, abs=1)
    assert ("a", "x", "aligned", True) not in found  # the truth has no difference to itself
    assert found["b", "x", "bright", True].values["brightness"] == pytest.approx(30 + 4 * 5.5, abs=1)
    assert found["a", "x", "loud", False].values["loudness"] > 0.01  # with the sound of its truth
    assert "no sound" in found["a", "y", "loud", False].problem
    assert "cannot be read" in found["b", "y", "bright", False].problem
    for row in rows:
        if row.protocol is FAR and row.key:
            features = results.Features(tmp_path / "results", [row.key])[0]
            assert features.shape == (12, 1)
            bright = found[row.system, row.name, "bright", row.true].values["brightness"]
            assert features.mean() == pytest.approx(2 * bright)
    for file in (tmp_path / "results").glob("*.json"):
        json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"a result has {name}"))


def test_what_is_measured_is_not_measured_again(pairs, tmp_path):
    measured = []

    def counting(case, network):
        measured.append(case.generated.name)
        return Measured(values={"brightness": math.nan})

    counted = dataclasses.replace(BRIGHTNESS, measure=counting)
    rows = score(pairs, [counted], {}, tmp_path, quiet)
    assert sorted(measured) == ["x", "x", "x", "y", "y"]  # two systems and one truth; of y one of each
    assert math.isnan(rows[0].measured.values["brightness"])
    score(pairs, [counted], {}, tmp_path, quiet)
    assert len(measured) == 5
    score(pairs[:1], [dataclasses.replace(counted, definition="Another one.")], {}, tmp_path, quiet)
    assert len(measured) == 7


def test_a_new_network_is_measured_again_and_what_failed_is_tried_again(pairs, tmp_path):
    working = []

    def failing(case, network):
        if not working:
            raise ValueError("out of luck\nand more")
        return Measured(values={}, features=np.zeros((1, 1)))

    fails = dataclasses.replace(FAR, measure=failing)
    first = score(pairs[:1], [fails], NETWORKS, tmp_path, quiet)
    assert {row.measured.problem for row in first} == {"ValueError: out of luck"}
    working.append(True)
    second = score(pairs[:1], [fails], NETWORKS, tmp_path, quiet)
    third = score(pairs[:1], [fails], {"lpips": NETWORKS["lpips"].__class__(ConfigDict(), 2.0, "def")}, tmp_path, quiet)
    assert [row.measured.problem for row in (*second, *third)] == [""] * 4
    assert {row.key for row in first} == {row.key for row in second} and second[0].key != third[0].key


def test_processes_share_the_names_and_the_last_one_finds_everything(pairs, tmp_path):
    assert sorted(sorted(share(pairs, index, 2)) for index in (0, 1)) == [["x"], ["y"]]
    protocols = (BRIGHTNESS, DIFFERENCE, LOUDNESS)
    first = score(pairs, protocols, {}, tmp_path, quiet, None, (0, 2))
    assert not finished(first) and any(row.measured for row in first)
    last = score(pairs, protocols, {}, tmp_path, quiet, None, (1, 2))
    assert finished(last)
    together = score(pairs, protocols, {}, tmp_path / "together", quiet, {"x", "y"})
    assert table(together) == table(last)


def test_a_video_that_is_still_to_be_made_is_not_finished(pairs, tmp_path):
    later = pairs[0]._replace(generated=str(tmp_path / "later.mp4"))
    rows = score([pairs[0], later], [BRIGHTNESS], {}, tmp_path, quiet)
    assert not finished(rows) and finished(rows[:2])


def test_a_curve_is_averaged_over_segments_of_ten_seconds():
    frames = 25 * 25
    curve = results.curve_of(np.repeat([1.0, 2.0, 9.0], [250, 250, 125]), frames)
    assert curve.values == [1.0, 2.0] and curve.minutes == pytest.approx([5 / 60, 15 / 60])
    windows = results.curve_of(np.array([1.0, np.nan, 3.0, 5.0, 9.0]), frames)  # one every 5 seconds
    assert windows.values == [1.0, 4.0] and windows.minutes == pytest.approx([5 / 60, 15 / 60])
    assert results.curve_of(np.array([np.nan, 4.0]), 50).values == [4.0]
