"""Which files of a tree count, and by what names."""

from __future__ import annotations

import os
import pathlib

import pytest

from data.sources import find_sounds, list_files
from xactor_jax.errors import UserError


def make(folder: pathlib.Path, *files: str) -> pathlib.Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return folder


def names(*roots: pathlib.Path | str, out: pathlib.Path | str = "out") -> list[str]:
    return [source.relative for source in list_files(tuple(map(str, roots)), str(out))]


def test_links_that_lead_nowhere_or_round_are_reported(tmp_path: pathlib.Path) -> None:
    """Links to other folders are followed."""
    make(tmp_path / "in", "a/x.mp4")
    make(tmp_path / "else", "y.mp4")
    for name, to in {
        "gone.mp4": "/nowhere/x.mp4",
        "round.mp4": "round.mp4",
        "a/up": "..",
        "self": ".",
        "more": "../else",
    }.items():
        (tmp_path / "in" / name).symlink_to(to)
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    found = {source.relative: source.problem for source in list_files((str(tmp_path / "in"),), str(tmp_path / "out"))}
    loop, gone = "a link to a folder that it lies in", "it cannot be opened (No such file or directory)"
    assert found == {
        "a/x.mp4": "",
        "more/y.mp4": "",
        "a/up": loop,
        "self": loop,
        "gone.mp4": gone,
        "round.mp4": "it cannot be opened (Too many levels of symbolic links)",
        "pipe.mp4": "it is no regular file",
    }


def test_names_that_are_no_utf_8_can_be_written(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "in", os.fsdecode(b"caf\xe9.mp4"), "caf\u00e9.mp4")
    assert names(tmp_path / "in") == ["caf\\xe9.mp4", "café.mp4"]


def test_folders_of_one_name_are_distinguished_by_their_parents(tmp_path: pathlib.Path) -> None:
    for root in ("A/clips", "B/clips"):
        make(tmp_path / root, "1.mp4")
    assert names(tmp_path / "A/clips", tmp_path / "B/clips") == ["A/clips/1.mp4", "B/clips/1.mp4"]
    assert names(tmp_path / "A", tmp_path / "B") == ["A/clips/1.mp4", "B/clips/1.mp4"]
    with pytest.raises(UserError, match=r"--videos names .*/A/clips twice"):
        names(tmp_path / "A", tmp_path / "A/clips")


@pytest.mark.parametrize("out", ["clips/out", "./clips/out", "{folder}/clips/out", "link/out", "~/clips/out"])
def test_the_output_inside_the_tree_does_not_count(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    """Neither does what is left beside it by a run that was killed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "clips", "1.mp4", "out/manifest.csv", ".out.staging/0.npz", ".out.0a1b/records/x", "outer/2.mp4")
    (tmp_path / "link").symlink_to("clips")
    assert names("clips", out=out.format(folder=tmp_path)) == ["1.mp4", "outer/2.mp4"]


def test_every_sound_beside_a_video_is_taken(tmp_path: pathlib.Path) -> None:
    """In any case, and what has lost nothing before what has."""
    make(tmp_path, "a.mp4", "a.MP3", "b.MP4", "b.m4a", "b.WAV", "c.mov", "c.Opus", "d.mp4", "e/a.wav")
    found = find_sounds(list_files((str(tmp_path),), str(tmp_path / "out")), True, "")
    assert sorted(source.relative for source in found.values()) == ["a.MP3", "b.WAV", "c.Opus"]
    assert not find_sounds(list_files((str(tmp_path),), str(tmp_path / "out")), False, "")
