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
    """Its package tells of the error at length before it raises it."""
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        logging.getLogger("gcsfs").exception("out of retries")
        raise gcsfs.retry.HttpError({"code": 401, "message": "Invalid credentials\nsecond line"})
    told = capsys.readouterr().err
    assert ended.value.code == 2 and len(told.splitlines()) == 1
    assert told.startswith("error: the object store does not do what it is asked (HttpError: Invalid credentials")


def test_other_errors_are_the_programs_own() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_user_error():
        raise ZeroDivisionError
