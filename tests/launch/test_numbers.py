from __future__ import annotations

import argparse

import pytest

from launch._numbers import check_numbers
from xactor_jax.errors import UserError
from xactor_jax.settings import real, whole

ALLOWED = {"people": whole(1), "minutes": real(0.02, 1_000.0), "steps": whole(1)}


def test_options_in_their_ranges_pass_and_so_do_those_left_out() -> None:
    check_numbers(argparse.Namespace(people=1, minutes=0.5, steps=None), ALLOWED)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"people": 0}, "--people=0 is not possible: use a whole number from 1 on."),
        ({"minutes": float("nan")}, "--minutes=nan is not possible: use a number from 0.02 to 1000.0."),
        ({"minutes": float("inf")}, "--minutes=inf is not possible"),
        ({"steps": -1}, "--steps=-1 is not possible"),
    ],
)
def test_options_outside_are_named(changed: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}"):
        check_numbers(argparse.Namespace(**{"people": 1, "minutes": 1.0, "steps": 1, **changed}), ALLOWED)
