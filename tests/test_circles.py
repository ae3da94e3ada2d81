"""No module imports, by whatever way round, a module that imports it: not inside functions, nor for type checkers alone."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

import cavesson

ROOT = Path(cavesson.__file__).parent


def sources(root: Path) -> dict[str, str]:
    """The source of every module below a package's folder, by the module's name; the bench's codebases are no modules."""
    files = [file for file in root.rglob("*.py") if "codebases" not in file.parts]
    return {
        ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): file.read_text("utf-8")
        for file in files
    }


def imports(source: str, modules: set[str]) -> set[str]:
    """Those of the modules that a source names in any import statement, wherever the statement stands."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            inner = [f"{node.module}.{name.name}" for name in node.names]
            named |= {name if name in modules else str(node.module) for name in inner}
    return named & modules


def circles(modules: Mapping[str, str]) -> set[frozenset[str]]:
    """Sets of modules each of which leads to all others of its set."""
    direct = {name: imports(source, set(modules)) - {name} for name, source in modules.items()}

    def reached(start: str) -> set[str]:
        found, todo = set[str](), list(direct[start])
        while todo:
            if (name := todo.pop()) not in found:
                found.add(name)
                todo += direct[name]
        return found

    leads_to = {name: reached(name) for name in direct}
    return {
        frozenset(other for other in leads_to[name] if name in leads_to[other])
        for name in direct
        if name in leads_to[name]
    }


@pytest.fixture(scope="module")
def found() -> set[frozenset[str]]:
    return circles(sources(ROOT))


FOLDERS = sorted({file.relative_to(ROOT).parts[0].removesuffix(".py") for file in ROOT.rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_imports_itself_by_way_of_others(folder: str, found: set[frozenset[str]]) -> None:
    within = [
        sorted(circle) for circle in found if any(f"{name}.".startswith(f"cavesson.{folder}.") for name in circle)
    ]
    assert not within, f"move what they share into a module that imports none of them: {within}"


@pytest.mark.parametrize(
    "back",
    [
        "import p.a",
        "from p.a import x",
        "from p import a",
        "def f():\n    from p.a import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import x",
    ],
)
def test_a_circle_is_found_wherever_its_imports_stand(back: str) -> None:
    modules = {
        "p": "",
        "p.a": "from p.b import y",
        "p.b": "import p.c",
        "p.c": back,
        "p.d": "from p import a, q\nimport os",
    }
    assert circles(modules) == {frozenset({"p.a", "p.b", "p.c"})}
    assert circles({**modules, "p.c": ""}) == set()
