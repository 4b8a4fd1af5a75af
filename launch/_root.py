"""Every program imports this first. It chooses how JAX compiles, which must happen before JAX is imported.

It also prepares what all programs need: ~ in arguments is replaced by the home folder, file names that are not UTF-8 can be
printed, and Ctrl-C during the following imports ends the program without a traceback.
"""

import contextlib
import pathlib
import sys
from types import TracebackType

ROOT = pathlib.Path(__file__).resolve().parents[1]
"""The folder that holds configs/, data/, launch/ and xactor_jax/."""


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    late = "Event loop is closed"  # raised in TensorStore's threads after a failed write, which is reported by itself
    if str(error) != late and not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
with contextlib.suppress(AttributeError):  # if stdout is not a file
    sys.stdout.reconfigure(errors="backslashreplace")

from xactor_jax.compilation import choose_kernels, keep_compiled  # noqa: E402
from xactor_jax.paths import at_home  # noqa: E402

sys.argv[1:] = map(at_home, sys.argv[1:])
keep_compiled()
choose_kernels()
