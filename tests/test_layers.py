"""Every import leads to the same layer or to a lower one, as the table in docs/architecture.md has them."""

from __future__ import annotations

import ast
import functools
import pathlib
import re
from collections.abc import Iterator

from tests.conftest import REPOSITORY


def layers() -> dict[str, int]:
    """Folder → layer, by the table."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) [^|]*\| ([^|]*) \|", text, re.M)
    return {folder: int(layer) for layer, folders in rows for folder in re.findall(r"`([\w/]+)`", folders)}


LAYERS = layers()


def folder_of(path: str) -> str:
    """The longest folder of the table in which a path lies."""
    return max((folder for folder in LAYERS if f"{path}/".startswith(f"{folder}/")), key=len)


def modules(file: pathlib.Path) -> Iterator[str]:
    """What a file imports of the project, as paths."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@functools.cache
def target(module: str) -> str | None:
    """The folder of the table that an imported name is in; None for those of other projects."""
    path = module.replace(".", "/")
    if path.split("/")[0] not in LAYERS:
        return None
    is_module = (REPOSITORY / path).is_dir() or (REPOSITORY / f"{path}.py").is_file()
    return folder_of(path if is_module else path.rpartition("/")[0])


def arrows() -> Iterator[tuple[str, str, str]]:
    """(file, its folder, folder of what it imports)."""
    for root in {folder.split("/")[0] for folder in LAYERS}:
        for file in (REPOSITORY / root).rglob("*.py"):
            name = str(file.relative_to(REPOSITORY))
            if name != "xactor_jax/__init__.py":  # it imports `Pipeline` when it is first used
                yield from ((name, folder_of(name.removesuffix(".py")), found) for m in modules(file) if (found := target(m)))


def test_no_import_leads_to_a_higher_layer() -> None:
    found = list(arrows())
    assert {own for _, own, _ in found} == set(LAYERS)
    assert [(file, other) for file, own, other in found if LAYERS[other] > LAYERS[own]] == []


def test_no_two_folders_import_each_other() -> None:
    pairs = {(own, other) for _, own, other in arrows() if own != other}
    assert [pair for pair in pairs if pair[::-1] in pairs] == []


def test_the_trainer_and_the_stages_do_not_import_each_other() -> None:
    trainer, stages = "xactor_jax/training", {"xactor_jax/motion", "xactor_jax/actor", "xactor_jax/video"}
    pairs = {(own, other) for _, own, other in arrows()}
    assert not pairs & ({(trainer, stage) for stage in stages} | {(stage, trainer) for stage in stages})
