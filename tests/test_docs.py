"""What README and docs name is there: links lead somewhere, files and functions exist, commands can be typed as they stand.

A command is parsed by the program that it names, with that program's own parser; nothing is run.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence

import pytest
from absl import flags
from ml_collections import config_flags

from configs.stages import check
from tests.conftest import REPOSITORY
from xactor_jax.training import experiment

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
PLACES = ("configs", "data", "docs", "launch", "tests", "xactor_jax")
STUBS = """
cd() { :; }
command_not_found_handle() { printf '%s\\0' "$@" >&3; printf '\\n' >&3; }
script() { command_not_found_handle script "$@"; }
PATH=/nowhere
"""
"""Shell under which every command says its words in place of being run."""


def blocks(text: str) -> list[str]:
    """Shell in fences."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def unfenced(text: str) -> str:
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def spans(text: str) -> list[str]:
    """Code inside lines, joined where it goes on in the next line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", unfenced(text))]


def words_of(shell: str, folder: pathlib.Path) -> list[list[str]]:
    """The words of every command, as bash would give them: variables, braces and quotes are resolved."""
    shell = re.sub(r"(?m)(^|&&|;)(\s*)launch/(\w+\.sh)", r"\1\2script launch/\3", shell)
    shell, said = re.sub(r"\.venv\S*/bin/python", "python", shell), folder / "said"
    script = f"exec 3> {said}\n{STUBS}\n{shell}"
    subprocess.run(["bash", "-c", script], cwd=folder, check=True, capture_output=True, timeout=60)
    return [line.split("\0")[:-1] for line in said.read_text().split("\n")[:-1]]


class Parsed(BaseException):
    """Ends a program once its command line is read; holds what is left for another program."""


class Misuse(Exception):
    """What a parser says of a command line."""


@pytest.fixture
def parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs end when argparse has read their command lines."""
    parse = argparse.ArgumentParser.parse_known_args

    def parsed(self: argparse.ArgumentParser, *_: object) -> None:
        _, left = parse(self)
        if left:
            misused(self, f"unrecognized arguments: {' '.join(left)}")
        raise Parsed

    def known(self: argparse.ArgumentParser, *_: object) -> None:
        raise Parsed(*parse(self)[1])

    def misused(_: argparse.ArgumentParser, message: str) -> None:
        raise Misuse(message)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", known)
    monkeypatch.setattr(argparse.ArgumentParser, "error", misused)
    monkeypatch.chdir(REPOSITORY)


def absl_flags(program: pathlib.Path) -> set[str]:
    """Names of the flags that a program defines beside --config; none if it reads its command line otherwise."""
    calls = [node for node in ast.walk(ast.parse(program.read_text())) if isinstance(node, ast.Call)]
    return {c.args[0].value for c in calls if getattr(c.func, "attr", "").startswith("DEFINE_")}


def check_experiment(program: pathlib.Path, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line with --config: settings that there are, of their types and in their ranges; flags of the program."""
    of_config = [a for a in arguments if re.match(r"--(no)?config\b", a)]
    for other in set(arguments) - set(of_config):
        name = other.removeprefix("--").partition("=")[0]
        assert other.startswith("--") and {name, name.removeprefix("no")} & absl_flags(program), f"{program.name}: {other}"
    values, line = flags.FlagValues(), [program.name, *of_config]
    monkeypatch.setattr(sys, "argv", line)  # where ml_collections looks for settings that are given
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values)
    experiment.parse_flags(values, line)
    check(values["config"].value)


def check_program(path: str, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of launch/ that is there and takes these arguments."""
    program = REPOSITORY / path
    assert program.is_file(), f"{path} does not exist"
    if absl_flags(program):
        return check_experiment(program, arguments, monkeypatch)
    monkeypatch.setattr(sys, "argv", [path, *arguments])
    module = importlib.import_module(".".join(pathlib.PurePath(path).with_suffix("").parts))
    try:
        module.main()
    except Parsed as left:
        if left.args:  # they are for launch/train.py, which is started with the same config
            rest = [a for a in arguments if a.startswith("--config")] + [a for a in left.args if not a.startswith("--config")]
            check_program("launch/train.py", rest, monkeypatch)
        return
    except SystemExit as end:  # of --help
        assert end.code == 0
        return
    raise AssertionError(f"{path} did not read its command line")


@functools.cache
def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.M))


def check_command(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One command of a page."""
    words = [word for word in words if word != "…"]
    program, *arguments = words
    if program.endswith(("python", "python3")) and arguments[:1] and arguments[0].endswith(".py"):
        check_program(arguments[0], arguments[1:], monkeypatch)
    elif program == "make":
        assert set(arguments) <= targets(), words
    elif program.startswith("xactor-"):
        scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
        check_program(scripts[program].partition(":")[0].replace(".", "/") + ".py", arguments, monkeypatch)
    elif program.endswith("python") and arguments[:2] == ["-m", "pytest"]:
        assert all((REPOSITORY / a).exists() for a in arguments[2:] if a.endswith(".py")), words
    elif program == "pip":
        assert arguments[0] == "install"
        assert all((REPOSITORY / a).is_file() for a in arguments if a.endswith(".txt")), words
    elif program == "script":
        assert (REPOSITORY / arguments[0]).is_file(), words
    elif program == "dask":
        assert arguments[0] in ("scheduler", "worker"), words
    else:
        assert program in ("git", "pre-commit"), f"{words}: say what it is in tests/test_docs.py"


def commands_inside(text: str) -> Iterator[str]:
    """Commands inside lines, with the interpreter where it is left out."""
    for code in spans(text):
        if re.match(r"(\.venv\S*/)?(python|make|pip|xactor-\w+) ", code):
            yield code
        elif re.match(r"launch/\S+\.py --", code):
            yield f"python {code}"


@PAGE
def test_commands_can_be_typed(
    page: pathlib.Path, tmp_path: pathlib.Path, parsing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text()
    for block in blocks(text):
        for words in words_of(block, tmp_path):
            check_command(words, monkeypatch)
    for code in commands_inside(text):
        try:
            for words in words_of(code, tmp_path):
                check_command(words, monkeypatch)
        except Misuse as error:  # prose may leave out what the sentence around it has said
            assert str(error).startswith("the following arguments are required"), f"{code}: {error}"


@pytest.mark.parametrize(
    "shell",
    [
        "python launch/sample.py --image a --audio b --out c --nonsense 1",
        "python launch/train.py --config=configs/motion.py --config.nonsense=1",
        "python launch/train.py --config=configs/motion.py --config.steps=-1",
        'X="--config=configs/none.py"\npython launch/train.py $X',
        "python launch/train.py --config=configs/motion.py --nonsense",
        "python launch/train_all.py --preset nobody",
        "python launch/nothing.py --help",
        "make nonsense",
        "xactor-nonsense",
        "pip install -r nothing.txt",
        "launch/nothing.sh --help",
    ],
)
def test_a_command_that_cannot_be_typed_is_found(
    shell: str, tmp_path: pathlib.Path, parsing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((AssertionError, Misuse, KeyError, experiment.UserError)):
        for words in words_of(shell, tmp_path):
            check_command(words, monkeypatch)


def anchors(page: pathlib.Path) -> set[str]:
    """Headings as links name them."""
    headings = re.findall(r"^#+ (.*)", unfenced(page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@PAGE
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", unfenced(page.read_text()))
    for target in (t for t in targets if "://" not in t):
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def defined(file: pathlib.Path) -> set[str]:
    """Functions and classes of a module, methods as Class.method, and its constants."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@PAGE
def test_files_and_functions_that_are_named_exist(page: pathlib.Path) -> None:
    """`folder/file.py` and `folder/file.py:function`, but for files that the page tells its reader to write."""
    text = page.read_text()
    written = re.findall(r"^`([\w./]+)`:\n\n```", text, re.M)
    for code in set(spans(text)) - set(written):
        named = re.fullmatch(rf"((?:{'|'.join(PLACES)})/[\w./-]*)(?::([\w.]+))?", code)
        if named is None or re.search(r"[A-Z]{3}", code):  # NAME and KIND stand for any
            continue
        path, name = named.groups()
        assert (REPOSITORY / path).exists(), f"{page.name}: {path}"
        preset = path.startswith("configs/")
        assert not name or preset or name in defined(REPOSITORY / path), f"{page.name}: {code}"


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in index] == ["README.md"]


def test_the_readme_is_one_screen() -> None:
    assert len((REPOSITORY / "README.md").read_bytes()) <= 8_000
    assert all(file.stat().st_size <= 1_500_000 for file in (REPOSITORY / "docs").iterdir())
