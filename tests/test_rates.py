"""Finding learning rates: a ramp of rates on own answers, what each costs, and the grid that follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.cli.main import app
from cavesson.data.recipes import _chance
from cavesson.errors import CavessonError
from cavesson.evals.items import no_store
from cavesson.evals.rate_test import HIGHEST, RUNGS, RateTest, Rung, kept, top
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.models.recipes import LoRA
from cavesson.sampling.recipes import Generated
from cavesson.studies.fair import HARMLESS
from cavesson.studies.rates import SHORT, proposed, rate_test
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.optimizers import RAMP, factor_at


def ladder(*kept: float) -> list[Rung]:
    """Rungs at rising rates that keep so much of a capability of one half."""
    start = Rung(0.0, None, held_out=0.2, capability=0.5)
    return [start, *(Rung(10 ** (place / 2 - 5), 0.2, 0.2, 0.5 * share) for place, share in enumerate(kept))]


def test_the_middle_of_the_grid_is_the_highest_rate_that_costs_nothing() -> None:
    assert proposed(ladder(1.0, 1.0, 1.0, HARMLESS, 0.5, 0.1)) == (1e-4, 3e-4, 1e-3)
    assert proposed(ladder(1.0, 0.5, 1.0, 1.0)) == (3e-6, 1e-5, 3e-5)  # what a rung ruined, luck does not mend
    with pytest.raises(CavessonError, match="Even at 1e-05 its own answers cost"):
        proposed(ladder(0.5, 1.0))


def test_without_benchmarks_the_held_out_loss_decides() -> None:
    ramp = [Rung(lr, None, held_out, None) for lr, held_out in [(0, 0.5), (1e-4, 0.4), (1e-3, 0.45), (1e-2, 0.52)]]
    assert kept(ramp) == pytest.approx([1, 1, 0.951, 0.887], abs=1e-3)  # of 0.4: it had learnt to write as it writes
    assert proposed(ramp)[1] == 1e-3


def test_the_ramp_climbs_five_powers_of_ten_and_ends_at_the_highest_rate() -> None:
    steps = 3 * RUNGS
    rates = [top(steps) * factor_at("ramp", step, steps, warmup=0) for step in range(steps)]
    assert rates[0] == pytest.approx(top(steps) * RAMP) and rates[-1] == pytest.approx(HIGHEST)
    assert [rate / before for before, rate in zip(rates[2::3], rates[5::3], strict=False)] == pytest.approx(
        [10**0.5] * (RUNGS - 1)
    )


@pytest.fixture(scope="module")
def ramped(tmp_path_factory: pytest.TempPathFactory) -> tuple[RateTest, Store]:
    """The smallest model on a ramp, with few questions."""
    test = rate_test(Shipped(name="small"), benchmarks=["knowledge"], batch_size=4, adapter=LoRA(rank=4))
    test = test.model_copy(update={"suite": tuple(one.model_copy(update={"n": 10}) for one in test.suite)})
    store = Store(tmp_path_factory.mktemp("store"))
    with Lab(store) as lab:
        lab.make([test])
    return test, store


def test_a_model_is_measured_after_every_rung_and_breaks_at_the_top(ramped: tuple[RateTest, Store]) -> None:
    test, store = ramped
    start, *rungs = test.rungs(store.path)
    assert (start.lr, start.loss) == (0.0, None) and start.capability is not None
    assert [f"{rung.lr:.0e}" for rung in rungs[-3:]] == ["1e-02", "3e-02", "1e-01"] and len(rungs) == RUNGS
    shares = kept([start, *rungs])
    assert shares[1] >= HARMLESS > shares[-1]
    assert rungs[-1].held_out > start.held_out + 1
    losses = [json.loads(line) for line in (store.path(test) / "losses.jsonl").read_text().splitlines()]
    assert len(losses) == RUNGS * SHORT.steps and losses[-1]["lr"] == pytest.approx(HIGHEST)


def test_the_doctor_prints_a_table_and_the_setting_to_paste(
    ramped: tuple[RateTest, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    test, store = ramped
    monkeypatch.setattr("cavesson.studies.rates.rate_test", lambda *_, **__: test)
    asked = ["doctor", "--find-lr", "--model", "small", "--adapter", "4", "--store", str(store.root)]
    said = CliRunner().invoke(app, asked).output
    below, middle, above = proposed(test.rungs(store.path))
    assert f"--set blue.lrs='[{below:g},{middle:g},{above:g}]' --set blue.adapter.rank=4" in said
    assert "untouched" in said and f"{middle:.0e}" in said


def test_a_rate_is_found_for_a_model_alone(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["doctor", "--find-lr", "--store", str(tmp_path)])
    assert "--find-lr needs a model" in str(refused.exception)


def test_prompts_of_ones_own_leave_answers_to_train_on_and_to_hold_out() -> None:
    test = rate_test(Shipped(name="small"), prompts="everyday")
    answers = next(recipe for recipe in lineage(test) if isinstance(recipe, Generated))
    asked = answers.prompts.examples(no_store)
    held_out = {e.conversation.prompt for e in asked if _chance(e.conversation.prompt) < 0.2}
    assert 0 < len(held_out) < len({e.conversation.prompt for e in asked})
