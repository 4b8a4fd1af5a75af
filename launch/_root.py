"""Imported first by every program here: it finds the project without installing it, and settles how JAX compiles."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from xactor_jax.compilation import choose_kernels, keep_compiled  # noqa: E402

keep_compiled()
choose_kernels()
