"""Eight simulated devices, shape-checked signatures, a compilation cache shared by all tests and their subprocesses."""

from __future__ import annotations

import gc
import os
import pathlib
import tempfile

# Modules, collected tests and traced programs stay to the end; the collector would go through all of them again and again.
gc.set_threshold(100_000, 20, 20)

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(tempfile.gettempdir()) / "xactor_jax_test_cache"))
# Small programs, too: the tests' processes run the same hundreds.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# The suite compiles more than it computes: without LLVM's optimisation it takes some 40 % less of the processor, and with the
# older code generator and one module for a program again as much less (which with optimisation would take far longer).
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("XLA_FLAGS", f"{QUICK} --xla_cpu_experimental_ynn_fusion_type=")
# The products are small, and the cores have other tests to run.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from jaxtyping import install_import_hook

install_import_hook("xactor_jax", "beartype.beartype").__enter__()

import jax
import numpy as np
import pytest

from xactor_jax.threads import use_one_thread

use_one_thread()

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def pytest_collection_finish() -> None:
    """Takes what importing and collecting has made out of the collector's sight."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """Root of the checkout, from which the launch programs run."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder of real clips named by XACTOR_REAL_DATA; tests that need it skip where it is absent."""
    folder = os.environ.get("XACTOR_REAL_DATA", "")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("XACTOR_REAL_DATA names no folder")
    return pathlib.Path(folder)
