"""Which cases there are: those written by hand, and as many damaged ones as are wanted. A seed gives the same ones again."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
from collections.abc import Callable, Iterator, Sequence

from tests.fuzz import seeds
from tests.fuzz.mutations import ODD_JSON, mutated
from tests.fuzz.readers import CHECKED, READERS, Case

FILES: dict[str, tuple[Callable[[pathlib.Path], list[pathlib.Path]], int]] = {
    "picture": (seeds.pictures, 12),
    "sound": (seeds.sounds, 12),
    "video": (seeds.videos, 14),
    "weights": (seeds.weights, 6),
    "torch": (seeds.torch_weights, 12),
    "motion": (seeds.motion, 5),
}
"""Kind → (what makes good files, share of the cases)."""

ODD_FILES = {"picture": seeds.odd_pictures, "weights": seeds.odd_weights, "torch": seeds.odd_torch}
"""Kind → what makes files by hand that are read as they are."""

FOLDERS: dict[str, tuple[Callable[[pathlib.Path], pathlib.Path], int]] = {
    "clips": (seeds.data_set, 10),
    "encoded": (seeds.encoded, 5),
    "export": (seeds.export, 7),
    "run": (seeds.run, 5),
}

TEXTS: dict[str, tuple[Sequence[str], Sequence[str], str, int]] = {
    "jobs": (seeds.JOBS, seeds.ODD_JOBS, "jobs.jsonl", 10),
    "persons": (seeds.PERSONS, seeds.ODD_TABLES, "persons.csv", 6),
    "felt": (seeds.FELT, seeds.ODD_TABLES, "felt.csv", 6),
    "boxes": (seeds.BOXES, seeds.ODD_BOXES, "boxes.csv", 6),
    "manifest": (seeds.MANIFEST, seeds.ODD_TABLES, "manifest.csv", 4),
    "metrics": (seeds.METRICS, seeds.ODD_METRICS, "metrics.jsonl", 5),
    "emotion": (seeds.EMOTIONS, seeds.ODD_EMOTIONS, "", 8),
    "rollout": (seeds.ROLLOUTS, seeds.ODD_ROLLOUTS, "", 4),
    "flags": (seeds.FLAGS, seeds.ODD_FLAGS, "", 6),
}
"""Kind → (good texts, odd ones, name of the file that holds it or "" where it is an argument, share)."""

KINDS = (*FILES, *FOLDERS, *TEXTS)
TABLES = ("persons", "felt", "manifest")


def make_cases(folder: pathlib.Path, count: int, seed: int, kinds: Sequence[str] = KINDS) -> Iterator[Case]:
    """Cases of some kinds, whose files lie in `folder`; `count` are shared out among all kinds."""
    whole = sum(row[-1] for table in (FILES, FOLDERS, TEXTS) for row in table.values())
    for kind in kinds:
        rng, place = random.Random(f"{seed} {kind}"), folder / kind
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        make, table = (of_files, FILES) if kind in FILES else (of_folders, FOLDERS) if kind in FOLDERS else (of_texts, TEXTS)
        yield from make(kind, place, -(-count * table[kind][-1] // whole), rng)


def digest(kind: str, path: pathlib.Path) -> str:
    """Of an undamaged original."""
    return READERS[kind](str(path)) if kind in CHECKED else ""


def of_files(kind: str, place: pathlib.Path, count: int, rng: random.Random) -> Iterator[Case]:
    """Odd files, then damaged copies of good ones."""
    for name in ("good", "odd"):
        (place / name).mkdir()
    yield from (Case(kind, str(file), "odd") for file in ODD_FILES.get(kind, lambda folder: [])(place / "odd"))
    good = FILES[kind][0](place / "good")
    digests = [digest(kind, file) for file in good]
    for i in range(count):
        source = good[i % len(good)]
        data, how = mutated(source.read_bytes(), rng)
        file = place / f"{i:04d}{source.suffix}"
        file.write_bytes(data)
        yield Case(kind, str(file), f"{source.name}: {how}", digests[i % len(good)])


def of_folders(kind: str, place: pathlib.Path, count: int, rng: random.Random) -> Iterator[Case]:
    """Copies of a good folder in which one file is damaged, missing, or something else."""
    (place / "good").mkdir()
    good = FOLDERS[kind][0](place / "good")
    files = sorted(path.relative_to(good) for path in good.rglob("*") if path.is_file())
    known = digest(kind, good)
    for i in range(count):
        copy, name = place / f"{i:04d}", rng.choice(files)
        shutil.copytree(good, copy, copy_function=os.link)
        yield Case(kind, str(copy), f"{name}: {_damage(copy / name, rng)}", known)


def _damage(file: pathlib.Path, rng: random.Random) -> str:
    """Damages a file, which other folders share until then; what was done."""
    data = file.read_bytes()
    file.unlink()
    how = rng.choice(("damaged", "damaged", "damaged", "missing", "empty", "noise", "a folder", "odd JSON"))
    if how == "damaged":
        data, how = mutated(data, rng)
    others = {"empty": b"", "noise": rng.randbytes(200), "odd JSON": rng.choice(ODD_JSON).encode()}
    if how == "a folder":
        file.mkdir()
    elif how != "missing":
        file.write_bytes(others.get(how, data))
    return how


def of_texts(kind: str, place: pathlib.Path, count: int, rng: random.Random) -> Iterator[Case]:
    """Odd texts, then damaged ones; tables in several encodings too."""
    good, odd, name, _ = TEXTS[kind]
    encodings = ("utf-8", "utf-16", "latin-1", "utf-8-sig") if kind in TABLES else ("utf-8",)
    written = [
        (text.encode(code, "replace" if code != "utf-8" else "surrogatepass"), code) for text in odd for code in encodings
    ]
    damaged = (mutated(rng.choice(good).encode(), rng) for _ in range(max(0, count - len(written))))
    for i, (data, how) in enumerate((*((text, f"odd {code}") for text, code in written), *damaged)):
        yield Case(kind, _given(place / f"{i:04d}", name, data), f"{how}: {data[:40]!r}")


def encoded(text: str, code: str) -> bytes:
    """Text in an encoding that may lack some of its letters."""
    return text.encode(code, "surrogatepass" if code == "utf-8" else "replace")


def _given(place: pathlib.Path, name: str, data: bytes) -> str:
    """The path of a file that holds the data; where no file is wanted, the data as text."""
    if not name:
        return data.decode("latin-1")
    place.mkdir()
    (place / name).write_bytes(data)
    return str(place / name)
