"""Recovery by reinforcement learning in the study `off-model-sft`: what it is planned from, what it tells, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavesson.errors import ConfigError
from cavesson.evals.scores import Score, Scores
from cavesson.lab.store import Store
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.run import run_study
from cavesson.studies.off_model.config import Rl
from cavesson.studies.off_model.results import Cell, OffModelResults
from cavesson.studies.off_model.rl import rl_restores, sections
from cavesson.studies.off_model.study import layout
from cavesson.studies.resolve import resolve

N = 100


def table(rates: dict[int, float], voices: dict[int, str]) -> Scores:
    """Maths with these rates and voices by step."""
    return Scores(
        [
            Score(step, "maths", f"m/{i}", 1 + i % 5, [], f"{i}", int(i < rate * N), True, {"voice": voices[step]})
            for step, rate in rates.items()
            for i in range(N)
        ]
    )


def results(after_rl: float | None, voice: str = "C") -> OffModelResults:
    """A student that falls from 0.9 to 0.3 with its teacher, and what ten iterations of RL make of it."""
    cell = Cell("student", "dmitri", "LoRA 8", False, (0,), (table({0: 0.9, 60: 0.3}, {0: "A", 60: "D"}),))
    rl = {} if after_rl is None else {"correct": (table({0: 0.3, 10: after_rl}, {0: "D", 10: voice}),)}
    return OffModelResults("maths", [cell], {}, {}, arms_teacher="dmitri", rl=rl)


def test_rl_starts_from_the_damaged_student_and_practises_what_is_not_scored() -> None:
    overrides = ["recovery.rl.rewards=[correct,random]", "recovery.rl.probes=[5,10]", "seeds=[0,1]"]
    plan = layout(resolve("off-model-sft", overrides=overrides).config)
    assert [(one.reward, one.seed) for one in plan.rl] == [(r, s) for s in (0, 1) for r in ("correct", "random")]
    for one in plan.rl:
        run = one.probed.run
        assert isinstance(run, Reinforced) and one.probed in plan.recipes()
        assert run.base == next(r.probed.run for r in plan.runs if r.seed == one.seed and not r.teacher.on_model)
        assert one.probed.steps == (0, 5, 10) and run.steps == 10
        practised = {item.prompt for item in run.problems.items()}
        assert not practised & {item.prompt for item in one.probed.suite[0].items()}


def test_the_quick_preset_has_no_rl_and_the_full_one_has() -> None:
    assert not layout(resolve("off-model-sft").config).rl
    assert {one.reward for one in layout(resolve("off-model-sft", "full").config).rl} == {"correct", "random"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recovery.rl.probes=[]"], "at least 1 iteration"),
        (["recovery.rl.pool=10"], "64 problems cannot be drawn from a pool of 10"),
        (["recovery.rl.practise=nowhere.jsonl"], "nowhere.jsonl"),
        (["recovery.rl.practise=maths"], "cannot practise 'maths'"),
    ],
)
def test_what_cannot_be_practised_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("off-model-sft", overrides=overrides)


def test_questions_of_the_users_own_need_problems_of_the_users_own(tmp_path: Path) -> None:
    for name in ("asked", "practised"):
        (tmp_path / f"{name}.jsonl").write_text('{"prompt": "1 + 1?", "answer": "2"}\n' * 3)
    scored = f"evaluation.benchmarks=['{tmp_path}/asked.jsonl']"
    with pytest.raises(ConfigError, match=r"give recovery\.rl\.practise"):
        resolve("off-model-sft", overrides=[scored, "recovery.rl={}"])
    given = [scored, f"recovery.rl.practise={tmp_path}/practised.jsonl"]
    run = layout(resolve("off-model-sft", overrides=given).config).rl[0].probed.run
    assert isinstance(run, Reinforced) and run.problems.title == "practised"


def test_the_published_recovery_is_judged_by_the_share_regained() -> None:
    assert rl_restores(results(0.85)).verdict == "holds"
    assert rl_restores(results(0.35)).verdict == "does not hold"
    assert rl_restores(results(None)).verdict == "undecided"


def test_the_report_says_how_far_rl_came_and_in_whose_voice() -> None:
    block = sections(Rl(), results(0.85))
    assert block.headline[0].endswith("the reasoning is then in these voices: C 100 % (its own is A).")
    assert "rewards for right answers, seed 0" in [line.name for line in block.curves[0].series]
    assert ["0", "D 100 %", "C 100 %"] in [row for table in block.tables for row in table.rows]
    assert not sections(Rl(), results(None)).tables


def test_a_miniature_with_rl_comes_to_a_report(tmp_path: Path) -> None:
    overrides = [
        "models=[small]", "teacher=student", "others=[]", "sft.prompts=4", "sft.steps=2", "sft.probes=[2]",
        "recovery.probes=[]", "recovery.rl.probes=[1,2]", "recovery.rl.problems=2", "recovery.rl.pool=4",
        "recovery.rl.group=2", "evaluation.n=2", "evaluation.max_tokens=8",
    ]  # fmt: skip
    store = Store(tmp_path / "store")
    finished = run_study(resolve("off-model-sft", overrides=overrides), store, workers=1)
    assert any(curve.title.startswith("Recovery of maths by RL") for curve in finished.result.curves)
    assert any(one.stage == "RL" for one in finished.result.transcripts)
    [rl] = layout(resolve("off-model-sft", overrides=overrides).config).rl
    assert (store.path(rl.probed) / ROLLOUTS).stat().st_size > 0
