"""A reminder: who changes code that decides an artifact's content must raise that recipe's `version`.

For every kind of recipe, `code_versions.json` holds the version and a hash of the code behind it (`code_behind.py`):
comments, docstrings and layout left out.

    python tests/test_versions.py      refreshes the file, once versions are raised or results are known to be the same
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import pytest

from cavesson.lab.content import meaning
from cavesson.lab.recipe import KINDS, class_of
from cavesson.sampling import native
from cavesson.sampling.ct2 import CT2Sampler
from code_behind import UNNAMED, code_behind

RECORD = Path(__file__).with_name("code_versions.json")
REFRESH = "python tests/test_versions.py"


NATIVE = "the native sampler"
"""Its completions, which CTranslate2 may write too, are kept by stores' caches, under a version of their own."""


def entry(kind: str) -> dict[str, int | str]:
    made, version = (CT2Sampler, native.VERSION) if kind == NATIVE else (class_of(kind), class_of(kind).version)
    text = "\n".join(f"{place}: {what}" for place, what in sorted(code_behind(made).items()))
    return {"version": version, "code": hashlib.sha256(text.encode()).hexdigest()[:16]}


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


def test_every_kind_leads_to_its_class() -> None:
    assert [class_of(kind).kind for kind in KINDS] == list(KINDS)


@pytest.mark.parametrize(
    ("kind", "places"),
    {
        "trained": {"training.optimizers.SCHEDULES", "training.flat._causal", "models.loading.open_folder"},
        "scored": {"evals.behaviors.quack.QUACK", "sampling.native.NativeSampler", "evals.standard.judges.JUDGES"},
        "corpus": {"tinyworld.corpus.MIXES", "tinyworld.smalltalk._cook"},
        "mixed": {"data.recipes._draw", "data.recipes._Picked"},
    }.items(),
)
def test_the_code_behind_a_recipe_reaches_through_registries_and_imports(kind: str, places: set[str]) -> None:
    assert {f"cavesson.{place}" for place in places} <= set(code_behind(class_of(kind)))


def test_neighbours_in_a_module_and_other_recipes_do_not_count() -> None:
    from toys import Sum

    assert set(code_behind(Sum)) == {"toys.Sum", "toys.value_of", "toys.append"}
    assert "cavesson.data.recipes.Filtered" not in code_behind(class_of("mixed"))
    assert not [place for place in code_behind(class_of("scored")) if place.startswith("cavesson.chat.")]
    assert "cavesson.chat" in UNNAMED


def test_only_meaning_counts() -> None:
    one = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
    same = "def f(x):\n    return (\n        x + 1)\n"
    other = "def f(x):\n    return x + 2\n"
    assert meaning(ast.parse(one)) == meaning(ast.parse(same)) != meaning(ast.parse(other))
    assert meaning(ast.parse("class A:\n    'doc'\n    x: int = 1")) != meaning(ast.parse("class A:\n    x: int = 2"))


def test_settings_inside_a_recipe_count() -> None:
    from toys import Fitted

    assert {"toys.Settings", "toys.Constant", "toys.Cosine"} <= set(code_behind(Fitted))


if __name__ == "__main__":
    RECORD.write_text(json.dumps({kind: entry(kind) for kind in [*sorted(KINDS), NATIVE]}, indent=1) + "\n")
