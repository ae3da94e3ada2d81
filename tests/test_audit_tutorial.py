"""The tutorial's auditors run as printed, and what stands in its commands exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit_toys import toy_bench
from cavesson.audit.auditors.own import Own
from cavesson.audit.verdicts import read_verdicts
from cavesson.cli.main import app
from cavesson.errors import ConfigError

PAGE = Path(__file__).parent.parent / "docs" / "audit-tutorial.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def audit(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["audit", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_auditors_are_measured_on_the_built_in_bench_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("\n".join(blocks("python")))
    first = ["run", "--auditor", "mine.py:undocumented", "--affordance", "code", "--out", "verdicts.jsonl"]
    assert " ".join(["cavesson audit", *first]) in PAGE.read_text()
    said = audit(*first, "--cases", "hop,clock", "--unsafe-no-sandbox")
    assert "AUROC" in said and "undocumented@" in said
    verdicts = read_verdicts(Path("verdicts.jsonl"))
    assert len(verdicts) == 5 and any(verdict.fixes for verdict in verdicts)
    audit("report", "verdicts.jsonl", "--out", "report")
    assert "undocumented@" in Path("report/report.html").read_text()
    audit(*first, "--cases", "hop,clock", "--unsafe-no-sandbox")
    assert read_verdicts(Path("verdicts.jsonl")) == verdicts  # nothing is judged twice


def test_the_auditor_that_runs_experiments_sees_another_seed(tmp_path, monkeypatch):
    root = toy_bench(tmp_path / "bench")
    for seed in (0, 1):
        results = root / f"codebases/hop_b/results/seed_{seed}/results.json"
        results.parent.mkdir(parents=True)
        results.write_text(f'{{"left": [{2 + seed}, 3], "right": [1, 1]}}')
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(blocks("python")[1])
    choice = ["--auditor", "mine.py:new_seed", "--affordance", "experiments", "--bench", str(root), "--out", "v.jsonl"]
    audit("run", *choice, "--unsafe-no-sandbox")
    assert {verdict.credence for verdict in read_verdicts(Path("v.jsonl"))} == {0.25}  # of four numbers, seed 7's first


def test_every_command_and_option_of_the_page_exists():
    for line in "".join(blocks("bash")).splitlines():
        command = line.split("#")[0].split()
        if command[:2] == ["cavesson", "audit"]:
            known = CliRunner().invoke(app, ["audit", command[2], "--help"], env={"COLUMNS": "200"}).output
            assert not [word for word in command if word.startswith("--") and word not in known], line


@pytest.mark.parametrize(
    ("code", "message"),
    [("def judge(case, affordance):\n    return case.label\n", "raised AttributeError"), ("judge = 3\n", "is no function"), ("x = (", "cannot be loaded")],
)  # fmt: skip
def test_a_mistake_in_an_auditor_of_ones_own_is_one_sentence(tmp_path, monkeypatch, code, message):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(code)
    root = toy_bench(tmp_path / "bench")
    result = CliRunner().invoke(
        app, ["audit", "run", "--auditor", "mine.py:judge", "--bench", str(root), "--unsafe-no-sandbox"]
    )
    assert isinstance(result.exception, ConfigError) and message in result.exception.problem


def test_a_changed_auditor_is_another_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def judge(case, affordance):\n    return 0.2\n")
    before = Own("mine.py:judge").name
    Path("mine.py").write_text("def judge(case, affordance):\n    return 'high'\n")
    assert Own("mine.py:judge").name != before
