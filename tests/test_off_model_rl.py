"""Recovery by reinforcement learning in the study `off-model-sft`: what it is planned from, what it tells, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cavesson.errors import ConfigError
from cavesson.evals.recipes import Probed
from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import TableView
from cavesson.lab.store import Store
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.run import run_study
from cavesson.studies.off_model.config import Rl
from cavesson.studies.off_model.grid import grid, rl_role
from cavesson.studies.off_model.rl import rl, rl_headline
from cavesson.studies.report import shown_by
from cavesson.studies.resolve import resolve
from off_model_results import Run, World, verdict

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


def results(after_rl: float | None, voice: str = "C") -> World:
    """A student that falls from 0.9 to 0.3 with its teacher, and what ten iterations of RL make of it."""
    run = Run("student", "dmitri", (table({0: 0.9, 60: 0.3}, {0: "A", 60: "D"}),))
    found = {} if after_rl is None else {"correct": (table({0: 0.3, 10: after_rl}, {0: "D", 10: voice}),)}
    return World((run,), rl=found, config={"recovery": SimpleNamespace(rl=Rl())})


def planned(*overrides: str, preset: str = "quick") -> list[tuple[str, int, Any, Any]]:
    """Every run of RL that a config asks for: its reward, its seed, its scores along the way, and the SFT it starts from."""
    config = resolve("off-model-sft", preset, overrides=overrides).config
    return [
        (reward, cell.seed, cell.recipes[rl_role(reward)], cell.recipes["run"])
        for cell in grid(config)
        for reward in ("correct", "random")
        if rl_role(reward) in cell.recipes
    ]


def test_rl_starts_from_the_damaged_student_and_practises_what_is_not_scored() -> None:
    found = planned("recovery.rl.rewards=[correct,random]", "recovery.rl.probes=[5,10]", "seeds=[0,1]")
    assert [(reward, seed) for reward, seed, *_ in found] == [(r, s) for s in (0, 1) for r in ("correct", "random")]
    for *_, probed, sft in found:
        run = probed.run
        assert isinstance(run, Reinforced) and run.base == sft.run
        assert probed.steps == (0, 5, 10) and run.steps == 10
        practised = {item.prompt for item in run.problems.items()}
        assert not practised & {item.prompt for item in probed.suite[0].items()}


def test_the_learning_rate_of_rl_may_anneal_and_rewards_may_be_shuffled() -> None:
    set_ = "recovery.rl.rewards=[shuffled]"
    [(cell, *_)] = [
        [c.recipes[rl_role("shuffled")]]
        for c in grid(resolve("off-model-sft", overrides=[set_, "recovery.rl.schedule=linear", "seeds=[0]"]).config)
        if rl_role("shuffled") in c.recipes
    ]
    assert isinstance(cell, Probed) and isinstance(cell.run, Reinforced)
    assert (cell.run.schedule, cell.run.reward.name) == ("linear", "shuffled")


def test_the_quick_preset_has_no_rl_and_the_full_one_has() -> None:
    assert not planned()
    assert {reward for reward, *_ in planned(preset="full")} == {"correct", "random"}


@pytest.mark.parametrize(("random", "told"), [(0.35, "holds"), (0.8, "does not hold")])
def test_random_rewards_are_the_control_of_right_ones(random: float, told: str) -> None:
    found = results(0.8)
    rl = {**found.rl, "random": (table({0: 0.3, 10: random}, {0: "D", 10: "D"}),)}
    assert verdict(replace(found, rl=rl), "right-rewards-matter") == told
    assert verdict(found, "right-rewards-matter") == "not run"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recovery.rl.probes=[]"], "too short a list"),
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
    run = planned(*given)[0][2].run
    assert isinstance(run, Reinforced) and run.problems.title == "practised"


def test_the_published_recovery_is_judged_by_the_share_regained() -> None:
    assert verdict(results(0.85), "rl-restores") == "holds"
    assert verdict(results(0.35), "rl-restores") == "does not hold"
    assert verdict(results(None), "rl-restores") == "not run"


def test_the_report_says_how_far_rl_came_and_in_whose_style() -> None:
    m = results(0.85).measured
    [told] = shown_by([rl_headline], m, [])
    assert told.endswith("the reasoning is then in these styles: C 100 % (its own is A).")
    parts = list(shown_by([rl], m))
    assert "rewards for right answers, seed 0" in [line.name for line in parts[0].series]
    assert ["0", "D 100 %", "C 100 %"] in [row for part in parts if isinstance(part, TableView) for row in part.rows]
    assert not list(shown_by([rl], results(None).measured))


def test_a_miniature_with_rl_comes_to_a_report(tmp_path: Path) -> None:
    overrides = [
        "seeds=[0]", "models=[small]", "teacher=student", "others=[]", "sft.prompts=4", "sft.steps=2", "sft.probes=[2]",
        "recovery.probes=[]", "recovery.rl.probes=[1,2]", "recovery.rl.problems=2", "recovery.rl.pool=4",
        "recovery.rl.group=2", "evaluation.n=2", "evaluation.max_tokens=8",
    ]  # fmt: skip
    store = Store(tmp_path / "store")
    finished = run_study(resolve("off-model-sft", overrides=overrides), store, workers=1)
    assert any(curve.title.startswith("Recovery of maths by RL") for curve in finished.result.curves)
    assert any(one.stage == "RL" for one in finished.result.transcripts)
    [(*_, probed, _)] = planned(*overrides)
    assert (store.path(probed) / ROLLOUTS).stat().st_size > 0
