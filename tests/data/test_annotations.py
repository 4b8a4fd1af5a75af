"""What is annotations of the files of a tree, and what may be a slip."""

from __future__ import annotations

import pathlib
import unicodedata

import pytest

from data.annotations import Annotations, Rules, annotate
from data.naming import person_namer
from data.sources import Source
from xactor_jax.errors import UserError


def annotated(files: list[str], **rules: str) -> tuple[Annotations, list[str]]:
    """Annotations of the files, and the warnings."""
    sources, warnings = [Source(path=f"/in/{file}", relative=file, stamp="") for file in files], []
    return annotate(sources, Rules(videos=("/in",), **rules), warnings.append), warnings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_tables_of_all_kinds(tmp_path: pathlib.Path, encoding: str, comma: str) -> None:
    """Ends of lines, endings of names, composed and decomposed characters, folders as Windows writes them."""
    decomposed = unicodedata.normalize("NFD", "josé.mp4,dora")
    rows = [
        "File,Person,Note",
        '"a, b.mp4",anna,',
        "Clip.MP4,bert,x",
        "sub\\c.mp4,carl",
        decomposed,
    ]
    table = tmp_path / "p.CSV"
    table.write_bytes("\r\n".join(row.replace(",", comma) for row in rows).encode(encoding))
    files = [f"a{comma} b.mp4", "Clip.mp4", "x/sub/c.mp4", "josé.mp4"]
    annotations, warnings = annotated(files, persons=str(table))
    assert list(annotations.person.values()) == ["anna", "bert", "carl", "dora"] and not warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,person\na.mp4\n", r"p\.csv, row 2, has 1 cells, not 2"),
        ("person,file\nanna,a.mp4\nbert,\n", r"p\.csv, row 3, names no file"),
        ("file,person\na, b.mp4,anna\n", r"p\.csv, row 2, has 3 cells, not 2: write file,person"),
        ("file,person\na.mp4,anna\n\nA.mp4,bert\na.MP4,carl\n", r"p\.csv, row 5: another person of a\.mp4"),
        ("file,person\n\u7f8e.mp4,anna\n".encode("gbk"), r"p\.csv is no text in UTF-8 \(row 2\)"),
        ("file,person\n" + 200_000 * "a", r"p\.csv, row 2, cannot be read \(field larger"),
        ("file,name\na.mp4,anna\n", r"p\.csv must have the columns file, person"),
        ("", r"p\.csv is empty"),
    ],
)
def test_a_table_that_is_wrong_is_reported_with_its_row(tmp_path: pathlib.Path, text: str | bytes, message: str) -> None:
    (tmp_path / "p.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        person_namer(str(tmp_path / "p.csv"))


def test_rows_that_match_no_file_are_counted_and_named(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "felt.csv"
    table.write_text("file,emotion\na.mp4,happy\nnothere.mp4,sad\nx/y.mp4,sad\n")
    _, warnings = annotated(["a.mp4", "b.mp4"], emotions=str(table))
    assert warnings == [f"--emotions {table}: 2 of its rows match no video: nothere.mp4, x/y.mp4"]


@pytest.mark.parametrize("rules", [{"emotions": "path:_(ANG)_"}, {"persons": "path:^(id\\d+)/"}, {"persons": "name:(p\\d+)_"}])
def test_rules_that_match_nothing_are_mistakes(rules: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"names (nobody in|none of) 2 videos, such as a\.mp4"):
        annotated(["a.mp4", "b.mp4"], **rules)


def test_a_table_that_matches_nothing_is_a_mistake(tmp_path: pathlib.Path) -> None:
    (tmp_path / "p.csv").write_text("file,person,emotion\nnothere.mp4,anna,happy\n")
    for option in ("persons", "emotions"):
        with pytest.raises(UserError, match=rf"--{option} .*p\.csv names"):
            annotated(["a.mp4"], **{option: str(tmp_path / "p.csv")})


VOX = ["id1/vA/00001.mp4", "id1/vB/00001.mp4", "id2/vC/00001.mp4", "id2/vC/00002.mp4"]


def test_folders_that_a_rule_does_not_look_at_are_warned_about(tmp_path: pathlib.Path) -> None:
    """Two people become one where the rule looks only at names of files, or of the last folder."""
    annotations, [warning] = annotated(VOX)
    assert annotations.person[VOX[0]] == annotations.person[VOX[2]] == "00001"
    assert f"{VOX[0]} and {VOX[1]} have one name and are taken for one person" in warning and "--persons path:REGEX" in warning
    (tmp_path / "p.csv").write_text("file,person\n00001.mp4,anna\n")
    _, [warning] = annotated(["anna/a.mp4", "ben/a.mov", "ben/b.mp4"])
    assert "anna/a.mp4 and ben/a.mov have one name" in warning
    for rules, files in (
        ({"persons": str(tmp_path / "p.csv")}, VOX),
        ({"persons": "folder"}, ["a/front/1.mp4", "b/front/2.mp4"]),
    ):
        _, [warning] = annotated(files, **rules)
        assert f"{files[0]} and {files[1]} have one name" in warning
    annotations, warnings = annotated(VOX, persons=r"path:^(id\d+)/")
    assert list(annotations.person.values()) == ["id1", "id1", "id2", "id2"] and not warnings


def test_a_name_is_one_name_however_a_disk_spells_it() -> None:
    annotations, _ = annotated([unicodedata.normalize("NFD", "josé/1.mp4"), "josé/2.mp4"], persons="folder")
    assert set(annotations.person.values()) == {"josé"}
