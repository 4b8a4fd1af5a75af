"""Imported first by every program here, so that `python launch/X.py` finds the project's packages without installing them."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
