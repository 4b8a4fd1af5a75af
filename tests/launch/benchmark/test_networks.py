"""The benchmark as a person starts it, on small networks."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from configs.motion import get_config
from tests.launch.programs import run_here
from xactor_jax.motion.model import make_encoder


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/benchmark/networks.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_networks_are_measured_and_written(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "sizes.json"
    small = ("--preset", "puppets", "--side", "8", "--networks", "encoder,denoiser,denoiser+bank", "--json", str(file))
    done = run(*small)
    assert done.returncode == 0, done.stderr
    encoder, alone, with_bank = json.loads(file.read_text())
    weights = jax.eval_shape(make_encoder(get_config()).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert encoder["parameters"] == sum(x.size for x in jax.tree.leaves(weights)) and encoder["GFLOP"] > 0
    assert (alone["network"], with_bank["network"]) == ("denoiser", "denoiser+bank")
    assert alone["parameters"] == with_bank["parameters"] > 0 and alone["s"] > 0 and alone["largest GiB"] > 0
    # Four attentions over 16 cells of 64 features read 16 more each: two linear maps of them, and twice the products.
    bank = 4 * (2 * 2 * 16 * 64 * 64 + 2 * 2 * 16 * 16 * 64)
    assert with_bank["GFLOP"] - alone["GFLOP"] == pytest.approx(1e-9 * bank)
    assert "denoiser+bank" in done.stdout and "GFLOP/s" in done.stdout


@pytest.mark.parametrize(
    "wrong, said",
    [
        (["--networks", "decoder"], "no network 'decoder'"),
        (["--repeats", "0"], "--repeats"),
        (["--preset", "huge", "--networks", "denoiser"], "huge"),
    ],
)
def test_mistakes_end_in_one_sentence(wrong: list[str], said: str) -> None:
    done = run_here("benchmark/networks.py", *wrong)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
