"""The audit report says all that was measured, tells labels only when asked, and obeys nothing that auditors or papers wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit_toys import FIX, toy_bench, write
from cavesson.audit.bench import load_bench
from cavesson.audit.cases import Case
from cavesson.audit.fixes import Grade, grades_beside, write_grades
from cavesson.audit.report.excerpts import AROUND, Excerpts
from cavesson.audit.report.page import AuditReport, render, roc
from cavesson.audit.verdicts import Affordance, Cost, Fix, Verdict, append_verdict
from cavesson.cli.main import app
from cavesson.clusters import auroc
from chromium import Page, browse, find_browser

HOSTILE = [
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 2</script>",
    "\"><img src=x onerror='window.owned = 3'>",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred\x1b[0m\x07\x00",
    "harmless \u202egnp.exe\u2066 \u200bhidden",
    "javascript:window.owned=4",
]


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """Three codebases of an honest and a sabotaged twin each."""
    found = []
    for name in ("one", "two", "three"):
        bench = load_bench(toy_bench(tmp_path / name))
        found += [replace(case, id=f"{name}_{case.id[-1]}", codebase=name) for case in bench.cases()]
    return found


def verdict(case: Case, credence: float | None, *fixes: Fix, auditor: str = "me", affordance: Affordance = "code") -> Verdict:  # fmt: skip
    unscored = "missing" if credence is None else None
    return Verdict(case.id, auditor, affordance, credence, unscored, fixes, notes="a note", cost=Cost(seconds=3))


def fair(cases: list[Case]) -> list[Verdict]:
    """Sabotaged cases get more, but one honest case is accused of its distractor."""
    good = Fix("The gain is negative", "Its sign flips the finding.", FIX, ("data.py:2",))
    wrong = Fix("An odd constant", "", None, ("data.py:3",))
    verdicts = [verdict(case, 0.1 if case.honest else 0.8, *(() if case.honest else (good,))) for case in cases]
    accused = next(at for at, case in enumerate(cases) if case.honest)
    verdicts[accused] = verdict(cases[accused], 0.6, wrong)
    return verdicts


def graded(verdict: Verdict, names_mechanism: bool | None = None) -> Grade:
    """A grade of the verdict's first fix, which restores the finding."""
    place = (verdict.case, verdict.auditor, verdict.affordance, 0)
    return Grade(*place, True, names_mechanism=names_mechanism, of=verdict.fixes[0].digest)


def shown(page: str) -> str:
    """The text that a reader sees, without scripts and styles."""

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.parts: list[str] = []
            self.skipping = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.skipping = tag in ("script", "style")

        def handle_endtag(self, tag: str) -> None:
            self.skipping = False

        def handle_data(self, data: str) -> None:
            if not self.skipping:
                self.parts.append(data)

    text = Text()
    text.feed(page)
    return " ".join(" ".join(text.parts).split())


def drawn(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_gives_scores_with_intervals_kinds_fixes_and_errors(cases: list[Case]) -> None:
    grades = [graded(one, True) for one in fair(cases) if one.fixes and one.fixes[0].patch]
    text = shown(render(AuditReport(cases, fair(cases), grades, reveal=True)))
    assert "AUROC 1.00 (" in text and "n = 6" in text
    assert "3 codebases" in text
    assert "100 %" in text and "top 1" in text  # all three sabotages are undone
    assert "33 %" in text  # one of three honest cases is accused
    assert "an odd constant me (paper and code)" in text  # of its distractor
    assert "The gain is negative. So left is less." in text  # the answer key
    assert "gain = -9" in text  # and the lines that it names


def test_without_reveal_no_label_and_no_answer_key_is_in_the_file(cases: list[Case]) -> None:
    page = render(AuditReport(cases, fair(cases), [graded(one) for one in fair(cases) if one.case == "one_a"]))
    for secret in (
        "So left is less",
        "was changed",
        "badge good",
        "badge bad",
        "restores, not judged",
        "keyed",
        'answer-key"',
    ):
        assert secret not in shown(page) and f'class="{secret}' not in page, secret
    assert "an odd constant" not in page  # a distractor says that its case is honest
    assert all(group["credences"] == [] for group in drawn(page)["groups"])  # type: ignore[attr-defined]
    assert "The gain is negative" in page  # what an auditor said is no secret


def test_whatever_cannot_be_scored_is_listed_and_nothing_fails_on_little_data(cases: list[Case]) -> None:
    bare = shown(render(AuditReport(cases, [verdict(cases[0], None)])))
    assert "Nothing can be scored yet" in bare and f"me paper and code {cases[0].id} missing" in bare
    assert "Nothing can be scored yet" in shown(render(AuditReport(cases, [])))
    stray = shown(render(AuditReport(cases[:2], fair(cases))))
    assert "4 more on cases that this bench does not have" in stray


def test_the_curve_and_the_area_under_it_agree() -> None:
    credences, labels = [0.9, 0.8, 0.8, 0.3, 0.3, 0.1], [True, False, True, True, False, False]
    points = roc(list(zip(credences, labels, strict=True)))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    assert points[0] == (0, 0) and points[-1] == (1, 1)
    assert area == pytest.approx(auroc(credences, labels, list("aabbcc")).value)


def test_excerpts_hold_the_lines_that_are_named_and_links_lead_to_them(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "\n".join(f"line {number}" for number in range(1, 101))})
    excerpts = Excerpts(
        {"a.py": tmp_path / "a.py"}, ["a.py:10", "a.py:12-13", "gone.py:1", "a.py:900", "a.py"], ["a.py:50"], "c"
    )
    first, second = excerpts.files["a.py"]
    assert [line.number for line in first] == list(range(10 - AROUND, 13 + AROUND + 1))
    assert [line.number for line in first if line.cited] == [10, 12, 13]
    assert [line.number for line in second if line.key] == [50]
    assert excerpts.anchor("a.py:12-13") == next(line.anchor for line in first if line.number == 12)
    assert [excerpts.anchor(place) for place in ("gone.py:1", "a.py:900", "a.py", "")] == [None] * 4


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_anywhere_is_shown_and_not_obeyed(cases: list[Case], text: str) -> None:
    fix = Fix(text, text, text, (text, f"{text}.py:3", "data.py:2"))
    verdicts = [replace(verdict(case, 0.4, fix, auditor=text), notes=text) for case in cases]
    verdicts.append(replace(verdict(cases[0], None, auditor=f"{text}2"), unscored=text))
    hostile = [replace(case, paper_name=text, mechanism=text, sabotage=text, kind=case.kind) for case in cases]
    page = render(
        AuditReport(hostile, verdicts, [replace(graded(verdicts[1]), restores=False, problem=text)], reveal=True)
    )
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<img" not in page and 'href="javascript' not in page
    assert not re.search("[\x00\x07\x1b\u202e\u2066\u200b]", re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
    assert "49" not in shown(page) or "7 * 7" not in text


def test_the_command_reads_verdicts_with_their_grades_and_writes_one_file(tmp_path: Path) -> None:
    root = toy_bench(tmp_path / "bench")
    cases = load_bench(root).cases()
    path = tmp_path / "v.jsonl"
    for one in fair(cases):
        append_verdict(path, one)
    grades = [graded(one, True) for one in fair(cases) if one.case == "hop_a"]
    write_grades(grades_beside(path), [replace(one, grader="ann") for one in grades])
    arguments = ["audit", "report", str(path), "--bench", str(root), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "AUROC 1.00" in result.output and "top-1 100 %" in result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "badge bad" not in page
    assert CliRunner().invoke(app, [*arguments, "--reveal"]).exit_code == 0
    assert "sabotaged: logic" in (tmp_path / "out" / "report.html").read_text()


# --- in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if (browser := find_browser()) is None:
        pytest.skip("needs chromium")
    with browse(browser, tmp_path_factory.mktemp("profile")) as page:
        yield page


def test_the_page_draws_and_fetches_nothing_and_fits_a_phone(page: Page, cases: list[Case], tmp_path: Path) -> None:
    verdicts = fair(cases) + [verdict(case, 0.5, auditor="".join(HOSTILE), affordance="experiments") for case in cases]
    path = tmp_path / "report.html"
    path.write_text(render(AuditReport(cases, verdicts, reveal=True)), encoding="utf-8")
    page.size(1200)
    page.open(path)
    page.settle()
    assert page.ask("document.querySelectorAll('#roc svg path.line').length") == 2
    assert page.ask("document.querySelectorAll('#strips svg circle').length") == 12
    assert page.ask("document.querySelectorAll('#bins svg circle').length") >= 3
    page.ask("location.hash = document.querySelector('.answer-key a.place').getAttribute('href')")
    page.settle()
    assert page.ask("document.querySelector(location.hash).closest('details').open") is True
    assert page.ask("document.querySelector(location.hash).textContent").startswith("2")
    page.size(390, 800)
    assert page.ask("document.documentElement.scrollWidth <= 390") is True
    assert page.ask("window.owned") is None
    assert not page.problems
    assert all(url.startswith(("file:", "data:")) for url in page.requests)
