"""What a process of its own copies to the local disk; a module that starts in no time."""

from __future__ import annotations

from typing import Any

from data import records
from data.staging import StagedFolder, Staging


def read_all(path: str, root: str, barrier: Any) -> tuple[list[str], int]:
    """Names of all clips of the training split, in order, and how many of its shards this process has copied."""
    made: list[str] = []
    copy = StagedFolder._copy
    StagedFolder._copy = lambda self, name: (made.append(name), copy(self, name))[1]
    barrier.wait(60)
    clips = [record["clip"] for record in records.open_clips(path, "train", Staging(root))]
    return clips, len([name for name in made if "train" in name])
