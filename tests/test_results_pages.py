"""The pages of results: what `benchmarks/results_pages.py` and `results_pictures.py` make of a result, and the pages that are there."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cavesson.estimate import Estimate
from cavesson.findings.views import ClaimView, TableView, WarningView
from synthetic_result import synthetic_result

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
results, results_pages, results_pictures = map(import_module, ("results", "results_pages", "results_pictures"))


def rate(value: float, n: int = 60) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, n, "Wilson", each=(value - 0.1, value + 0.1))


LEFT = TableView(
    title="What is left",
    columns=["organism", "blue team", "triggered", "said"],
    rows=[
        ["one", "HHH SFT", rate(0.5), "no checkpoint stayed within ten per cent for every seed"],
        ["one", "pirate SFT", rate(0.1), "no checkpoint stayed within ten per cent for every seed"],
        ["one", "noise", None, "not run here"],
    ],
)


def claim(verdict: str, reason: str = "") -> ClaimView:
    return ClaimView(
        id=verdict, source="s", statement=f"A thing that {verdict}.", published="yes", verdict=verdict, reason=reason
    )


def test_a_table_says_nothing_twice() -> None:
    """One n in the head, one footnote for one text, no column of one value, no row without a figure."""
    text = "\n".join(results_pages._section("##", LEFT))
    assert "| blue team | triggered<br>n = 60 | said |" in text and "| HHH SFT | 50 % (40–60 %) | note 1 |" in text
    assert text.count("no checkpoint stayed".capitalize()) == 1 and "1 further row has no figure" in text
    assert "| noise |" in "\n".join(results_pages._section("##", LEFT, whole=True))


def test_statements_without_a_verdict_stand_below_the_table() -> None:
    claims = [
        claim("holds"),
        claim("not run", "Not run here: x."),
        claim("not applicable", "Not applicable here: too few."),
    ]
    text = "\n".join(results_pages.statements(claims))
    assert text.count("\n| ") == 2 and "- Too few. So not asked: *A thing that not applicable*." in text
    assert "Not run: 1 further statement," in text


def test_a_picture_has_a_mark_for_every_figure_and_seed() -> None:
    picture = ElementTree.fromstring(results_pictures.figures(LEFT, *results_pages.of_figures(LEFT)))
    circles = [mark for mark in picture.iter() if mark.tag.endswith("circle")]
    assert len(circles) == 2 * (1 + 2)
    bars = ElementTree.fromstring(results_pictures.verdicts({"a": [claim("holds"), claim("undecided")]}))
    assert {"1", "holds", "undecided"} <= {mark.text for mark in bars.iter()}


def test_the_legend_stays_within_the_picture() -> None:
    """All verdicts at once take two lines."""
    marks = map(ElementTree.fromstring, results_pictures._legend([*results_pictures.VERDICTS]))
    names = {mark.text: float(mark.attrib["x"]) for mark in marks if mark.text}
    assert list(names) == [*results_pictures.VERDICTS]
    assert all(left + 5.5 * len(way) < results_pictures.WIDTH for way, left in names.items())


def test_a_page_opens_with_a_picture_and_the_finding() -> None:
    result = synthetic_result()
    head = "\n".join(results_pages.page("made-up", result)).split("\n\n")
    assert head[0] == f"# {result.title} (made-up)" and head[1].endswith("(made-up.svg)")
    assert next(results_pages.page(result.study, result)) == f"# {result.title}"
    assert 1 <= len(results_pages.finding(result)) <= 3 and head[2] == " ".join(results_pages.finding(result))


@pytest.mark.parametrize("page", [ROOT / "docs" / "replication.md", *sorted((ROOT / "docs" / "results").glob("*.md"))])
def test_every_page_of_results_opens_with_a_picture(page: Path) -> None:
    picture = re.match(r"# .+\n\n!\[.+\]\((\S+\.svg)\)\n\n\S", page.read_text(encoding="utf-8"))
    assert picture is not None
    ElementTree.parse(page.parent / picture[1])


def test_the_gallery_shows_every_page_of_results() -> None:
    """Each page's question, picture and first sentence, as they stand there now; all pages are in the gallery's order."""
    pages = results.pages_of_results()
    written = (ROOT / "docs" / "results" / "gallery.md").read_text(encoding="utf-8")
    assert written == "\n".join(results_pages.gallery(pages, results.reports())) + "\n", (
        "python benchmarks/results.py --gallery writes the page"
    )
    there = {page.stem for page in (ROOT / "docs" / "results").glob("*.md")}
    assert there - {"gallery"} == set(pages), "a page of results is missing in RUNS (benchmarks/results.py)"


def test_the_overview_counts_the_statements_that_lie_beside_the_pages() -> None:
    """So a page stands until its own study is run again, wherever the other studies ran."""
    statements = results.every_statement()
    assert set(statements) == set(results.pages_of_results())
    written = (ROOT / "docs" / "replication.md").read_text(encoding="utf-8")
    counted = results.of_studies(statements)
    others = (results.there(pages, statements) for pages in (results.FURTHER, results.BESIDE))
    assert written == results.in_print("\n".join(results_pages.overview(counted, *others)) + "\n"), (
        "python benchmarks/results.py --pages writes the page"
    )


def said(**verdicts: tuple[str, int]) -> list[ClaimView]:
    """Statements by name, each with its verdict and the number of seeds that it comes from."""
    figure = Estimate(0.5, 0.4, 0.6, 20, "t")
    return [
        claim(verdict).model_copy(update={"id": name, "ours": replace(figure, replicates=seeds)})
        for name, (verdict, seeds) in verdicts.items()
    ]


def test_a_statement_counts_as_the_run_with_the_most_seeds_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FURTHER", {"one-more": "one"})

    found = results.of_studies(
        {
            "one": said(
                a=("not run", 5), b=("undecided", 5), c=("not run", 5), d=("holds", 5), e=("not applicable", 5)
            ),
            "one-more": said(a=("holds", 5), b=("holds", 5), c=("not run", 5), d=("undecided", 15), e=("undecided", 5)),
        }
    )
    assert {name: [one.verdict for one in some] for name, some in found.items()} == {
        "one": ["holds", "undecided", "not run", "undecided", "undecided"]
    }


def test_a_page_counts_for_the_statements_that_it_was_run_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FURTHER", {"one-more": "one"})
    monkeypatch.setattr(results, "ASKED", {"one-more": {"b"}})
    pages = {
        "one": said(a=("holds", 5), b=("undecided", 5)),
        "one-more": said(a=("undecided", 8), b=("does not hold", 8)),
    }
    assert [one.verdict for one in results.of_studies(pages)["one"]] == ["holds", "does not hold"]


def test_pages_of_one_study_leave_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "DOCS", tmp_path)
    monkeypatch.setattr(results, "RUNS", {"one": (), "two": ()})
    found = synthetic_result()
    results.write_pages({"one": found})
    first = (tmp_path / "results" / "one.md").read_text(encoding="utf-8")
    results.write_pages({"two": found})
    assert (tmp_path / "results" / "one.md").read_text(encoding="utf-8") == first
    assert results.every_statement() == {"one": found.claims, "two": found.claims}
    overview = (tmp_path / "replication.md").read_text(encoding="utf-8")
    assert "[one](results/one.md)" in overview and "[two](results/two.md)" in overview


@pytest.mark.parametrize("report", sorted((ROOT / "docs" / "reports").glob("*.html")), ids=lambda place: place.stem)
def test_a_report_of_the_gallery_names_no_folder_of_the_machine_that_wrote_it(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert "</html>" in text and not re.search(r"(?<!\w)/(?:tmp|home|root|work|Users)/\w", text)


def test_the_gallery_takes_question_picture_and_first_sentence() -> None:
    page = (
        "# Mood: is it 0.5?\n\n![A picture](mood.svg)\n\nIt rose by 0.5 points (0.1 to 0.9). Nothing else did.\n\nmore"
    )
    assert "\n".join(results_pages.gallery({"mood": page})).endswith(
        "## Mood: is it 0.5?\n\n[![A picture](mood.svg)](mood.md)\n\nIt rose by 0.5 points (0.1 to 0.9)."
    )


def test_a_page_shows_two_warnings_of_a_kind_and_counts_the_others() -> None:
    warnings = [WarningView(name="Leaks", why=f"organism {number} leaks.") for number in range(5)]
    text = "\n".join(results_pages.page("one", synthetic_result().model_copy(update={"warnings": warnings})))
    assert "**Leaks.** organism 1 leaks." in text and "organism 2 leaks" not in text
    assert "**Leaks.** 3 more, which the report of the study names." in text
