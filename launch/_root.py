"""Imported first by every program: it chooses how JAX compiles, before JAX is imported.

It also does what all programs need: ~ is the home folder wherever a path may stand, file names that are not UTF-8 can be
printed, and Ctrl-C during the imports that follow ends the program without a traceback.
"""

import contextlib
import pathlib
import sys
from types import TracebackType

ROOT = pathlib.Path(__file__).resolve().parents[1]
"""The folder that holds configs/, data/, launch/ and xactor_jax/."""


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    late = "Event loop is closed"  # to TensorStore's threads, when a write has failed, which is told of by itself
    if str(error) != late and not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _told
with contextlib.suppress(AttributeError):  # of a stream that is no file
    sys.stdout.reconfigure(errors="backslashreplace")

from xactor_jax.compilation import choose_kernels, keep_compiled  # noqa: E402
from xactor_jax.paths import at_home  # noqa: E402

sys.argv[1:] = map(at_home, sys.argv[1:])
keep_compiled()
choose_kernels()
