"""Makes a data set of heads (people rendered in three dimensions), or pictures of some of them, or a clip with sound.

python launch/heads.py --out DIR --persons 48 --clips-per-person 4 --seconds 5 --size 128 --seed 0 --processes 2
python launch/heads.py --sheet FILE.png --persons 100 --size 128
python launch/heads.py --contact_sheet FILE.png
python launch/heads.py --clip FILE.mp4 --person 3 --seconds 10 --size 256 [--voice formant]
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._performers import run


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    run(__doc__, "heads")


if __name__ == "__main__":
    main()
