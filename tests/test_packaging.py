"""What is said about the package is true of it: version, changelog, make targets, commands in the pages, dependencies."""

from __future__ import annotations

import ast
import functools
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cavesson
from cavesson.errors import ConfigError

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = {path.name for path in (ROOT / "src" / "cavesson").iterdir()}
COMPANIONS = {"pydantic_core": "pydantic"}
"""Modules that are half of another distribution's interface and always come with it."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_changelog_begins_with_this_version() -> None:
    """Behind what is marked as unreleased."""
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == cavesson.__version__ == metadata.version("cavesson")


def commands_in(page: Path) -> Iterator[list[str]]:
    """The words of every `make …` and `cavesson …` line in a page's shell blocks, comments left out."""
    for block in re.findall(r"^```(?:bash|console|sh)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] in ("make", "cavesson"):
                yield words


def documented(program: str) -> list[tuple[str, list[str]]]:
    """(page, words) of every documented command of a program."""
    return [(page.name, words) for page in PAGES for words in commands_in(page) if words[0] == program]


def make_targets() -> dict[str, str]:
    """Name of every phony target and what `make help` says of it."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    described = dict(re.findall(r"^(\w+):.*?## (.+)$", makefile, flags=re.MULTILINE))
    return {name: described.get(name, "") for name in phony[1].split()}


@pytest.mark.parametrize("target", make_targets())
def test_every_make_target_is_documented(target: str) -> None:
    assert make_targets()[target], f"`make help` says nothing of {target}"
    named = [page for page in ("README.md", "CONTRIBUTING.md") if f"make {target}" in (ROOT / page).read_text()]
    assert named or target == "help", f"neither README nor CONTRIBUTING names `make {target}`"


@pytest.mark.parametrize(("page", "words"), documented("make"))
def test_documented_make_targets_exist(page: str, words: list[str]) -> None:
    assert {word for word in words[1:] if "=" not in word} <= set(make_targets())


def test_the_package_can_be_run_as_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cavesson", "--version"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("cavesson", run_name="__main__")
    assert left.value.code == 0 and capsys.readouterr().out == f"cavesson {cavesson.__version__}\n"


@pytest.mark.parametrize(("page", "words"), documented("cavesson"))
def test_documented_commands_exist(page: str, words: list[str]) -> None:
    """Each command in a page is one that the command line has, with the options it has."""
    from cavesson.cli.main import app
    from cavesson.lab.trust import OPTION

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="cavesson")
    rest = words[1:]
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"{page}: `cavesson` has no command {rest[0]!r}: {shlex.join(words)}"
        command, rest = found, rest[1:]
        context = typer.Context(command, parent=context, info_name=command.name)
    of_any_study = set()
    anywhere = {OPTION}
    if hasattr(command, "choose_study"):
        try:
            command.choose_study(context, rest)
        except ConfigError:  # a page's own file is not there
            of_any_study = {"--seeds"}
    options = (
        anywhere
        | of_any_study
        | {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
    )
    given = {word.split("=")[0] for word in rest if word.startswith("-")}
    assert given <= options, f"{page}: no such option in `{shlex.join(words)}`"


def test_the_pages_do_document_commands() -> None:
    """The two tests above would pass on pages without commands."""
    assert {"run", "chat", "eval", "store", "stress", "audit", "organism"} <= {
        words[1] for _, words in documented("cavesson")
    }
    assert {"demo", "test"} <= {words[1] for _, words in documented("make")}


def test_the_api_reference_covers_every_module() -> None:
    package = ROOT / "src" / "cavesson"
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    pages = "".join(page.read_text() for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
    covered = re.findall(r"^::: cavesson\.(\w+)$", pages, flags=re.MULTILINE)
    assert sorted(covered) == sorted(modules - {"__init__", "__main__", "cli"})


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level module, at import time?) of every absolute import in a file; imports for type checkers do not count."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        yield from ((name.split(".")[0], node not in late) for name in names)


def distributions(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(requirement).name) for requirement in requirements}


def providers(module: str) -> set[str]:
    """The distributions that bring a top-level module."""
    if module in COMPANIONS:
        return {COMPANIONS[module]}
    return {canonicalize_name(name) for name in installed().get(module, [module])}


@functools.cache
def installed() -> Mapping[str, list[str]]:
    """Top-level module → the distributions that bring it."""
    return metadata.packages_distributions()


def test_the_package_declares_what_it_imports() -> None:
    """The wheel alone brings all that it needs; what an extra brings is imported only inside functions."""
    core = distributions(PROJECT["dependencies"])
    extras = distributions([line for name, lines in PROJECT["optional-dependencies"].items() for line in lines])
    code = ROOT / "src" / "cavesson"
    alone = {  # web applications, and what Inspect loads: imported only once their extras are found
        *(code / "audit" / "human").glob("*.py"),
        *(code / "view").glob("*.py"),
        *(code / "web").glob("*.py"),
        *(code / "bridges").glob("inspect_*.py"),
        code / "sampling" / "inspected.py",
    }
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / "src").rglob("*.py")
        if not path.is_relative_to(ROOT / "src" / "cavesson" / "audit" / "bench")  # data: programs of their own
        for module, at_import in imports(path)
        if module not in sys.stdlib_module_names | {"cavesson"}
        and not providers(module) & (core if at_import and path not in alone else core | extras)
    }
    assert not undeclared


def test_the_tests_declare_what_they_import() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = distributions([*PROJECT["dependencies"], *extras["test"], *extras["peer"]])
    undeclared = {
        f"{path.name}: {module}"
        for path in (ROOT / "tests").rglob("*.py")
        for module, _ in imports(path)
        if module not in sys.stdlib_module_names | {"cavesson"} | {file.stem for file in (ROOT / "tests").iterdir()}
        and not providers(module) & declared
    }
    assert not undeclared


def test_help_and_lists_answer_without_loading_torch() -> None:
    """`cavesson --help` is quick because nothing heavy is imported at start-up, and whatever has a name is listed without a model."""
    program = (
        "import sys\nfrom cavesson.cli.main import main\n"
        "def loaded(words):\n"
        "    sys.argv = ['cavesson', *words]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    print('loaded:', *sorted({'torch', 'transformers', 'peft', 'pandas', 'scipy', 'datasets'} & set(sys.modules)))\n"
        "loaded(['--help'])\nloaded(['list'])\nloaded(['run', 'distillation', '--dry-run'])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [line for line in run.stdout.splitlines() if line.startswith("loaded:")] == [
        "loaded:",
        "loaded: scipy",
        "loaded: scipy",
    ]
    assert all(word in run.stdout for word in ("Usage", "interventions", "to make"))


def test_code_named_in_the_pages_exists() -> None:
    """Dotted names and paths of modules in the pages are those of the code."""
    pages = [page for page in PAGES if page.parent.name == "docs"]
    for page in pages:
        code = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
        for name in code:
            if re.fullmatch(r"cavesson(\.\w+)+", name):
                assert pkgutil.resolve_name(name) is not None, f"{page.name}: {name}"
            elif re.fullmatch(r"\w+(/\w+)*(\.py|/)", name) and name.split("/")[0] in FOLDERS:
                assert (ROOT / "src" / "cavesson" / name).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_navigation_shows_every_page_but_the_notes() -> None:
    """Measurements and histories in `docs/notes/` are linked from the pages that they belong to, and listed on a page of their own."""
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2].partition("\n\n")[0]
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    notes = {page for page in pages if page.parts[0] == "notes"}
    assert set(re.findall(r"\S+\.md$", navigation, flags=re.MULTILINE)) == {page.as_posix() for page in pages - notes}
    listed = (ROOT / "docs" / "notes" / "index.md").read_text()
    within = {note.relative_to("notes").as_posix() for note in notes} - {"index.md"}
    assert not [note for note in within if f"({note})" not in listed]


def test_a_reader_can_read_the_whole_navigation() -> None:
    """The pages that people write have at most 22,000 words; what only its maker needs goes to `docs/notes/`, figures to `docs/results/`.

    `replication.md` is made from results (`benchmarks/results.py`).
    """
    pages = {page.relative_to(ROOT / "docs"): page for page in (ROOT / "docs").rglob("*.md")}
    words = {
        name.as_posix(): len(page.read_text(encoding="utf-8").split())
        for name, page in pages.items()
        if name.parts[0] not in ("notes", "results") and name.as_posix() != "replication.md"
    }
    longest = sorted(words, key=words.__getitem__, reverse=True)[:3]
    assert sum(words.values()) <= 22_000, f"{sum(words.values())} words; the longest pages: {', '.join(longest)}"


def test_a_share_is_written_as_30_percent_with_a_space() -> None:
    """`30 %`, as estimates print it; the format `:.0%` would print `30%` beside it."""
    written = [path for path in (ROOT / "src").rglob("*.py") if "codebases" not in path.parts]
    pattern = re.compile(r":[\d.]*%\}")
    assert [path.name for path in written if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_what_pip_says_goes_to_a_file_that_is_named_if_pip_fails(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pip", "python"):
        (programs / name).write_text("#!/bin/sh\necho Collecting torch; echo 'ERROR: no network' >&2; exit 1\n")
        (programs / name).chmod(0o755)
    run = subprocess.run(["make", "demo", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    log = tmp_path / "pip.log"
    assert run.returncode and "Collecting" not in run.stdout
    assert "ERROR: no network" in run.stderr and f"all that pip said is in {log}" in run.stderr
    assert log.read_text().splitlines() == ["Collecting torch", "ERROR: no network"]
