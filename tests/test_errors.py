from __future__ import annotations

import logging

import gcsfs
import grain
import pytest

from xactor_jax.errors import UserError, exit_on_user_error


def refuse(x: int) -> int:
    raise UserError(f"the record {x} cannot be used: remove it.")


def test_what_is_wrong_inside_a_pipeline_is_one_line_too(capsys: pytest.CaptureFixture) -> None:
    batches = iter(grain.MapDataset.source([3]).map(refuse).to_iter_dataset())
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        next(batches)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: the record 3 cannot be used: remove it.\n"


def test_a_store_out_of_reach_is_one_line(capsys: pytest.CaptureFixture) -> None:
    """Its package logs the error at length before it raises it."""
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        logging.getLogger("gcsfs").exception("out of retries")
        raise gcsfs.retry.HttpError({"code": 401, "message": "Invalid credentials\nsecond line"})
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and len(printed.splitlines()) == 1
    assert printed.startswith(
        "error: the object store refuses the request or cannot be reached (HttpError: Invalid credentials"
    )


def written_to_a_full_disk(how: str) -> None:
    """`/dev/full` says what a full disk says; libraries report it in their own words."""
    if how == "only as text":
        raise ValueError("RESOURCE_EXHAUSTED: Error writing x: No space left on device [OS error 28: ENOSPC]")
    try:
        with open("/dev/full", "w") as file:
            file.write("x")
    except OSError as error:
        if how == "as it comes":
            raise
        raise UserError(f"x cannot be written ({error}): check the place.") from None


@pytest.mark.parametrize("how", ["as it comes", "as an error of the user's", "only as text"])
def test_a_full_disk_is_one_sentence_with_status_1(capsys: pytest.CaptureFixture, how: str) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        written_to_a_full_disk(how)
    said = capsys.readouterr().err
    assert ended.value.code == 1 and said.startswith("error: ") and said.count("\n") == 1 and "No space left" in said


def test_errors_of_the_program_are_shown_whole() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_user_error():
        print(1 / 0)
