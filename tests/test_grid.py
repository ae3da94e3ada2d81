"""The words that studies are made of: places, samples, means, contrasts, and what is said where something was not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cavesson.analysis.claims import ClaimResult, at_least
from cavesson.findings.views import ClaimView
from cavesson.stats import difference_over_seeds, mean_over_seeds
from cavesson.studies.grid import Measured, change, end, start
from cavesson.studies.report import claims_of, shown_by
from cavesson.studies.resolve import resolve
from cavesson.studies.sample import NotApplicable, NotRun, mean_of, pooled
from cavesson.studies.shown import chart, claim, table, tally
from cavesson.studies.study import STUDIES, study_named
from measured import at, measured, together

RATES = {
    at(teacher="dmitri", lr=1e-3): {"maths": [0.9, 0.3], "knowledge": [0.8, 0.8]},
    at(teacher="dmitri", lr=3e-4): {"maths": [0.9, 0.5], "knowledge": [0.8, 0.8]},
    at(teacher="self", lr=1e-3): {"maths": [0.9, 0.9], "knowledge": [0.8, 0.7]},
    at(teacher="bruno", lr=3e-4): {"maths": [0.9, 0.1], "knowledge": [0.8, 0.8]},
}


def place_of(recipe: object) -> Path:
    return Path("nowhere")


@pytest.fixture
def m() -> Measured:
    return measured(RATES, seeds=3, n=50)


def test_all_seeds_of_a_place_are_together(m: Measured) -> None:
    place = m.only(teacher="self")
    assert (len(m), place.seeds, place.name) == (4, (0, 1, 2), "self, 0.001")
    assert place.sample("maths").table.shape == (3, 50)
    assert place.evals() == ["maths", "knowledge"] and place.steps() == [0, 10]


def test_a_selection_by_value_and_by_function(m: Measured) -> None:
    assert [p["teacher"] for p in m.where(lr=3e-4)] == ["dmitri", "bruno"]
    assert [p["lr"] for p in m.where(teacher="dmitri", lr=lambda lr: lr < 1e-3)] == [3e-4]
    assert m.values("teacher") == ["dmitri", "self", "bruno"]
    assert {key: len(found) for key, found in m.by("teacher").items()} == {"dmitri": 2, "self": 1, "bruno": 1}


@pytest.mark.parametrize("wanted", [{"teacher": "celia"}, {"colour": "red"}, {"teacher": "self", "lr": 3e-4}])
def test_what_was_not_run_says_what_is_lacking(m: Measured, wanted: dict) -> None:
    with pytest.raises(NotRun, match=str(next(iter(wanted)))):
        m.where(**wanted)


def test_an_evaluation_or_a_step_that_was_not_scored_was_not_run(m: Measured) -> None:
    with pytest.raises(NotRun, match="ifeval"):
        m.places[0].sample("ifeval")
    with pytest.raises(NotRun, match="step 7"):
        m.places[0].sample("maths", 7)
    with pytest.raises(NotRun, match="recovery of self"):
        m.only(teacher="self").sample("maths", role="recovery")


def test_a_difference_is_paired_by_seed_and_prompt(m: Measured) -> None:
    place = m.only(teacher="dmitri", lr=1e-3)
    fall = place.change("maths")
    assert fall.mean == pytest.approx(-0.6)
    expected = difference_over_seeds(place.sample("maths").table, place.sample("maths", 0).table)
    assert fall.estimate == expected.in_unit("points")
    assert place.sample("maths").estimate == mean_over_seeds(place.sample("maths").table)


def test_samples_of_different_prompts_or_seeds_are_not_paired(m: Measured) -> None:
    place = m.places[0]
    with pytest.raises(ValueError, match="across"):
        place.sample("maths") - place.sample("knowledge")
    assert place.sample("maths").across(place.sample("knowledge")).value == pytest.approx(-0.5)
    other = measured({at(teacher="x"): {"maths": 0.5}}, seeds=[0, 7, 8])
    with pytest.raises(NotRun, match="0, 1, 2 and 0, 7, 8"):
        place.sample("maths") - other.places[0].sample("maths")


def test_a_mean_is_prompt_by_prompt_and_selects_nothing(m: Measured) -> None:
    dmitri = m.where(teacher="dmitri")
    assert dmitri.mean(end("maths")).mean == pytest.approx(0.4)
    by_hand = np.mean([place.sample("maths").table for place in dmitri], axis=0)
    assert np.array_equal(dmitri.mean(end("maths")).table, by_hand)
    with pytest.raises(ValueError, match="same prompts"):
        mean_of([m.places[0].sample("maths"), m.places[0].sample("knowledge")])


def test_a_contrast_counts_only_places_that_have_their_counterpart(m: Measured) -> None:
    found = m.contrast("teacher", "dmitri", "self", end("maths"))
    assert found.mean == pytest.approx(0.3 - 0.9), "the lower rate has no self to compare with and does not count"
    assert m.contrast("lr", 1e-3, 3e-4, change("maths")).mean == pytest.approx(-0.2)
    with pytest.raises(NotRun, match="self and bruno, all else alike"):
        m.contrast("teacher", "self", "bruno", end("maths"))


def test_the_two_sides_of_a_contrast_change_sign_when_exchanged(m: Measured) -> None:
    one, two = (m.contrast("teacher", *pair, start("maths")) for pair in (("dmitri", "self"), ("self", "dmitri")))
    assert one.estimate.value == -two.estimate.value == 0


def test_the_same_value_twice_is_no_contrast(m: Measured) -> None:
    with pytest.raises(NotRun, match="self and self"):
        m.contrast("teacher", "self", "self", end("maths"))


def test_a_place_without_an_axis_has_no_value_there(m: Measured) -> None:
    with pytest.raises(NotRun):
        m.contrast("way", None, "LoRA", end("maths"))


def test_the_one_place_is_one(m: Measured) -> None:
    with pytest.raises(ValueError, match=r"2 places, not one, are at teacher dmitri: dmitri, 0\.001; dmitri, 0\.0003"):
        m.only(teacher="dmitri")


def test_a_mean_is_over_alike_samples_of_the_same_seeds(m: Measured) -> None:
    place, other = m.places[0], measured({at(teacher="x"): {"maths": 0.5}}, seeds=[0, 7, 8], n=50).places[0]
    for combine in (mean_of, pooled):
        with pytest.raises(NotRun, match="0, 1, 2 and 0, 7, 8"):
            combine([place.sample("maths"), other.sample("maths")])
        with pytest.raises(ValueError, match="rates and differences"):
            combine([place.sample("maths"), place.change("maths")])
        with pytest.raises(NotRun):
            combine([])


def test_the_order_of_axes_does_not_part_the_seeds_of_a_place() -> None:
    first, second = (together(measured({key: {"maths": 0.5}}, seeds=[seed])) for seed, key in enumerate(
        (at(teacher="self", lr=1), at(lr=1, teacher="self"))
    ))  # fmt: skip
    cells = [cell for part in (first, second) for place in part for cell in place.cells]
    [place] = Measured.read(cells, place_of)
    assert place.seeds == (0, 1)
    with pytest.raises(ValueError, match="seed 0 stands twice at the place self, 1"):
        Measured.read([*cells, cells[0]], place_of)


def test_a_role_that_one_seed_lacks_was_not_run() -> None:
    with_probe = measured({at(x=1): {"maths": 0.5}}, seeds=[0], beside={"probe": {"maths": 0.9}})
    without = measured({at(x=1): {"maths": 0.5}}, seeds=[1])
    for parts in ((with_probe, without), (without, with_probe)):
        [place] = Measured.read([cell for part in parts for one in part for cell in one.cells], place_of)
        with pytest.raises(NotRun, match="probe of 1"):
            place.sample("maths", None, "probe")


@pytest.mark.parametrize(
    ("other", "error", "said"),
    [
        ({"n": 40}, ValueError, "asked different prompts of maths"),
        ({"steps": (0, 20)}, NotRun, "one last step for all seeds of 1, not 10, 20"),
    ],
)
def test_seeds_with_other_prompts_or_another_last_step_are_not_put_together(other, error, said) -> None:
    parts = measured({at(x=1): {"maths": 0.5}}, seeds=[0]), measured({at(x=1): {"maths": 0.5}}, seeds=[1], **other)
    [place] = Measured.read([cell for part in parts for one in part for cell in one.cells], place_of)
    with pytest.raises(error, match=said):
        place.sample("maths")


def test_levels_and_pools() -> None:
    place = measured({at(x=1): {"maths": 0.5, "knowledge": 1.0}}, levels=5, n=50).places[0]
    assert place.sample("maths").at_levels([1, 2]).table.shape == (1, 20)
    with pytest.raises(NotRun, match="prompts of that kind"):
        place.sample("maths").at_levels([9])
    assert pooled([place.sample("maths"), place.sample("knowledge")]).mean == pytest.approx(0.75)


def test_the_same_questions_of_two_models_are_no_more_questions(m: Measured) -> None:
    one = m.only(teacher="self").sample("maths")
    assert pooled([one, one]).estimate.interval == one.estimate.interval
    assert pooled([one - one, one - one]).estimate.unit == "points"


def test_places_of_another_role_are_apart(m: Measured) -> None:
    probes = measured({at(teacher="dmitri", lr=1e-3): {"maths": 0.6}}, seeds=3, role="probe")
    both = together(m, probes)
    assert len(both.having("probe")) == 1 and len(both.having("run")) == 4
    assert both.having("run").contrast("teacher", "dmitri", "self", end("maths")).mean == pytest.approx(-0.6)


# --- what is shown


def test_a_tables_cell_stays_empty_and_a_row_of_nothing_is_left_out(m: Measured) -> None:
    made = table(
        "t",
        "c",
        dict(m.by("teacher").items()),
        {"at 1e-3": lambda of: of.only(lr=1e-3).change("maths"), "nothing": lambda of: of.only(lr=5).change("maths")},
        first="teacher",
    )
    assert made is not None and made.columns == ["teacher", "at 1e-3", "nothing"]
    assert [(row[0], row[1].short, row[2]) for row in made.rows] == [  # type: ignore[union-attr]
        ("dmitri", "−60 points", None),
        ("self", "0 points", None),
    ]
    assert table("t", "c", {"a": m}, {"x": lambda of: of.only(lr=5).change("maths")}) is None


def test_a_charts_point_and_line_that_were_not_run_are_left_out(m: Measured) -> None:
    drawn = chart(
        "t",
        {
            "dmitri": ([0, 5, 10], lambda step: m.only(teacher="dmitri", lr=1e-3).sample("maths", step)),
            "celia": ([0, 10], lambda step: m.only(teacher="celia").sample("maths", step)),
        },
        x="steps",
        y="maths",
    )
    assert drawn is not None
    assert [(line.name, line.x) for line in drawn.series] == [("dmitri", [0.0, 10.0])]


def falls(of: Measured) -> ClaimResult:
    place = of.only(teacher="dmitri", lr=1e-3)
    return at_least((place.sample("maths", 0) - place.sample("maths")).estimate, 0.1, "the fall")


def not_for_us(of: Measured) -> ClaimResult:
    raise NotApplicable("there is one size")


def test_a_claim_without_its_runs_is_undecided_and_says_why(m: Measured) -> None:
    claims = [
        claim("falls", "It falls.", "30 points", falls, source="a post"),
        claim("celia", "Celia hurts.", "", lambda of: falls(of.where(teacher="celia")), source="a post"),
        claim("size", "Size matters.", "", not_for_us, source="a post"),
    ]
    found: list[ClaimView] = claims_of("study", claims, m)
    assert [(one.id, one.verdict) for one in found] == [
        ("study/falls", "holds"),
        ("study/celia", "not run"),
        ("study/size", "not applicable"),
    ]
    assert found[0].reason.startswith("the fall must be at least +10 points; here it is +60 points (")
    assert found[0].ours is not None and found[0].measure == "the fall"
    assert found[1].reason == "Not run here: teacher celia."
    assert found[2].reason == "Not applicable here: there is one size."
    assert tally(found) == "Of 3 statements, 1 is suggested to hold, 1 was not run and 1 is not applicable."


def test_a_part_of_a_report_that_was_not_run_is_left_out(m: Measured) -> None:
    def lacking(of: Measured) -> str:
        return of.only(teacher="celia").name

    assert list(shown_by([lambda of: "one", lacking, lambda of: ["two", None, "three"]], m)) == ["one", "two", "three"]


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_all_seeds_of_a_place_are_asked_the_same_prompts(name: str) -> None:
    """Scores of two seeds are compared prompt by prompt, and a report that finds others would fail after hours."""
    cells = study_named(name).cells(resolve(name, overrides=["seeds=[0, 1]"]).config)
    asked: dict[tuple[frozenset[Any], str], set[Any]] = {}
    for cell in cells:
        for role, recipe in cell.recipes.items():
            if hasattr(recipe, "suite"):
                asked.setdefault((frozenset(cell.at.items()), role), set()).add(recipe.suite)
    assert asked
    assert [place for place, suites in asked.items() if len(suites) > 1] == []
