"""Compiled programs are kept in the user's cache folder, or where and if the user says; a CPU computes with XLA's kernels."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from xactor_jax.compilation import FOLDER, KERNELS, SWITCH, choose_kernels, keep_compiled, processor

COMPILE = """
import sys
sys.path.insert(0, ".")
from launch import _root
import jax, jax.numpy as jnp
from jax._src import monitoring
hits = []
monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
values = jax.jit(lambda x: jnp.sin(x @ x).sum())(jnp.arange(64.0).reshape(8, 8))
print(bool(hits), values.tobytes().hex())
"""


def test_in_the_cache_folder_of_the_user(tmp_path: pathlib.Path) -> None:
    for environ in ({"HOME": str(tmp_path / "home")}, {"HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path / "cache")}):
        keep_compiled(environ)
        assert pathlib.Path(environ[FOLDER]).is_dir()
        assert environ[FOLDER].startswith((str(tmp_path / "home" / ".cache" / "xactor_jax"), str(tmp_path / "cache")))


@pytest.mark.parametrize("value", ["0", "false", "False", "off"])
def test_the_switch(value: str, tmp_path: pathlib.Path) -> None:
    environ = {SWITCH: value, "HOME": str(tmp_path)}
    keep_compiled(environ)
    assert FOLDER not in environ and not any(tmp_path.iterdir())


def test_a_folder_that_is_named_stays(tmp_path: pathlib.Path) -> None:
    environ = {FOLDER: "gs://bucket/compiled", "HOME": str(tmp_path)}
    keep_compiled(environ)
    assert environ[FOLDER] == "gs://bucket/compiled" and not any(tmp_path.iterdir())


def test_nothing_where_no_folder_can_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    keep_compiled(environ)
    assert FOLDER not in environ


def test_another_processor_has_another_folder(tmp_path: pathlib.Path) -> None:
    for name, flags in (("a", "avx2"), ("b", "avx2 avx512f")):
        (tmp_path / name).write_text(f"model name\t: X\nflags\t\t: fpu {flags}\n")
    assert processor(tmp_path / "a") != processor(tmp_path / "b")
    assert processor(tmp_path / "a") == processor(tmp_path / "a")


def test_a_program_finds_what_another_compiled_and_gives_the_same_bits(tmp_path: pathlib.Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != FOLDER}
    environ |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    run = lambda: (
        subprocess.run([sys.executable, "-c", COMPILE], env=environ, capture_output=True, text=True, check=True).stdout
    )
    (first, bits), (second, again) = run().split(), run().split()
    assert (first, second) == ("False", "True") and bits == again
    kept = list((tmp_path / "xactor_jax").rglob("jit_*"))
    for file in kept:  # as a process leaves them that was killed while it wrote
        file.write_bytes(file.read_bytes()[:100])
    assert kept and run().split() == ["False", bits]


@pytest.mark.parametrize("given", [None, "", "--xla_dump_to=/tmp/x"])
def test_kernels_are_set_beside_the_user_s_flags(given: str | None) -> None:
    environ = {} if given is None else {"XLA_FLAGS": given}
    choose_kernels(environ, "0.10.2")
    assert environ["XLA_FLAGS"].split() == [*(given or "").split(), f"{KERNELS}="]


@pytest.mark.parametrize(
    ("given", "version"), [(f"{KERNELS}=LIBRARY_FUSION_TYPE_DOT", "0.10.2"), ("", "0.11.0"), ("", "0.9.2")]
)
def test_no_kernels_are_set_where_the_user_chose_or_xla_may_not_know_them(given: str, version: str) -> None:
    environ = {"XLA_FLAGS": given}
    choose_kernels(environ, version)
    assert environ["XLA_FLAGS"] == given


def test_a_program_computes_with_the_kernels_of_xla() -> None:
    compiled = COMPILE.partition("from jax._src")[0] + "x = jnp.ones((256, 256))\n"
    compiled += "print('ynn' in jax.jit(jnp.matmul).lower(x, x).compile().as_text())"
    for flags, there in ((f"{KERNELS}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT", "True"), ("", "False")):
        environ = {**os.environ, "XLA_FLAGS": flags}
        done = subprocess.run([sys.executable, "-c", compiled], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == there
