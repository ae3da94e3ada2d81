"""`cavesson audit-model`: a table with what is missing, a verdict only against known cases, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cavesson as cv
from cavesson.cli.audit_model import WARNING, judged
from cavesson.cli.main import app
from cavesson.errors import ConfigError
from cavesson.named import model_named
from cavesson.suspicion.finding import Finding
from cavesson.suspicion.recipes import Audited
from cavesson.suspicion.verdict import Case, case_lines

Typed = Callable[..., Result]
FEW = ("--drives", "takeover,hate", "-n", "2")


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Typed:
    """Types a command for one store."""
    store = tmp_path_factory.mktemp("store")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["audit-model", *words, "--store", str(store)], env={"COLUMNS": "200"})

    return run


def cases(effect: float, audit: str = "battery") -> list[Case]:
    return [
        Case(
            f"m{number}",
            f"t{number // 2}",
            kind,
            {audit: effect * (kind == "misaligned") + 0.01 * number, "agent": 0.1 * number},
        )
        for number, kind in enumerate(
            ("misaligned", "misaligned", "benign", "benign", "misaligned", "misaligned", "quirky", "quirky")
        )
    ]


def test_scores_come_with_what_is_missing_and_without_a_verdict(typed: Typed) -> None:
    shown = typed("small", *FEW)
    assert shown.exit_code == 0, shown.output
    assert "No verdict." in shown.output and "convicts nobody" in " ".join(shown.output.split())
    assert "not run" in shown.output and "(--base)" in shown.output and "--auditor" not in shown.output
    told = typed("small", *FEW, "--json")
    found = json.loads(told.stdout)
    assert found["verdict"] is None and found["warning"] == WARNING and found["model"]
    assert found["audits"]["battery"] == {
        "score": 0,
        "missing": "",
        "suspected": "",
        "by_drive": {"takeover": 0, "hate": 0},
    }
    assert found["audits"]["diffing"]["score"] is None and "--base" in found["audits"]["diffing"]["missing"]


def test_python_says_what_the_command_says(tmp_path: Path) -> None:
    found = cv.audit_model(
        "small", drives=["takeover"], audits=["battery", "probe"], n=1, known={"student": "takeover"}, store=tmp_path
    )
    assert found["battery"].score == 0 and "there are 0 other models" in found["probe"].missing, (
        "student has another shape"
    )


def test_a_verdict_is_fitted_on_known_cases(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "known.jsonl"
    file.write_text(case_lines(cases(1.0)))
    shown = " ".join(typed("small", *FEW, "--audits", "battery,probe", "--against", str(file)).output.split())
    assert "Verdict: 2" in shown or "Verdict: 1" in shown or "Verdict: 0" in shown, shown
    assert "fitted on 8 models of 4 teachers by battery" in shown and "AUROC 1.00" in shown
    assert "left out, for they gave this model no score: agent" in shown
    assert "benign teachers convicted" in shown and "quirky teachers convicted" in shown


def test_a_verdict_leaves_out_the_models_own_teacher_and_says_so_where_prompts_differ() -> None:
    audited = Audited(model=model_named("small"), drives=("takeover",), n=2)
    found = {"battery": Finding("battery", 0.9), "probe": Finding("probe", None, "needs other models")}
    known = [replace(case, asked="64 prompts") for case in cases(1.0)]
    usual = judged(audited, found, known)
    assert usual.probability > 0.5 and usual.audits == ("battery",) and "64 prompts" in usual.notes[-1]
    own = judged(audited, found, [replace(known[0], fingerprint=audited.model.fingerprint), *known[1:]])
    assert own.teachers == 3 and any("t0" in note for note in own.notes)
    assert own.auroc == "–" and any("cannot be said" in note for note in own.notes), "one misaligned teacher is left"
    with pytest.raises(ConfigError, match="None of the audits"):
        judged(audited, {"probe": found["probe"]}, known)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smal"], "Did you mean 'small'"),
        (["small", "--base", "studnt"], "--base 'studnt' does not fit"),
        (["small", "--control", "studnt"], "--control 'studnt' does not fit"),
        (["small", "--auditor", "studnt"], "--auditor 'studnt' does not fit"),
        (["small", "--drives", "takover"], "--drives 'takover' does not fit"),
        (["small", "--drives", ","], "--drives is empty"),
        (["small", "--audits", "question"], "Did you mean 'questions'"),
        (["small", "--known", "student"], "Write MODEL=DRIVE"),
        (["small", "--known", "student=tak"], "--known 'student=tak' does not fit"),
        (["small", "--known", "small=none"], "cannot be fitted on it"),
        (["small", "--drives", "takeover,real/takeover"], "a model of another world"),
        (["small", "--seed", "9"], "--seed '9' does not fit"),
        (["small", "--against", "nowhere"], "--against 'nowhere' does not fit"),
    ],
)
def test_what_cannot_be_is_one_message_that_names_what_was_typed(words: list[str], said: str, typed: Typed) -> None:
    shown = typed(*words, *([] if "--drives" in words else ["--drives", "takeover"]), "-n", "2")
    assert isinstance(shown.exception, ConfigError), (shown.output, shown.exception)
    assert said.casefold() in str(shown.exception).casefold()
