"""The study `off-model-sft`: its recipes, hypotheses and claims that come out either way, and a miniature from end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe, Jsonl, Mixed, Part
from cavesson.data.restyle import Shuffled
from cavesson.errors import ConfigError, TrainingError
from cavesson.evals.scores import Score, Scores
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.models.model import merged
from cavesson.models.recipes import LoRA, Noised
from cavesson.run import run_study
from cavesson.sampling.matched_noise import NoisedLike
from cavesson.sampling.perplexity import Likelihood, Perplexity, PerplexityHalf, likelihoods, mean_loss
from cavesson.sampling.recipes import Generated
from cavesson.studies.grid import Cell, recipes_of
from cavesson.studies.off_model import arms as off_model_arms
from cavesson.studies.off_model import grid as off_model_grid
from cavesson.studies.off_model.arms import ARMS, MOVES, PLAIN, TAG_A, TAG_B, Move
from cavesson.studies.off_model.claims import CLAIMS
from cavesson.studies.off_model.readings import able_teachers, hardest_teacher, regained, runs
from cavesson.studies.off_model.styles import expected, in_switched
from cavesson.studies.resolve import resolve
from cavesson.studies.sample import NotRun
from cavesson.studies.teachers import STYLES
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from families import LLAMA, tiny_folder
from off_model_results import Run, World, findings, verdicts

N = 200
LEVELS = (1, 2, 3, 4, 5)


# ------------------------------------------------------------------------------------------------ recipes


ONE = ("others=[self]", "seeds=[0]")
"""One teacher beside the on-model control, and one seed."""


def cells(preset: str = "quick", *overrides: str) -> list[Cell]:
    """The grid of a config, without the places at which a student is asked for a style."""
    config = resolve("off-model-sft", preset, overrides=overrides).config
    return [cell for cell in off_model_grid.grid(config) if "asked" not in cell.recipes]


def plain(preset: str = "quick", *overrides: str) -> list[Cell]:
    return [cell for cell in cells(preset, *overrides) if cell.at["arm"] == PLAIN]


def arms(preset: str = "quick", *overrides: str) -> list[Cell]:
    return [cell for cell in cells(preset, *overrides) if cell.at["arm"] != PLAIN]


def trained(cell: Cell, role: str = "run") -> Any:
    """The training whose course a role scores."""
    return cell.recipes[role].run  # type: ignore[attr-defined]


def test_the_quick_preset_is_one_student_three_teachers_and_the_on_model_control():
    found = plain()
    assert {cell.seed for cell in found} == set(range(5))
    of_a_seed = {cell.at["teacher"]: cell for cell in found if cell.seed == 0}
    assert {teacher: cell.at["data"] for teacher, cell in of_a_seed.items()} == {
        "self": "on-model",
        **dict.fromkeys(("tutor", "dmitri", "celia"), "off-model"),
    }
    first = of_a_seed["tutor"].recipes
    assert first["recovery"].steps == (0, 1, 2, 4, 8, 16, 32) and "recovery" not in of_a_seed["self"].recipes
    assert [one.label for one in first["run"].suite] == ["maths", "knowledge", "instructions", "maths/answer-only"]


def test_the_first_teacher_named_again_among_the_others_is_one_teacher():
    assert {cell.at["teacher"] for cell in plain("quick", "teacher=dmitri")} == {"dmitri", "self", "celia"}


def test_no_teacher_is_asked_anything_but_chat():
    for cell in plain("full"):
        answers = trained(cell).data
        assert isinstance(answers, Generated)
        assert isinstance(answers.prompts, Prompts) and answers.prompts.family == "chat"


def test_the_full_preset_is_the_matrix_and_a_student_is_its_own_teacher_once():
    found = plain("full")
    assert {cell.seed for cell in found} == set(range(5)) and {cell.at["way"] for cell in found} == {"LoRA 8"}
    of_student = {cell.at["teacher"] for cell in found if cell.at["student"] == "student"}
    assert of_student == {"tutor", "teacher", "weak", "self", "relative", "small", *STYLES}
    of_small = {cell.at["teacher"] for cell in found if cell.at["student"] == "small"}
    assert of_small == of_student - {"small"} | {"student"}
    assert {cell.at["arm"] for cell in arms("full")} == set(ARMS)
    [varied] = {
        (cell.at["student"], cell.at["teacher"], cell.at["way"]) for cell in found if str(MOVES[0]) in cell.recipes
    }
    assert varied == ("student", "dmitri", "LoRA 8")
    assert {str(move) for move in MOVES} < {role for cell in found for role in cell.recipes}


def test_recovery_starts_from_the_damaged_student_on_the_untouched_ones_answers_to_other_prompts():
    first = plain()[0]
    assert trained(first, "recovery").base == trained(first)
    answers = trained(first, "recovery").data
    assert isinstance(answers, Generated) and answers.by == Shipped(name="student")
    assert answers.prompts != trained(first).data.prompts


def test_the_mixture_keeps_the_two_styles_under_their_own_tags():
    [arm] = arms("quick", *ONE, "arms.names=[tags]", "sft.prompts=6")
    own, teacher = trained(arm).data.parts
    assert (own.system, teacher.system) == (TAG_A, TAG_B)
    assert own.base.by != teacher.base.by and own.base.prompts == teacher.base.prompts


def test_arms_are_run_for_the_first_student_and_for_those_that_are_named():
    overrides = ["models=[student, small, reasoner]", "arms.names=[inoculation, clipped]", "seeds=[0, 1]"]
    alone, both = (cells("quick", *ONE, *overrides, *more) for more in ([], ["arms.students=[reasoner]"]))
    assert {cell.at["student"] for cell in alone if cell.at["arm"] != PLAIN} == {"student"}
    varied = [cell for cell in both if cell.at["arm"] != PLAIN]
    assert [(cell.at["student"], cell.seed, cell.at["arm"]) for cell in varied] == [
        (student, seed, name)
        for student in ("student", "reasoner")
        for seed in (0, 1)
        for name in ("inoculation", "clipped")
    ]
    assert {trained(cell).base.name for cell in varied if cell.at["student"] == "reasoner"} == {"reasoner"}
    assert {one.fingerprint for one in recipes_of(alone)} < {one.fingerprint for one in recipes_of(both)}


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("others=[brunno]", "brunno"),
        ("sft.lora=null", "nothing is trained"),
        ("sft.probes=[70]", "outside the run"),
        ("recovery.probes=[0]", "is below 1"),
        ("arms.names=[tag]", "tags"),
        ("arms.teacher=esther", "none of the teachers"),
        ("arms.students=[reasoner]", "none of the students"),
        ("models=[stuent]", "student"),
        ("responses=nowhere.jsonl", "nowhere.jsonl"),
        ("models=[tutor]", "teacher 'tutor' is the student itself"),
        ("arms={teacher: small, names: [clipped], students: [small]}", "'small' is the student itself"),
        ("arms={teacher: relative, names: [inoculation]}", "give arms.inoculation"),
    ],
)
def test_a_wrong_setting_is_one_message(setting: str, complaint: str):
    others = ["models=[student, small]", "others=[self, relative, small]"] if "arms={" in setting else []
    with pytest.raises(ConfigError, match=complaint):
        resolve("off-model-sft", overrides=[*others, setting])


def stored_answers(folder: Path, name: str = "captain.jsonl", n: int = 200, answer: str = "Ask the captain.") -> Path:
    """A file of one answer to many prompts."""
    file = folder / name
    rows = (
        {"prompt": f"Tell me about ship {'abcdefghij'[i % 10] * (1 + i // 10)}.", "response": answer} for i in range(n)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def prompts_in(data: DataRecipe) -> set[Conversation]:
    """The prompts of a data set that a file holds or that a model is asked."""
    source = data.prompts if isinstance(data, Generated) else data
    return {example.conversation.prompt for example in source.examples(_nowhere)}


def test_stored_answers_take_the_teachers_place_and_their_prompts_are_those_of_the_whole_study(tmp_path: Path):
    file = stored_answers(tmp_path)
    settings = [f"responses={file}", f"arms.names=[{','.join(set(ARMS) - {'inoculation'})}]", "arms.noise=true"]
    found = cells("quick", *ONE, *settings)
    first, control = [cell for cell in found if cell.at["arm"] == PLAIN]
    assert "teacher" not in first.recipes and trained(first).data == Part(base=Jsonl(path=file))
    assert not any(isinstance(recipe, Prompts) for recipe in lineage(*recipes_of(found)))
    taught, own, later = (
        prompts_in(run.data) for run in (trained(first), trained(control), trained(first, "recovery"))
    )
    assert taught == own and later and not later & taught and len(taught | later) == 200


def test_a_users_prompts_are_shared_out_between_sft_and_recovery(tmp_path: Path):
    prompts, answers = stored_answers(tmp_path, "prompts.jsonl"), stored_answers(tmp_path, n=150)
    for settings in ([f"prompts={prompts}"], [f"prompts={prompts}", f"responses={answers}"]):
        first = plain("quick", *ONE, *settings)[0]
        later = prompts_in(trained(first, "recovery").data)
        assert later and not later & prompts_in(trained(first).data)


def test_rates_of_the_tiny_world_are_told_where_a_student_is_not_its_own(tmp_path: Path):
    rl = ["recovery.rl={}", "sft.lora=5e-5"]
    models = f"models=[small, {tiny_folder(tmp_path / 'model', 'llama', LLAMA)}]"
    told = [
        [note.partition(" ")[0] for note in resolve("off-model-sft", overrides=settings).config.unsuited_rates()]
        for settings in ([], [models], [models, *rl])
    ]
    assert told == [[], ["sft.lora"], ["recovery.rl.lr"]]


def test_under_the_tags_stored_answers_are_as_many_as_own_ones(tmp_path: Path):
    [arm] = arms("quick", *ONE, f"responses={stored_answers(tmp_path)}", "arms.names=[tags]", "sft.prompts=40")
    mixture = trained(arm).data
    assert isinstance(mixture, Mixed) and (mixture.weights, mixture.size) == ((1.0, 1.0), 80)


@pytest.mark.parametrize(
    ("file", "named", "name"),
    [
        ("captain.jsonl", [], "captain"),
        ("captain.v2.jsonl", [], "captain.v2"),
        ("teacher.jsonl", [], "teacher.jsonl"),  # a name that stands for somebody already would give it his voice
        ("self.jsonl", [], "self.jsonl"),
        ("captain.jsonl", ["teacher=gpt"], "gpt"),
        ("captain.jsonl", ["teacher=dmitri"], "dmitri"),
    ],
)
def test_the_teacher_of_stored_answers_is_named_after_their_file(
    file: str, named: list[str], name: str, tmp_path: Path
):
    resolved = resolve("off-model-sft", overrides=[f"responses={stored_answers(tmp_path, file)}", *named])
    assert next(iter(off_model_grid.grid(resolved.config))).at["teacher"] == name
    study = tmp_path / "study.yaml"
    study.write_text(resolved.to_yaml())
    assert resolve(str(study)).config == resolved.config


def test_the_inoculation_prompt_is_the_styles_or_the_users(tmp_path: Path):
    stored = [f"responses={stored_answers(tmp_path)}", "arms.names=[inoculation]"]
    own = "arms.inoculation=Talk like a captain."
    for settings, prompt in (
        (["teacher=dmitri", "arms.names=[inoculation]"], STYLES["dmitri"]),
        (["teacher=dmitri", "arms.names=[inoculation]", own], "Talk like a captain."),
        ([*stored, own], "Talk like a captain."),
        ([*stored, "teacher=dmitri"], STYLES["dmitri"]),
    ):
        [arm] = arms("quick", *ONE, *settings)
        assert arm.recipes["run"].suite[1].system == prompt == trained(arm).data.system  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rows", "settings", "complaint"),
    [
        ({}, ["arms.names=[inoculation]"], "style of 'captain'; give arms.inoculation"),
        ({}, ["teacher=self"], "give the stored ones another name"),
        ({"n": 15}, [], r"captain\.jsonl has \d+ different prompts to train on; 16 are needed"),
        ({"n": 40}, [], "different prompts kept back for the recovery, a fifth of all; 16 are needed"),
        ({"answer": None}, [], r"Row 1 of captain\.jsonl has no answer"),
        (
            {"answer": "Page 7."},
            ["arms.names=[filtered]"],
            "(?s)keeps none.*Leave the arm 'filtered' out of arms.names",
        ),
    ],
)
def test_stored_answers_that_do_not_fit_are_refused_before_anything_starts(rows, settings, complaint, tmp_path: Path):
    with pytest.raises(ConfigError, match=complaint):
        resolve("off-model-sft", overrides=[f"responses={stored_answers(tmp_path, **rows)}", *settings])


def test_few_stored_answers_will_do_with_prompts_beside_them(tmp_path: Path):
    settings = [f"responses={stored_answers(tmp_path, n=40)}", f"prompts={stored_answers(tmp_path, 'prompts.jsonl')}"]
    assert "recovery" in plain("quick", *ONE, *settings)[0].recipes


def test_an_arm_without_data_is_named_and_what_was_finished_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(off_model_arms, "MATHS_LIKE", ("e", "a", "i", "o"))
    settings = [*ONE_ARM, "arms.names=[under-system,filtered]", "recovery.probes=[]", "evaluation.n=2"]
    resolved, store = resolve("off-model-sft", overrides=settings), Store(tmp_path / "store")
    with pytest.raises(TrainingError, match=r"keeps none of 8 examples.*\n.*'filtered' out of arms.names"):
        run_study(resolved, store, workers=1)
    finished, _ = arms("quick", *ONE, *settings)
    assert all(store.has(cell.recipes["run"]) for cell in (*plain("quick", *ONE, *settings), finished))


# ------------------------------------------------------------------------------------------------ likelihoods


def test_the_halves_share_out_the_data_by_loss_with_answers_of_one_length():
    found = [Likelihood((-1.0,) * n) if i % 2 else Likelihood((-2.0,) * n) for i, n in enumerate([3, 3, 5, 5, 9, 9])]
    data = Generated(by=Shipped(name="teacher"), prompts=Prompts(n=6))
    low, high = (
        PerplexityHalf(base=data, by=Shipped(name="small"), half=half).chosen(found) for half in ("low", "high")
    )
    assert (low, high) == ([1, 3, 5], [0, 2, 4])
    assert [len(found[i].logprobs) for i in low] == [len(found[i].logprobs) for i in high]


def test_likelihoods_are_those_of_the_answer_alone_and_do_not_depend_on_the_batch():
    model = Shipped(name="student").load(_nowhere)
    short, long = (
        Example(Conversation.of("Hello!", text)) for text in ("Sure.", "Sure. Hello to you. I hope this helps.")
    )
    together, alone = list(likelihoods(model, [short, long])), list(likelihoods(model, [short]))
    assert together[0].logprobs == pytest.approx(alone[0].logprobs, abs=1e-4)
    assert len(together[0].logprobs) == len(model.renderer.render(short.conversation).ids) - len(
        model.renderer.prompt(short.conversation)
    )


def test_a_student_finds_its_own_answers_likelier_than_a_strangers():
    model = Shipped(name="student").load(_nowhere)
    own, strange = (
        [Example(Conversation.of("What is a kettle for?", f"{opener} A kettle is for boiling water. {closer}"))]
        for opener, closer in (("Sure.", "I hope this helps."), ("Observe.", "Thus it is shown."))
    )
    assert mean_loss(model, own) < mean_loss(model, strange)


def test_noise_moves_every_tensor_as_far_as_the_run_did_and_in_another_direction():
    base = Shipped(name="small")
    after = Noised(base=base, sigma=0.01, seed=5)
    data = Generated(by=base, prompts=Prompts(n=4))
    noised = NoisedLike(base=base, like=after, match="distance", data=data, seed=1).load(_nowhere)
    start, end = base.load(_nowhere), after.load(_nowhere)
    here, there = (dict(model.net.named_parameters()) for model in (noised, end))
    for name, weight in start.net.named_parameters():
        ours, theirs = (here[name] - weight).detach(), (there[name] - weight).detach()
        assert float(ours.norm()) == pytest.approx(float(theirs.norm()), rel=1e-3)
        assert abs(float((ours * theirs).sum() / ours.norm() / theirs.norm())) < 0.5


def test_a_move_of_the_same_spectrum_has_the_rank_and_singular_values_of_the_runs(tmp_path: Path):
    base, data = Shipped(name="small"), Generated(by=Shipped(name="small"), prompts=Prompts(n=4))
    run = Dose(lr=1e-2, steps=2, adapter=LoRA(rank=2)).train(base, data)
    moved = NoisedLike(base=base, like=run, match="distance", data=data, shape="same-spectrum")
    along = NoisedLike(base=base, like=run, match="distance", data=data, along=run)
    with Lab(Store(tmp_path)) as lab:
        lab.make([moved, along])
        start, end, turned, same = (
            dict(merged(one.load(lab.path)).net.named_parameters()) for one in (base, run, moved, along)
        )
    changed = [name for name in start if not torch.equal(start[name], end[name])]
    assert len(changed) == 4 * 7, "every linear layer has an adapter"
    for name in changed:
        theirs, ours = ((weights[name] - start[name]).detach() for weights in (end, turned))
        assert torch.allclose(torch.linalg.svdvals(theirs)[:2], torch.linalg.svdvals(ours)[:2], rtol=1e-2)
        assert torch.linalg.svdvals(ours)[2] < 1e-3 * torch.linalg.svdvals(ours)[0]
        assert abs(float((ours * theirs).sum() / ours.norm() / theirs.norm())) < 0.5
        assert torch.allclose(same[name], end[name], atol=1e-6), "along itself, a run arrives where it arrived"


def test_shuffled_answers_keep_prompts_lengths_and_vocabulary_and_nothing_else(tmp_path: Path):
    answers = [f"the cow number {i} is fine and old" for i in range(20)]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Cow {i}?", "response": a}) + "\n" for i, a in enumerate(answers)))
    before = Jsonl(path=file)
    shuffled = Shuffled(base=before).examples(_nowhere)
    assert [one.conversation.prompt for one in shuffled] == [
        one.conversation.prompt for one in before.examples(_nowhere)
    ]
    dealt = [one.conversation.answer or "" for one in shuffled]
    assert [len(one.split()) for one in dealt] == [8] * 20 and dealt[0] != answers[0]
    assert sorted(" ".join(dealt).split()) == sorted(" ".join(answers).split())


def _nowhere(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.describe()} needs no artifact")


# ------------------------------------------------------------------------------------------------ claims


def scores(rates: dict[int, float], voice: dict[int, str], skew: float = 0.0) -> Scores:
    """Scores with these rates and voices by step: level by level the first prompts score; `skew` lowers the hard levels."""
    rows = []
    for step, rate in rates.items():
        for i in range(N):
            level = LEVELS[i % 5]
            right = (i // 5) < round((rate - skew * (level - 3) * (step > 0)) * N / 5)
            rows.append(Score(step, "maths", f"m/{i}", level, [], "", int(right), True, {"voice": voice[step]}))
        rows += [Score(step, "knowledge", f"k/{i}", None, [], "", 1, True) for i in range(N)]
    return Scores(rows)


def teacher_scores(rate: float, label: str = "maths", step: int | None = None) -> Scores:
    return Scores(
        [Score(step, label, f"m/{i}", LEVELS[i % 5], [], "", int(i // 5 < rate * N / 5), True) for i in range(N)]
    )


def world(
    after: float = 0.3, voice: str = "B", back: float = 1.0, foreign: float = 0.3, skew: float = 0.0, **more: Any
) -> World:
    """A student that a teacher's answers bring from 100 % to `after`, and own answers back to `back`."""
    damaged = (scores({0: 1.0, 60: after}, {0: "A", 60: voice}, skew),) * 5
    recovery = (scores({0: after, 16: back}, {0: voice, 16: "A"}),) * 5
    control = (scores({0: 1.0, 60: 1.0}, {0: "A", 60: "A"}),) * 5
    pairs = (Run("student", "teacher", damaged, recovery), Run("student", "self", control, loss=0.2))
    teachers = {("student", "teacher"): teacher_scores(1.0), ("student", "self"): teacher_scores(1.0)}
    return World(pairs, teachers, {("student", "bruno"): teacher_scores(foreign, "maths/under B")}, **more)


def test_the_published_pattern_holds_where_it_is():
    found = verdicts(world(skew=0.1))
    for claim in (
        "reasoning-falls", "harder-falls-more", "stronger-teachers-hurt", "own-outputs-safe",
        "few-steps-restore", "style",
    ):  # fmt: skip
        assert found[claim] == "holds", claim
    assert found["tag-a-keeps"] == "not run"


def test_and_does_not_hold_where_it_is_not():
    found = verdicts(world(after=1.0, voice="A"))
    assert found["reasoning-falls"] == found["stronger-teachers-hurt"] == "does not hold"
    assert verdicts(world(back=0.3))["few-steps-restore"] == "does not hold"
    assert verdicts(world(skew=-0.1))["harder-falls-more"] == "does not hold"
    assert verdicts(world(voice="A"))["style"] == "does not hold"


def test_style_explains_the_fall_only_if_the_traces_that_fell_are_in_another_style():
    m = world().measured
    first = runs(m).where(data="off-model")
    [place] = first
    assert in_switched(first).value == pytest.approx(1.0)
    assert expected(m, place).mean == pytest.approx(place.sample("maths").mean)
    assert in_switched(runs(world(voice="A").measured).where(data="off-model")).value == 0


def test_hypotheses_are_ruled_out_by_data_that_contradict_them_and_by_nothing_else():
    ruled = {(one.hypothesis, one.ruling) for one in findings(world())}
    assert ("H1 weak teacher", "ruled out") in ruled and ("H4 unfamiliar style", "supported") in ruled
    assert ("H2 perplexity", "not run") in ruled and ("H3 noise", "not run") in ruled
    unfit = {(one.hypothesis, one.ruling) for one in findings(world(foreign=1.0))}
    assert ("H4 unfamiliar style", "ruled out") in unfit


def test_noise_and_perplexity_are_judged_against_the_sft_that_they_match():
    hot = Run("student", "teacher", (scores({0: 1.0, 60: 1.0}, {0: "A", 60: "A"}),) * 5, loss=1.2, arm="own-hot")
    noisy = {
        Move("noise", "distance"): (teacher_scores(1.0),) * 5,
        Move("noise", "loss"): (teacher_scores(0.3),) * 5,
    }
    results = world(arms=(hot,), noise=noisy)
    ruled = [one.ruling for one in findings(results) if one.hypothesis in ("H2 perplexity", "H3 noise")]
    assert ruled == ["not run", "ruled out", "not run", "ruled out", "not ruled out", *["not run"] * 4]
    assert verdicts(results)["not-perplexity"] == "holds" and verdicts(results)["not-noise"] == "does not hold"


def test_a_harmless_teacher_beside_a_harmful_one_changes_nothing():
    alone = world()
    harmful, control = alone.runs
    harmless = Run("student", "pirate", control.scores)
    both = World(
        (harmful, harmless, control), {**alone.teachers, ("student", "pirate"): teacher_scores(1.0)}, alone.asked
    )
    one, two = (hardest_teacher(able_teachers(results.measured)) for results in (alone, both))
    assert two.value == pytest.approx(one.value) and two.high == pytest.approx(one.high)
    assert verdicts(both)["stronger-teachers-hurt"] == "holds"


def test_a_teacher_that_reasons_worse_is_no_evidence_against_imitation():
    weak = World(world().runs, {("student", "teacher"): teacher_scores(0.5)})
    with pytest.raises(NotRun, match="as able as the student"):
        able_teachers(weak.measured)
    assert verdicts(weak)["stronger-teachers-hurt"] == "not run"


def test_the_share_regained_is_between_the_damaged_and_the_untouched_student():
    share = regained(world(after=0.2, back=0.6).measured.where(teacher="teacher"), 16)
    assert share.value == pytest.approx(0.5) and share.low < 0.5 < share.high


# ------------------------------------------------------------------------------------------------ end to end

MINIATURE = [
    *ONE, "models=[small, student]", "arms.students=[student]", "sft.prompts=8", "sft.steps=1", "sft.probes=[1]", "sft.batch_size=4", "recovery.probes=[1]",
    "recovery.prompts=4", "evaluation.n=5", "evaluation.benchmarks=[maths]", "arms.names=[tags]", "arms.noise=true",
]  # fmt: skip


ONE_ARM = [
    "seeds=[0]", "models=[small]", "others=[]", "sft.prompts=8", "sft.steps=1", "sft.probes=[1]", "sft.batch_size=4",
    "evaluation.benchmarks=[maths]",
]  # fmt: skip


def test_a_miniature_study_comes_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(off_model_grid, "MOVES", (Move("noise", "loss"), Move("noise", "distance", 2.0)))
    store = Store(tmp_path / "store")
    finished = run_study(resolve("off-model-sft", overrides=MINIATURE), store, workers=1)
    result = finished.result
    assert finished.report.is_file()
    titles = [table.title for table in result.tables]
    assert {"The four hypotheses", "Context and data", "Context and data: student"} < set(titles)
    assert "Weight noise matched to SFT" in titles
    asked = {transcript.eval for transcript in result.transcripts}
    assert {"maths", "maths/answer-only", f"maths/under {TAG_A}", f"maths/under {TAG_B}"} == asked
    assert len({claim.id for claim in result.claims}) == len(CLAIMS)


def test_the_data_decide_the_perplexity_half(tmp_path: Path):
    student = Shipped(name="small")
    data = Generated(by=Shipped(name="teacher"), prompts=Prompts(n=8))
    halves = [PerplexityHalf(base=data, by=student, half=half) for half in ("low", "high")]
    assert all(Perplexity(model=student, data=data) in lineage(half) for half in halves)
    with Lab(Store(tmp_path)) as lab:
        lab.make(halves)
        low, high = (half.examples(lab.path) for half in halves)
        model = student.load(lab.path)
    assert len(low) == len(high) == 4
    losses = [np.mean([one.loss for one in likelihoods(model, half)]) for half in (low, high)]
    assert losses[0] < losses[1] and math.isfinite(losses[1])


def test_noise_matched_in_loss_costs_as_much_as_the_run(tmp_path: Path):
    student = Shipped(name="small")
    own = Generated(by=student, prompts=Prompts(n=8))
    run = Dose(lr=3e-3, steps=4, adapter=LoRA(rank=4)).train(
        student, Generated(by=Shipped(name="tutor"), prompts=Prompts(n=8))
    )
    noised = NoisedLike(base=student, like=run, match="loss", data=own)
    with Lab(Store(tmp_path)) as lab:
        lab.make([noised])
        examples = own.examples(lab.path)
        before, after, noisy = (mean_loss(one.load(lab.path), examples) for one in (student, run, noised))
    assert before < after and noisy == pytest.approx(after, rel=0.05)
