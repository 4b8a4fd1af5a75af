"""Reads thousands of damaged and odd inputs, as the programs do, and reports what ended otherwise than in a sentence.

    python -m tests.fuzz --out build/fuzz                       # 2,400 cases of all kinds
    python -m tests.fuzz --out build/fuzz --kinds torch,jobs --cases 20000 --seed 7
    python -m tests.fuzz --read jobs build/fuzz/jobs/0003/jobs.jsonl    # one of them, with its traceback

Every case should be read or refused. Faults are tracebacks, messages of more than a sentence, other numbers than were written
where there is a checksum, numbers that are not finite, more memory than a GiB, more time than --timeout, and crashes; with one
of them the exit status is 1. Cases are read in a few processes, and in a fresh one after a crash.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time
from collections import Counter
from collections.abc import Iterator

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from data.jobs import run_jobs
from tests.fuzz.cases import KINDS, make_cases
from tests.fuzz.readers import READERS, Case, Verdict, read_case

FINE = ("read", "refused")
VERDICTS = (*FINE, "traceback", "unclear", "garbage", "memory", "time", "crash")


def parse() -> argparse.Namespace:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--out", type=pathlib.Path, default=pathlib.Path("build/fuzz"), help="folder of the cases and of faults.jsonl")
    add("--cases", type=int, default=2400, help="of all kinds together")
    add("--seed", type=int, default=0, help="another seed, other cases")
    add("--kinds", default=",".join(KINDS), help="with commas")
    add("--processes", type=int, default=os.cpu_count() or 1)
    add("--timeout", type=float, default=60.0, help="seconds for one case")
    add("--read", nargs=2, metavar=("KIND", "GIVEN"), help="read one case here")
    return about.parse_args()


def read_all(cases: list[Case], processes: int, timeout: float) -> Iterator[tuple[Case, Verdict]]:
    """Cases with what became of them, as they end."""
    for outcome in run_jobs(read_case, cases, processes=processes, timeout=timeout):
        slow = "longer than" in outcome.failure
        yield outcome.job, outcome.result or Verdict("time" if slow else "crash", outcome.failure)


def alike(faults: list[dict]) -> Iterator[str]:
    """A line for the faults of a kind that came up in the same place: how many, and one of them."""
    place = lambda fault: (fault["kind"], fault["verdict"], fault["message"].split(" ")[0])
    for key, number in Counter(map(place, faults)).items():
        fault = next(fault for fault in faults if place(fault) == key)
        yield f"{number} × {key[1]}, {key[0]} {fault['given'][:100]!r} ({fault['how'][:80]}): {fault['message']}"


def table(counts: Counter[tuple[str, str]], kinds: list[str]) -> str:
    """How many cases of each kind ended in each way."""
    rows = [("", *VERDICTS), *((kind, *(str(counts[kind, verdict] or "") for verdict in VERDICTS)) for kind in kinds)]
    rows.append(("all", *(str(sum(counts[kind, verdict] for kind in kinds)) for verdict in VERDICTS)))
    return "\n".join(f"{row[0]:10}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def main() -> None:
    """Makes the cases, reads them, and reports."""
    arguments = parse()
    if arguments.read:
        print(READERS[arguments.read[0]](arguments.read[1]))
        return
    kinds, start = arguments.kinds.split(","), time.monotonic()
    cases = list(make_cases(arguments.out.absolute(), arguments.cases, arguments.seed, kinds))
    counts, faults = Counter(), []
    for case, verdict in read_all(cases, arguments.processes, arguments.timeout):
        counts[case.kind, verdict.verdict] += 1
        faults += [] if verdict.verdict in FINE else [{**case._asdict(), **verdict._asdict()}]
    (arguments.out / "faults.jsonl").write_text("".join(json.dumps(fault) + "\n" for fault in faults))
    print("\n".join(alike(faults)))
    print(table(counts, kinds))
    print(f"{len(cases)} cases in {time.monotonic() - start:.0f} s; {len(faults)} faults, in {arguments.out}/faults.jsonl")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
