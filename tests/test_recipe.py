"""A fingerprint depends on everything that matters and on nothing else."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import cavesson
from cavesson.errors import ConfigError
from cavesson.lab.recipe import NotIdentity, Recipe, Value, class_of, lineage
from toys import Constant, Cosine, Counting, Doubled, Fitted, Number, Settings, Sum, View

TESTS = Path(__file__).parent

numbers = st.builds(Number, value=st.integers(-5, 5))
floats = st.floats(allow_nan=False, allow_infinity=False)
settings = st.builds(Settings, rate=floats, names=st.lists(st.text(max_size=4), max_size=3).map(tuple))
schedules = st.one_of(st.builds(Constant, rate=floats), st.builds(Cosine, rate=floats))


def nested(below: st.SearchStrategy[Recipe]) -> st.SearchStrategy[Recipe]:
    several = st.lists(below, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Sum, of=several, seed=st.integers(0, 3)),
        st.builds(View, base=below),
        st.builds(
            Fitted,
            data=st.none() | below,
            parts=several,
            settings=settings,
            schedule=schedules,
            weights=st.dictionaries(st.text(max_size=3), floats, max_size=3),
            steps=st.integers(-(2**70), 2**70) | floats,
            name=st.text(max_size=5),
        ),
    )


recipes: st.SearchStrategy[Any] = st.recursive(numbers, nested, max_leaves=6)


@given(recipes)
def test_writing_and_reading_changes_nothing(recipe: Recipe) -> None:
    again = Recipe.parse(json.loads(json.dumps(recipe.model_dump(mode="json"))))
    assert type(again) is type(recipe) and again.fingerprint == recipe.fingerprint
    assert [below.fingerprint for below in lineage(again)] == [below.fingerprint for below in lineage(recipe)]
    assert pickle.loads(pickle.dumps(recipe)) == recipe and copy.deepcopy(recipe) == recipe  # noqa: S301


@given(recipes, recipes)
def test_equal_fingerprints_mean_equal_recipes(one: Recipe, other: Recipe) -> None:
    same = json.dumps(one.model_dump(mode="json"), sort_keys=True) == json.dumps(
        other.model_dump(mode="json"), sort_keys=True
    )
    if same:
        assert one.fingerprint == other.fingerprint
    if one.fingerprint == other.fingerprint:
        assert one.identity() == other.identity() and type(one) is type(other)


@given(st.builds(Fitted, name=st.text(max_size=5), seed=st.integers(0, 9), settings=settings), st.randoms())
def test_the_order_of_fields_does_not_matter(recipe: Fitted, chance: Any) -> None:
    fields = list(recipe.model_dump(mode="json").items())
    chance.shuffle(fields)
    assert Recipe.parse(dict(fields)).fingerprint == recipe.fingerprint


@given(recipes, st.data())
def test_any_change_of_a_nested_part_changes_the_fingerprint(recipe: Recipe, data: st.DataObject) -> None:
    plain = recipe.model_dump(mode="json")
    changed = _one_number_changed(copy.deepcopy(plain), data)
    if changed is not None:
        assert Recipe.parse(changed).fingerprint != recipe.fingerprint


def _one_number_changed(plain: dict[str, Any], data: st.DataObject) -> dict[str, Any] | None:
    """The same recipe with some `value` somewhere inside raised by one."""
    places: list[dict[str, Any]] = []

    def collect(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("kind") == "toys:Number":
                places.append(part)
            for below in part.values():
                collect(below)
        elif isinstance(part, list):
            for below in part:
                collect(below)

    collect(plain)
    if not places:
        return None
    data.draw(st.sampled_from(places))["value"] += 1
    return plain


def test_defaults_spelled_out_do_not_matter() -> None:
    spelled = Fitted(data=None, parts=(), settings=Settings(rate=0.1, names=()), weights={}, steps=100, name="", seed=0)
    assert spelled.fingerprint == Fitted().fingerprint
    assert Fitted().identity() == {"kind": "toys:Fitted", "version": 1}


def test_one_and_one_point_nought_are_one_number() -> None:
    assert Fitted(steps=50.0).fingerprint == Fitted(steps=50).fingerprint
    assert Fitted(steps=100.0).fingerprint == Fitted().fingerprint
    assert Fitted(steps=50.5).fingerprint != Fitted(steps=50).fingerprint
    assert Settings(rate=-0.0).identity() == Settings(rate=0).identity()


def test_paths_do_not_matter_and_keys_of_tables_have_no_order() -> None:
    assert Fitted(place=Path("/here")).fingerprint == Fitted(place=Path("there")).fingerprint
    assert Fitted(place=Path("/here")) == Fitted()
    one, other = Fitted(weights={"a": 1, "b": 2}), Fitted(weights={"b": 2, "a": 1})
    assert one.fingerprint == other.fingerprint != Fitted(weights={"a": 2, "b": 1}).fingerprint


def test_an_optional_field_added_later_leaves_old_fingerprints_alone() -> None:
    class Old(Recipe):
        kind: ClassVar[str] = "test:Grown"
        steps: int
        settings: Settings = Settings()

    class Grown(Value):
        rate: float = 0.1
        names: tuple[str, ...] = ()
        decay: float = 0.0

    class New(Recipe):
        kind: ClassVar[str] = "test:Grown"
        warmup: int = 0
        steps: int
        settings: Grown = Grown()
        note: Annotated[str, NotIdentity] = ""

    assert New(steps=3).fingerprint == Old(steps=3).fingerprint
    assert New(steps=3, settings=Grown(rate=2)).fingerprint == Old(steps=3, settings=Settings(rate=2)).fingerprint
    assert New(steps=3, warmup=1).fingerprint != Old(steps=3).fingerprint
    assert New(steps=3, note="seen").fingerprint == Old(steps=3).fingerprint


def test_kind_and_version_matter() -> None:
    class First(Recipe):
        kind: ClassVar[str] = "test:First"

    class Second(First):
        kind: ClassVar[str] = "test:Second"

    class Corrected(First):
        version: ClassVar[int] = 2

    assert len({First().fingerprint, Second().fingerprint, Corrected().fingerprint}) == 3


def test_members_of_a_union_with_equal_fields_are_told_apart() -> None:
    """Their tag has no default, so it is always part of the identity."""
    for rate in (1, 2):
        one, two = Cosine(form="cosine", rate=rate), Constant(form="constant", rate=rate)
        assert Fitted(schedule=one).fingerprint != Fitted(schedule=two).fingerprint


def test_fingerprints_are_the_same_everywhere() -> None:
    """These very digits name folders in people's stores: if this test fails, all their artifacts are made again."""
    recipe = Fitted(data=Sum(of=(Number(value=3),), seed=1), settings=Settings(rate=5e-5, names=("ä", "b")), steps=7)
    assert Number().fingerprint == "d7f182671d2a3ec514667799e6df3a73"
    assert recipe.fingerprint == "f3ff196f7cacf305b19ed27152c092fd"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_hash_randomisation_does_not_matter(seed: str) -> None:
    code = "from toys import *; print(Fitted(weights=dict.fromkeys('abcdef', 1.0), name='x', parts=(Number(value=1),)).fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    ours = Fitted(weights=dict.fromkeys("fedcba", 1.0), name="x", parts=(Number(value=1),))
    assert done.stdout.strip() == ours.fingerprint


def test_a_changed_copy_has_its_own_fingerprint_and_is_validated() -> None:
    one = Fitted(seed=1)
    assert one.fingerprint
    assert one.model_copy(update={"seed": 2}).fingerprint == Fitted(seed=2).fingerprint != one.fingerprint
    with pytest.raises(ValidationError):
        one.model_copy(update={"seed": "two"})


def test_recipes_are_frozen_and_strict() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Number().value = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Fitted(sead=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="finite"):
        Settings(rate=float("nan"))
    with pytest.raises(ValidationError, match="a View is expected"):
        Doubled.model_validate({"view": {"kind": "toys:Number", "value": 1}})


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no recipe kind 'trainde'.\n.*Did you mean 'trained'"):
        Recipe.parse({"kind": "trainde"})
    with pytest.raises(ConfigError, match="cannot be loaded"):
        Recipe.parse({"kind": "no_such_package:Thing"})


def test_inputs_are_found_wherever_they_are_nested() -> None:
    one, two, three = Number(value=1), Number(value=2), Number(value=3)
    whole = Fitted(data=View(base=one), parts=(two, Sum(of=(three, two)), two))
    assert whole.inputs() == (View(base=one), two, Sum(of=(three, two)))
    order = list(lineage(whole, Counting(steps=1, after=one)))
    assert order == [one, View(base=one), two, three, Sum(of=(three, two)), whole, Counting(steps=1, after=one)]


def _subclasses(base: type[Recipe]) -> set[type[Recipe]]:
    return {base}.union(*(_subclasses(below) for below in base.__subclasses__()))


def test_every_kind_of_recipe_is_found_by_its_name():
    """A worker in another process reads a recipe by its kind: a kind that is not listed fails there, after everything before it."""
    source = Path(cavesson.__file__).parent
    for file in sorted(source.rglob("*.py")):
        if "kind: ClassVar" in file.read_text(encoding="utf-8"):
            importlib.import_module(".".join(("cavesson", *file.relative_to(source).with_suffix("").parts)))
    own = [one for one in _subclasses(Recipe) if "kind" in vars(one) and one.__module__.startswith("cavesson.")]
    assert len(own) > 60
    assert [one for one in own if class_of(one.kind) is not one] == []
