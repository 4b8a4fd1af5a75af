"""The content of a report and its four files."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from launch.study import tables
from tests.scoring.fakes import BRIGHTNESS, DIFFERENCE, FAR
from tests.scoring.videos import write_clip
from xactor_jax.scoring import report, sheets, summary
from xactor_jax.scoring.files import Pair
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.results import Curve, Result
from xactor_jax.scoring.run import Row

NETWORKS = {"lpips": Network(ConfigDict(), 1.0, "abc")}


def row(system: str, name: str, protocol, true: bool = False, problem: str = "", curve: Curve | None = None, **values) -> Row:
    result = Result(values, {next(iter(values)): curve} if curve else {}, problem)
    return Row(system, name, protocol, true, result, f"{system if not true else 'truth'}{name}")


@pytest.fixture
def rows(tmp_path):
    """Two systems on three clips; b is 1 above a; its third clip could not be measured."""
    (tmp_path / "results").mkdir()
    made = []
    for k, name in enumerate("xyz"):
        line = Curve([1 / 12, 3 / 12, 5 / 12], [k + 1.0, k + 2.0, k + 3.0])
        made += [row("a", name, BRIGHTNESS, brightness=10.0 * k, curve=line)]
        made += [row("b", name, BRIGHTNESS, problem="no luck" if name == "z" else "", brightness=10.0 * k + 1)]
        made += [row(system, name, BRIGHTNESS, True, brightness=5.0) for system in "ab"]
        made += [row("a", name, DIFFERENCE, difference=math.nan), row("a", name, FAR), row("a", name, FAR, True)]
        for who, value in (("a", 2.0 * k), ("truth", 1.0)):
            np.savez(tmp_path / "results" / f"{who}{name}.npz", features=np.full((4, 1), value))
    return made


def test_numbers_are_means_of_clips_differences_are_paired_and_sets_are_pooled(rows, tmp_path):
    content = summary.content_of(rows, NETWORKS, tmp_path)
    assert content["systems"] == ["truth", "a", "b"]
    bright = content["scores"]["bright"]["brightness"]
    assert {s: (e["mean"], e["count"]) for s, e in bright.items()} == {"truth": (5.0, 3), "a": (10.0, 3), "b": (6.0, 2)}
    assert content["scores"]["far"]["far"] == {"a": {"mean": 1.0, "low": None, "high": None, "count": 3}}
    (minus,) = content["differences"]["bright"]["brightness"].values()
    assert minus == {"minus": "a", "mean": 1.0, "low": 1.0, "high": 1.0, "count": 2}
    over = content["over_time"]["bright"]["brightness"]
    assert list(over) == ["a"] and over["a"]["values"] == [2.0, 3.0, 4.0]
    assert over["a"]["slope"]["mean"] == pytest.approx(6.0) and over["a"]["slope"]["low"] == pytest.approx(6.0)
    assert content["protocols"]["far"]["weights"] == "abc" and content["protocols"]["bright"]["weights"] == ""
    (odd,) = [clip for clip in content["clips"] if clip["problems"]]
    assert (odd["system"], odd["name"], odd["problems"]) == ("b", "z", {"bright": "no luck"})
    assert len(content["clips"]) == 9


def test_the_files_say_the_same_with_protocols_and_arrows(rows, tmp_path):
    content = {**summary.content_of(rows, NETWORKS, tmp_path), "notes": ["Something was left out."]}
    report.write_report(tmp_path, content, {"A <sheet>": b"png"}, "Scores")
    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["scores"]["aligned"]["difference"]["a"]["mean"] is None
    page, text, rows_of_latex = ((tmp_path / f"report.{end}").read_text() for end in ("html", "md", "tex"))
    assert "<th>Brightness = (bright)</th>" in page and "A &lt;sheet&gt;" in page and "<td>b, z</td>" in page
    for said in ("Something was left out.", "b, z: no luck (bright).", "lpips, hash abc", "A test&#x27;s number."):
        assert said in page
    assert "|  | Brightness = (bright) | clips |" in text and "| a | 10.000 [" in text and "| b − a | +1.000 [" in text
    assert "| a | – | 0 |" in text  # no clip has a difference
    assert "slope per minute" in text and "| a | 2.000 | 3.000 | 4.000 | +6.0000 [" in text
    assert r" & Far\_50\% $\downarrow$ (far) & clips \\" in rows_of_latex and r"a & 1.000 & 3 \\" in rows_of_latex
    assert "\n% bright\n" in "\n" + rows_of_latex and r"\hline" in rows_of_latex


def test_a_set_that_cannot_be_compared_is_a_sentence(rows, tmp_path):
    (tmp_path / "results" / "ay.npz").unlink()
    content = summary.content_of(rows, NETWORKS, tmp_path)
    assert content["scores"]["far"]["far"] == {} and "ay.npz" in content["problems"]["far"]["a"]
    assert any("ay.npz" in line for line in report.problems_of(content))


def test_sheets_show_systems_above_the_truth(tmp_path, monkeypatch):
    drawn = {}

    def draw(reference, rows, columns, rate):
        drawn.update(rows=rows, columns=columns, rate=rate)
        return b"png"

    monkeypatch.setattr(sheets, "contact_sheet", draw)
    truth, ours = write_clip(tmp_path / "t.mp4", count=20, side=64), write_clip(tmp_path / "g.mp4", count=17, shift=2)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    pairs = [Pair("ours", "x", str(ours), str(truth)), Pair("theirs", "x", str(tmp_path / "broken.mp4"), str(truth))]
    assert list(sheets.sheets([*pairs, Pair("ours", "y", str(ours))], 1)) == ["x: ours, truth"]
    assert [frames.shape for frames in drawn["rows"].values()] == [(8, 32, 32, 3), (8, 64, 64, 3)]
    means = [[frame.mean() for frame in frames] for frames in drawn["rows"].values()]
    np.testing.assert_allclose(np.diff(means), 8, atol=1.5)  # every second frame
    assert drawn["rate"] == 12.5 and means[0][0] - means[1][0] == pytest.approx(8, abs=1.5)


def test_the_program_of_tables_prints_the_rows_of_the_report(rows, tmp_path):
    report.write_report(tmp_path, {**summary.content_of(rows, NETWORKS, tmp_path), "notes": []}, {}, "Scores")
    printed = tables.table(str(tmp_path / "report.json"))
    assert printed in (tmp_path / "report.md").read_text() and "### bright" in printed and "### far" in printed
