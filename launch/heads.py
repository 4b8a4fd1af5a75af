"""Makes the embedded data set of heads, people rendered in three dimensions; or pictures of some of them, or a clip with sound.

python launch/heads.py --out DIR --persons 48 --clips-per-person 4 --seconds 5 --size 128 --seed 0 --processes 2
python launch/heads.py --sheet FILE.png --persons 100 --size 128
python launch/heads.py --contact_sheet FILE.png
python launch/heads.py --clip FILE.mp4 --person 3 --seconds 10 --size 256 [--voice formant]
"""

from __future__ import annotations

import _root  # noqa: F401  (puts the project on the path)

from launch._performers import run

if __name__ == "__main__":
    run(__doc__, "heads")
