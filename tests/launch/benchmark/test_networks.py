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
from xactor_jax.motion.networks import make_encoder

SMALL = ("--preset", "puppets", "--side", "8")


SIZES = ["encoder", pytest.param("encoder,denoiser,denoiser+bank", marks=pytest.mark.slow)]


@pytest.mark.parametrize("networks", SIZES)
def test_networks_are_measured_and_written(tmp_path: pathlib.Path, networks: str) -> None:
    file = tmp_path / "sizes.json"
    done = run_here("benchmark/networks.py", *SMALL, "--networks", networks, "--json", file)
    assert done.returncode == 0, done.stderr
    rows = {row["network"]: row for row in json.loads(file.read_text())}
    assert list(rows) == networks.split(",") and all(name in done.stdout for name in rows) and "GFLOP/s" in done.stdout
    assert all(row["s"] > 0 and row["largest GiB"] > 0 and row["GFLOP"] > 0 for row in rows.values())
    weights = jax.eval_shape(make_encoder(get_config()).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert rows["encoder"]["parameters"] == sum(x.size for x in jax.tree.leaves(weights))
    if "denoiser" in rows:
        plain, with_bank = rows["denoiser"], rows["denoiser+bank"]
        assert plain["parameters"] == with_bank["parameters"] > 0
        # Four attentions over 16 cells of 64 features read 16 more each: two linear maps of them, and twice the products.
        bank = 4 * (2 * 2 * 16 * 64 * 64 + 2 * 2 * 16 * 16 * 64)
        assert with_bank["GFLOP"] - plain["GFLOP"] == pytest.approx(1e-9 * bank)


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
