"""The program that damages input, and a few of its cases; thousands are read by `make fuzz`."""

from __future__ import annotations

import pathlib
import random

import pytest

from tests.fuzz import readers
from tests.fuzz.__main__ import FINE, alike
from tests.fuzz.cases import make_cases
from tests.fuzz.mutations import WAYS, mutated
from tests.fuzz.readers import Case, judged
from xactor_jax.errors import UserError

QUICK = ("torch", "motion", "clips", "jobs", "metrics", "emotion")


def test_every_way_damages_and_a_seed_gives_the_same_again() -> None:
    data = bytes(range(256)) * 16
    drawn = [mutated(data, random.Random(seed)) for seed in range(300)]
    assert drawn == [mutated(data, random.Random(seed)) for seed in range(300)]
    assert {how.rsplit(" ", 1)[0] for _, how in drawn} == set(WAYS)
    assert sum(damaged != data for damaged, _ in drawn) > 280


def test_a_few_cases_are_read_or_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cases = list(make_cases(tmp_path, 60, 0, QUICK))
    assert {case.kind for case in cases} == set(QUICK)
    verdicts = [(case, judged(case)) for case in cases]
    assert [(case, verdict) for case, verdict in verdicts if verdict[0] not in FINE] == []
    assert {verdict[0] for _, verdict in verdicts} == set(FINE)


def raising(error: Exception) -> str:
    raise error


@pytest.mark.parametrize(
    ("read", "verdict", "message"),
    [
        (lambda _: raising(UserError("this is wrong: do that.")), "refused", "this is wrong"),
        (lambda _: raising(UserError("two\nlines")), "unclear", "two"),
        (lambda _: raising(ZeroDivisionError("division")), "traceback", "ZeroDivisionError: division"),
        (lambda _: "other", "garbage", "other numbers"),
        (lambda _: "same", "read", "same"),
    ],
)
def test_what_counts_as_a_fault(monkeypatch: pytest.MonkeyPatch, read: object, verdict: str, message: str) -> None:
    monkeypatch.setitem(readers.READERS, "odd", read)
    found = judged(Case("odd", "given", "how", digest="same"))
    assert found[0] == verdict and message in found[1]


def test_faults_in_one_place_are_reported_once() -> None:
    case = Case("jobs", "x", "cut")._asdict()
    faults = [{**case, "verdict": "traceback", "message": f"a.py:{line}: KeyError: {i}"} for i, line in enumerate((7, 7, 8))]
    assert [line[:21] for line in alike(faults)] == ["2 × traceback, jobs '", "1 × traceback, jobs '"]
