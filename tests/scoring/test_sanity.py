"""Checks say what was reproduced, what was not, and why."""

from __future__ import annotations

import dataclasses

import pytest
from ml_collections import ConfigDict

from tests.scoring.fakes import BRIGHTNESS, DIFFERENCE, FAR
from tests.scoring.videos import write_clip
from xactor_jax.evaluation.metrics import SSIM_C1
from xactor_jax.scoring.files import open_video
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.sanity import CHECKS, EXAMPLE, Check, black_and_white, run_checks
from xactor_jax.scoring.video import Case

BLACK = Check(
    protocol="aligned", what="black and white", source="arithmetic", expected={"difference": -255.0}, tolerance=0.1,
    find=black_and_white,
)  # fmt: skip


def of_file(protocol, network, file):
    return protocol.measure(Case(open_video("example", file)), network).values


FILE = Check(
    protocol="bright", what="a file", source="arithmetic", expected={"brightness": 52.0}, tolerance=1.0, find=of_file,
    file=EXAMPLE,
)  # fmt: skip


def test_what_is_reproduced_and_what_is_not(tmp_path):
    wrong = dataclasses.replace(BLACK, expected={"difference": -254.0})
    files = {EXAMPLE: str(write_clip(tmp_path / "example.mp4"))}
    right, off, of_a_file = run_checks((BLACK, wrong, FILE), [BRIGHTNESS, DIFFERENCE], {}, files)
    assert (right.passed, off.passed, of_a_file.passed) == (True, False, True)
    assert str(right) == "aligned of black and white: published difference -255 (arithmetic); on this machine difference -255."
    assert str(off).endswith("on this machine difference -255, which is WRONG.")


def test_what_cannot_be_checked_says_why():
    weights = dataclasses.replace(BLACK, protocol="far")
    without_weights, without_file = run_checks((weights, FILE), [FAR, BRIGHTNESS], {}, {})
    assert "not checked on this machine: weights of the kind lpips were not given" in str(without_weights)
    assert "not checked on this machine: its file was not given (--example_avi FILE)" in str(without_file)
    (damaged,) = run_checks((dataclasses.replace(FILE, find=lambda *_: 1 / 0),), [BRIGHTNESS], {}, {EXAMPLE: "x"})
    assert str(damaged).endswith("not checked on this machine: ZeroDivisionError: division by zero.")
    assert run_checks((weights,), [BRIGHTNESS], {"lpips": Network(ConfigDict(), 1.0, "")}, {}) == []


def test_the_published_ssim_is_its_formula():
    (ssim,) = (check for check in CHECKS if "ssim" in check.expected)
    assert ssim.expected["ssim"] == pytest.approx(SSIM_C1 / (255**2 + SSIM_C1), abs=ssim.tolerance)
