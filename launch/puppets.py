"""Makes the embedded data set of puppets, or a picture of some of them.

python launch/puppets.py --out DIR --persons 48 --clips-per-person 4 --seconds 5 --size 64 --seed 0 --processes 2
python launch/puppets.py --contact_sheet FILE.png
"""

from __future__ import annotations

import argparse
import os

import _root  # noqa: F401  (puts the project on the path)

from xactor_jax.errors import UserError, exit_on_user_error


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="folder of the data set, local or gs://; must not exist")
    parser.add_argument("--contact_sheet", help="PNG file of people (rows) and expressions (columns)")
    parser.add_argument("--persons", type=int, default=48)
    parser.add_argument("--clips-per-person", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def main() -> None:
    """Runs the command line."""
    args = _parse()
    with exit_on_user_error():
        if not args.out and not args.contact_sheet:
            raise UserError("nothing to make: give --out DIR for a data set or --contact_sheet FILE.png for a picture.")
        if args.contact_sheet:
            from data.performers.sheet import write_contact_sheet

            write_contact_sheet(args.contact_sheet, args.seed, min(args.persons, 12), args.size)
        if args.out:
            from data.performers.build import build

            build(args.out, args.persons, args.clips_per_person, args.seconds, args.size, args.seed, args.processes)


if __name__ == "__main__":
    main()
