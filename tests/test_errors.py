from __future__ import annotations

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
