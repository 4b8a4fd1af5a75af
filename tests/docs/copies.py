"""A copy of the project, in which tests follow the documents."""

from __future__ import annotations

import pathlib
import shutil

FOLDERS = ("xactor_jax", "configs", "launch", "data")


def copy_project(repository: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copies the code into `folder`. The embedded checkpoints and voices are a link, because they are large."""
    for name in FOLDERS:
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    (folder / "launch" / "assets").symlink_to(repository / "launch" / "assets")
    (folder / "data" / "assets").symlink_to(repository / "data" / "assets")
    return folder
