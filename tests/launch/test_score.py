"""Scoring of folders of videos as a program."""

from __future__ import annotations

import json

import pytest

from tests.launch.programs import run_here
from tests.scoring.fakes import FAKES
from tests.scoring.videos import write_clip
from xactor_jax.scoring import protocols, sanity


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr(protocols, "PROTOCOLS", FAKES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for shift, name in enumerate("xy"):
        write_clip(folder / f"truth/{name}.mp4", side=64, sound=True, shift=shift)
        write_clip(folder / f"ours/deep/{name}.mp4", sound=True, shift=shift)
    write_clip(folder / "theirs/x.mkv", shift=3)
    write_clip(folder / "theirs/z.mp4")
    return folder


def test_systems_of_any_origin_are_rows_of_one_report(folders, tmp_path):
    options = [f"--generated=ours={folders}/ours", f"--generated={folders}/theirs", f"--truth={folders}/truth", "--sheets=1"]
    done = run_here("score.py", *options, f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{tmp_path}/report.html"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["systems"] == ["truth", "ours", "theirs"]
    difference = report["scores"]["aligned"]["difference"]
    assert abs(difference["ours"]["mean"]) < 1 and difference["theirs"]["mean"] == pytest.approx(12, abs=1)
    assert report["differences"]["aligned"]["difference"]["theirs"]["mean"] == pytest.approx(12, abs=1)
    notes = "\n".join(report["notes"])
    assert "theirs, z: there is no true video" in notes and "theirs has no video of the true one y" in notes
    assert "far: not measured, because its weights were not given (--weights lpips=FOLDER" in notes
    assert (tmp_path / "report.html").read_text().count("data:image/png") == 1


def test_two_processes_measure_and_the_last_one_reports(folders, tmp_path):
    options = ("--generated", f"{folders}/ours", "--truth=none", f"--out={tmp_path}", "--sheets=0", "--processes=2")
    first = run_here("score.py", *options, "--process=0")
    assert (
        first.returncode == 0 and "the last one writes the report" in first.stderr and not (tmp_path / "report.json").exists()
    )
    last = run_here("score.py", *options, "--process=1")
    assert last.returncode == 0 and (tmp_path / "report.md").exists(), last.stderr
    assert json.loads((tmp_path / "report.json").read_text())["systems"] == ["ours"]


def test_the_protocols_are_listed():
    done = run_here("score.py", "--list")
    assert done.returncode == 0 and "| loud | Loudness | none |  | yes |" in done.stdout


def test_a_wrong_number_is_reported_and_is_no_success(monkeypatch):
    check = sanity.Check(
        protocol="aligned", what="black", source="nobody", expected={"difference": -255.0}, tolerance=0.1,
        find=sanity.black_and_white,
    )  # fmt: skip
    for expected, status in ((-255.0, 0), (3.0, 1)):
        wanted = (sanity.dataclasses.replace(check, expected={"difference": expected}), sanity.CHECKS[-1])
        monkeypatch.setattr(sanity, "CHECKS", wanted)
        done = run_here("score.py", "--self_test")
        assert done.returncode == status and "published difference" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --generated DIR, --truth DIR (or none) and --out REPORT"),
        (["--generated=nowhere", "--truth=none"], "there is no folder nowhere"),
        (["--generated=a=x", "--generated=a=y", "--truth=none"], "--generated names a twice"),
        (["--generated=truth=x", "--truth=none"], "would be confused with the true videos"),
        (["--generated=x", "--truth=none", "--process=0"], "--process and --processes belong together"),
        (["--generated=x", "--truth=none", "--process=2", "--processes=2"], "--process=2 is not possible"),
        (["--self_test", "--only=sharp"], "there is no protocol 'sharp'"),
        (["--self_test", "--weights=lpips"], "--weights lpips has no name"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, options, message):
    done = run_here("score.py", *options, f"--out={tmp_path}/report")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and message in done.stderr, done.stderr
