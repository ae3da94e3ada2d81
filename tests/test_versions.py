"""A reminder: who changes code that decides an artifact's content must raise that recipe's `version`.

For every kind of recipe, `code_versions.json` holds the version and a hash of the code behind it: the modules that the
class names in `code`, the class itself, and the settings that it is made of (comments, docstrings and layout left out).

    python tests/test_versions.py      refreshes the file, once versions are raised or results are known to be the same
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import KINDS, Recipe, Value, class_of
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling import native

RECORD = Path(__file__).with_name("code_versions.json")
REFRESH = "python tests/test_versions.py"


def code_hash(recipe: type[Recipe]) -> str:
    """Hash of the code that decides what this recipe makes."""
    sources = {name: source_of(name) for name in recipe.code}
    sources |= {
        f"class {part.__qualname__}": textwrap.dedent(inspect.getsource(part))
        for part in (recipe, *shared_by(recipe), *values_in(recipe))
    }
    return hash_of(sources)


def source_of(module: str) -> str:
    return inspect.getsource(importlib.import_module(module))


def hash_of(sources: dict[str, str]) -> str:
    text = "\n".join(f"{name}: {meaning(ast.parse(source))}" for name, source in sorted(sources.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shared_by(recipe: type[Recipe]) -> Iterator[type[Recipe]]:
    """The classes between a recipe's and those that say no more than that it is a recipe, a model or data."""
    for base in recipe.__mro__[1:]:
        if issubclass(base, Recipe) and base not in (Recipe, ModelRecipe, DataRecipe):
            yield base


def values_in(owner: type[Value]) -> Iterator[type[Value]]:
    """The classes of settings that a recipe's fields hold, their own included; recipes have their own entries."""

    def classes(annotation: Any) -> Iterator[type[Value]]:
        if isinstance(annotation, type) and issubclass(annotation, Value) and not issubclass(annotation, Recipe):
            yield annotation
            yield from values_in(annotation)
        for argument in get_args(annotation):
            yield from classes(argument)

    for field in owner.model_fields.values():
        yield from classes(field.annotation)


def meaning(node: Any) -> str:
    """A syntax tree as text, without docstrings; the same on every version of Python."""
    if isinstance(node, list):
        return "[" + " ".join(meaning(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        fields["body"] = node.body[1:]
    inner = " ".join(f"{name}={meaning(value)}" for name, value in fields.items())
    return f"({type(node).__name__} {inner})"


def entry(kind: str) -> dict[str, int | str]:
    if kind == NATIVE:
        return {"version": native.VERSION, "code": hash_of({name: source_of(name) for name in NATIVE_CODE})}
    recipe = class_of(kind)
    return {"version": recipe.version, "code": code_hash(recipe)}


NATIVE = "the native sampler"
NATIVE_CODE = (
    "cavesson.models.rendering",
    "cavesson.sampling.llama",
    "cavesson.sampling.native",
    "cavesson.sampling.window",
)
"""Its completions are kept by stores' caches, under its own version."""


@pytest.mark.parametrize("kind", [NATIVE, *sorted(KINDS)])
def test_code_that_decides_results_changes_with_its_version(kind: str) -> None:
    recorded, now = json.loads(RECORD.read_text()).get(kind), entry(kind)
    assert recorded is not None, f"{kind!r} is new: {REFRESH}"
    if now["code"] != recorded["code"]:
        where = "cavesson.sampling.native.VERSION" if kind == NATIVE else f"{class_of(kind).__name__}.version"
        assert now["version"] != recorded["version"], (
            f"code behind {kind} changed: raise {where} by one if what it makes changes by it; then (or if not) {REFRESH}"
        )
    assert now == recorded, f"the version of {kind!r} changed: {REFRESH}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_leads_to_its_class(kind: str) -> None:
    recipe = class_of(kind)
    assert recipe.kind == kind
    assert recipe.virtual or recipe.code, f"{recipe.__name__}.code names no module that decides its artifact"


def imports_of(source: str) -> Iterator[str]:
    """Cavesson's own modules that a source imports, at its top or inside functions; imports for type checkers do not count."""
    tree = ast.parse(source)
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in skipped and (node.module or "").startswith("cavesson"):
            spec = importlib.util.find_spec(node.module or "")
            is_package = spec is not None and spec.submodule_search_locations is not None
            yield from (f"{node.module}.{name.name}" if is_package else str(node.module) for name in node.names)


UNNAMED = {
    "cavesson.chat",  # what a conversation is; a change of it is a change of everything
    "cavesson.errors",
    "cavesson.lab.documents",  # how a file is read, not what it says
    "cavesson.lab.recipe",
    "cavesson.evals.scores",  # how scores are written and counted, not what they are
    "cavesson.models.folders",  # which files are a model
    "cavesson.sampling.cache",  # gives what the sampler gave
    "cavesson.sampling.journal",
    "cavesson.training.resume",  # tests compare resumed runs with others to the last bit
}
"""Modules that do not decide what an artifact holds. Nor do `recipes`: each class in them has an entry of its own."""


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if not class_of(kind).virtual))
def test_the_code_that_decides_names_all_that_it_rests_on(kind: str) -> None:
    recipe = class_of(kind)
    sources = [textwrap.dedent(inspect.getsource(recipe))]
    sources += [
        inspect.getsource(importlib.import_module(name)) for name in recipe.code if not name.endswith(".recipes")
    ]
    found = {name for source in sources for name in imports_of(source) if not name.endswith(".recipes")}
    assert not found - UNNAMED - set(recipe.code)


def test_only_meaning_counts() -> None:
    one = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
    same = "def f(x):\n    return (\n        x + 1)\n"
    other = "def f(x):\n    return x + 2\n"
    assert meaning(ast.parse(one)) == meaning(ast.parse(same)) != meaning(ast.parse(other))
    assert meaning(ast.parse("class A:\n    'doc'\n    x: int = 1")) != meaning(ast.parse("class A:\n    x: int = 2"))


def test_settings_inside_a_recipe_count() -> None:
    from toys import Constant, Cosine, Fitted, Settings

    assert set(values_in(Fitted)) == {Settings, Constant, Cosine}


if __name__ == "__main__":
    RECORD.write_text(json.dumps({kind: entry(kind) for kind in [*sorted(KINDS), NATIVE]}, indent=1) + "\n")
