from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.settings import (
    SHARE,
    Flag,
    Range,
    Several,
    Text,
    check_config,
    check_divides,
    check_fields,
    choice,
    described,
    ranges,
    real,
    setting,
    to_config,
    whole,
)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "said"),
    [
        (whole(1), (1, 10**12), (0, -1, 1.0, True, "1", math.inf), "a whole number from 1 on"),
        (whole(1, 9, extra=(-1,)), (1, 9, -1), (0, 10, -2), "a whole number from 1 to 9, or -1"),
        (real(), (0.0, 3), (-1e-9, math.nan, math.inf, False, "x"), "a number from 0.0 on"),
        (real(0.0, 1.0, above=True), (1.0, 1e-9), (0.0, 1.1), "a number above 0.0 to 1.0"),
        (real(0.0, 1.0, below=True), (0.0, 0.99), (1.0,), "a number from 0.0 to below 1.0"),
        (real(0.0, above=True), (1e30,), (0.0, math.nan), "a number above 0.0"),
        (SHARE, (0, 1), (1.5, 2), "a number from 0.0 to 1.0"),
        (choice({"l1": 0, "mse": 1}), ("l1", "mse"), ("L1", "", 1), "l1 or mse"),
        (choice(("a", "b", "c")), ("c",), ("d",), "a, b or c"),
        (choice(("", "a")), ("",), ("b",), '"" or a'),
        (Several(whole(1)), ((1, 2), [3]), ((), (0,), (1, 0), 1), "at least 1 of these, with commas: a whole number from 1 on"),
        (Flag(), (True, False), (1, "yes"), "True or False"),
        (Text(), ("", "x"), (1,), "a text"),
    ],
)
def test_ranges(allowed: Range, inside: tuple[Any, ...], outside: tuple[Any, ...], said: str) -> None:
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == said


@dataclasses.dataclass(frozen=True)
class Steps:
    steps: int = setting(4, whole(1, 10), "denoising steps")
    name: str = "free"

    def __post_init__(self) -> None:
        check_fields(self, "render")


def test_a_class_checks_its_fields_and_names_the_setting() -> None:
    assert Steps(10).steps == 10 and Steps().steps == 4 and list(ranges(Steps)) == ["steps"]
    with pytest.raises(UserError, match=r"^render\.steps=0 is not possible: use a whole number from 1 to 10\.$"):
        Steps(0)


def test_a_config_is_checked_by_sections_and_may_lack_some() -> None:
    config = ConfigDict({"steps": 3, "inner": {"render": {"steps": 11, "name": ""}}})
    check_config(config, {"": Steps, "other": Steps, "inner.other": Steps})
    with pytest.raises(UserError, match=r"^--config\.inner\.render\.steps=11 is not possible: use a whole number from 1 to 10"):
        check_config(config, {"": Steps, "inner.render": Steps})
    config.steps = 0
    with pytest.raises(UserError, match=r"^--config\.steps=0 "):
        check_config(config, {"": Steps})


def test_sizes_that_do_not_divide_are_both_named() -> None:
    check_divides("width", (8, 16), "heads", 4)
    with pytest.raises(UserError, match="width=6 is not a multiple of heads=4: change one of them"):
        check_divides("width", (8, 6), "heads", 4)


def test_a_config_has_the_defaults_of_its_sections_or_those_of_a_stage() -> None:
    config = to_config({"": Steps, "inner.render": Steps(7), "inner": Steps})
    assert config.to_dict() == {"steps": 4, "inner": {"steps": 4, "render": {"steps": 7}}}
    with pytest.raises(TypeError):
        config.steps = "many"


def test_a_setting_is_described_by_its_value_its_meaning_and_its_range() -> None:
    config = ConfigDict({"steps": 3, "render": {"steps": 9}})
    assert list(described(config, {"": Steps, "render": Steps})) == [
        "steps = 3  (a whole number from 1 to 10)",
        "    denoising steps",
        "",
        "render.steps = 9  (a whole number from 1 to 10)",
        "    denoising steps",
        "",
    ]
