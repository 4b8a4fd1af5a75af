"""Tables from reports say what is in the reports' JSON, one row a number."""

from __future__ import annotations

import json
import pathlib

import pytest

from launch.study import tables
from tests.evaluation.test_report import ACROSS, SCORES
from tests.launch.programs import run_here
from xactor_jax.errors import UserError
from xactor_jax.evaluation.report import check_targets, write_report

DECODED = {
    "true_motion": {"psnr": 24.583, "ssim": 0.8, "l1": 0.0415, "detail": 0.76, "background": 0.99, "flicker": None},
    "reference_repeated": {"psnr": 23.3, "ssim": 0.7, "l1": 0.0509},
    "gain_db": 1.27,
    "better": 0.83,
    "better_mouth": 0.84,
}


def cells(table: str) -> list[list[str]]:
    """Rows of a Markdown table, without the line below its head; every row is as wide as the head."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert set(rows.pop(1)) == {"---"} and {len(row) for row in rows} == {len(rows[0])}
    return rows


@pytest.fixture
def evaluated(tmp_path: pathlib.Path) -> pathlib.Path:
    """report.json as launch/evaluate.py writes it."""
    scores = {**SCORES, "transfer": ACROSS}
    write_report(tmp_path, {"scores": scores, "targets": check_targets(scores), "checkpoints": {}}, {})
    return tmp_path / "report.json"


def test_an_evaluation_is_printed(evaluated: pathlib.Path) -> None:
    """By the program, as the documents name it."""
    table = cells(run_here("study/tables.py", evaluated).stdout)
    rows = {row[0]: row[1:] for row in table}
    assert rows[""] == ["reached", "target", "for comparison"]
    jaw = rows["correlation of the generated jaw with the true one, within one frame of lag"]
    assert jaw == ["0.82", "0.80", "true motion scores 0.90; best lag 1 frames"]
    assert rows["standard deviation over time, generated / true (Std-R)"][:2] == ["0.90", "0.85–1.15"]
    assert rows["SSIM of video from true motion"] == ["0.900", "", ""]
    assert len(rows) == len(table) == 1 + 14 + 13  # targets whose number is known; facts of four stages


def test_decoders_side_by_side(tmp_path: pathlib.Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"scores": {"embedded": DECODED, "tuned": DECODED}}))
    head, embedded, tuned = cells(tables.table(str(tmp_path / "report.json")))
    quality = ["24.58", "+1.27", "0.800", "0.0415 (0.0509)", "83%; 84%", "0.76", "0.99", "–"]
    assert head[1] == "PSNR, dB" and embedded == ["embedded", *quality] and tuned[0] == "tuned"


def test_a_bar_in_a_name_makes_no_column(tmp_path: pathlib.Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"scores": {"a|b": DECODED}}))
    assert tables.table(str(tmp_path / "report.json")).splitlines()[2].startswith("| a\\|b | 24.58 |")


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"scores": {"a": 1}}', '{"targets": [{}], "scores": {}}'])
def test_what_is_no_report_is_named(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(UserError, match=r"other\.json.*JSON"):
        tables.table(str(tmp_path / "other.json"))


def test_a_report_that_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        tables.table(str(tmp_path / "none.json"))
