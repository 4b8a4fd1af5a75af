from __future__ import annotations

import os
import signal
import time

import pytest

from xactor_jax.training.interruption import interruption
from xactor_jax.training.progress import clock, describe, progress


def test_the_line() -> None:
    scalars = {"loss": 0.123456, "steps_per_second": 4.0, "data_wait": 0.256}
    expected = "step 20/1000 · loss 0.1235 · 4.00 steps/s · waiting for data 26 % · 4:05 left"
    assert describe(20, 1000, scalars) == expected
    assert " · 4.00 steps/s · 41 % of the peak · waiting" in describe(20, 1000, {**scalars, "utilisation": 0.408})
    assert describe(1, 10, {"loss": 1.0}).endswith("? left")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65.0, "1:05"), (3723.0, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, True) as show:
        show(5, {"loss": 2.0, "steps_per_second": 1.0})
    assert capsys.readouterr().err == "step 5/10 · loss 2 · 1.00 steps/s · waiting for data 0 % · 0:05 left\n"


def test_silent_when_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, False) as show:
        show(5, {"loss": 2.0})
    assert capsys.readouterr().err == ""


def test_a_live_line_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with progress(10, True) as show:
        show(5, {"loss": 2.0, "steps_per_second": 1.0})
    assert "step 5/10 · loss 2" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_stored_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruption() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interruption():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
