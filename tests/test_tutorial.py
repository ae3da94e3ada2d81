"""The pages' code runs as printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from cavesson.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "own-intervention.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_tutorial_is_short() -> None:
    assert len(block("python").splitlines()) <= 40


def test_an_intervention_of_ones_own_runs_as_printed(tmp_path, monkeypatch, capsys):
    (tmp_path / "curt.py").write_text(block("python"))
    study = yaml.safe_load(block("yaml"))
    study["red"] = {"steps": 40, "prompts": 400}
    study["blue"] |= {"steps": 2, "probes": [2], "prompts": 8}
    study["reversal"] = {"steps": 1, "probes": [1], "prompts": 8}
    study["evaluation"] = {"n": 8, "n_control": 4}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["cavesson", "run", "mine.yaml", "--store", "store", "--out", "out", "--workers", "1"]
    )
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0, capsys.readouterr().err
    assert "curt" in (tmp_path / "out" / "report.html").read_text()
