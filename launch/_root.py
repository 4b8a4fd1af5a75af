"""Imported first by every program here: it finds the project without installing it, and settles how JAX compiles.

It also settles what is the same in all of them: ~ is the home folder wherever a path may stand, names of files that are no
UTF-8 can be printed, and Ctrl-C ends the imports that follow without a traceback.
"""

import contextlib
import pathlib
import sys
from types import TracebackType

ROOT = pathlib.Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


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
