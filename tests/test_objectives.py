"""Objectives: their losses against other libraries', and the invariants of a step, whatever is minimised."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cavesson.chat import Conversation
from cavesson.data.example import Example, Preference
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, Stopped, TrainingError
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.model import Model
from cavesson.models.recipes import LoRA, ModelRecipe, Prompted
from cavesson.tinyworld.recipes import Shipped
from cavesson.training import objectives
from cavesson.training.batches import Batch, Row, Stream
from cavesson.training.dose import Dose
from cavesson.training.flat import logits_of
from cavesson.training.forward import Forward, forwards
from cavesson.training.losses import divergence
from cavesson.training.objectives import Anchored, Distil, Dpo, Objective, PolicyGradient, Sft, Supported
from cavesson.training.preflight import bytes_needed, bytes_on_top
from cavesson.training.recipes import Trained
from cavesson.training.reference import Reference
from training_world import Folders, Sayings, Untrained, close, examples, llama, rows_of, same, train


def pairs(n: int) -> list[Preference]:
    """Pairs of answers of different lengths."""
    return [
        Preference(
            Conversation.of(f"Say {'very ' * (i % 5)}much {i}.", f"{'so ' * (i * 5 % 7)}{i}!"),
            rejected="no " * (i % 4 + 1),
        )
        for i in range(n)
    ]


class Pairs(DataRecipe):
    """The pairs as a recipe."""

    kind = "test_objectives:Pairs"
    virtual = True

    def examples(self, path_of: PathOf) -> list[Preference]:
        return pairs(40)


class Stranger(ModelRecipe):
    """The tiny Llama with one word more in its tokenizer."""

    kind = "test_objectives:Stranger"
    virtual = True

    def load(self, path_of: PathOf) -> Model:
        model = llama()
        model.tokenizer.add_tokens(["hello"])
        return model


TEACHER = Untrained(seed=1)

OBJECTIVES: dict[str, Objective] = {
    "sft": Sft(),
    "anchored": Anchored(kl=0.5),
    "supported": Supported(min_probability=0.003, kl=0.5),
    "distil, forward": Distil(by=TEACHER),
    "distil, both, soft, top 20": Distil(by=TEACHER, reverse=0.5, temperature=2.0, top_k=20),
    "dpo": Dpo(beta=0.3),
}

HOW: dict[str, dict[str, Any]] = {
    "full weights": {},
    "adapter": {"adapter": LoRA(rank=2, dropout=0.1), "lr": 1e-2},
    "bf16": {"precision": "bf16"},
}


def trained(objective: Objective, /, **settings: Any) -> Trained:
    """A short run in fp32."""
    data = Pairs() if objective.pairs else Sayings()
    short = {"base": Untrained(), "data": data, "steps": 8, "batch_size": 8, "lr": 3e-3, "precision": "fp32"}
    return Trained(**{**short, "objective": objective, **settings})


def data_of(recipe: Trained) -> Sequence[Example]:
    return pairs(40) if recipe.objective.pairs else examples(40)


def run(recipe: Trained, root: Path, watch: Callable[[float], None] = lambda step: None) -> Model:
    """Train in memory with folders under `root`."""
    return train(recipe, llama(), data_of(recipe), job=Folders(root, watch))


def batch_of(data: Sequence[Example], model: Model, pairs: bool = False) -> Batch:
    """All of the data in one batch, divided as a step divides it."""
    rows = list(rows_of(Stream(data, model, seed=0, max_length=None, prompt_weight=0.0, pairs=pairs), 0, len(data)))
    total = len(data) if pairs else sum(float(row.weights.sum()) for row in rows)
    return Batch.of(rows, total_weight=total)


def moved(model: Model) -> Model:
    """The model with noise on its weights: as if it had been trained for a while."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.net.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return model


def loss_and_gradients(
    objective: Objective, model: Model, batch: Batch, base: Reference | None = None, teacher: Model | None = None
) -> tuple[float, dict[str, torch.Tensor]]:
    """What one backward pass gives, in fp32."""
    model.net.requires_grad_(True).zero_grad()
    with forwards(model.net, base, None if teacher is None else teacher.net, None) as (forward, _):
        loss = objective(forward(batch), batch)
        loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: weight.grad for name, weight in model.net.named_parameters() if weight.grad is not None}


# Losses are other libraries'.


def test_the_loss_of_dpo_and_its_gradient_are_trls(tmp_path: Path) -> None:
    """One batch of pairs through TRL's trainer, its reference the shipped model, its policy the same with noise."""
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    shipped = Shipped(name="small")
    policy, said = shipped.load(lambda _: tmp_path), pairs(12)
    base = Reference(policy.net, dict(policy.net.named_parameters()))
    moved(policy)
    batch = batch_of(said, policy, pairs=True)
    loss, gradients = loss_and_gradients(Dpo(beta=0.3), policy, batch, base)

    theirs = trl.DPOTrainer(
        model=moved(shipped.load(lambda _: tmp_path)).net.requires_grad_(True).float(),
        ref_model=shipped.load(lambda _: tmp_path).net.float(),
        args=trl.DPOConfig(output_dir=str(tmp_path), beta=0.3, bf16=False, use_cpu=True, report_to="none"),
        train_dataset=datasets.Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=policy.tokenizer,
    )
    rows = list(rows_of(Stream(said, policy, seed=0, max_length=None, prompt_weight=0.0, pairs=True), 0, 12))
    expected = theirs.compute_loss(theirs.model, _padded([*rows[0::2], *rows[1::2]]))
    theirs.model.zero_grad()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5) and loss != pytest.approx(np.log(2), abs=1e-3)
    for name, weight in theirs.model.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, atol=1e-5, rtol=1e-4)


def _padded(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Rows as TRL's collator lays them out."""

    def square(parts: Sequence[Any]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(part).long() for part in parts], batch_first=True)

    return {
        "input_ids": square([row.ids for row in rows]),
        "attention_mask": square([np.ones(len(row.ids)) for row in rows]),
        "completion_mask": square([row.weights > 0 for row in rows]),
    }


@pytest.mark.parametrize("reverse", [0.0, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_of_distillation_and_its_gradient_are_trls(reverse: float, temperature: float) -> None:
    gkd = pytest.importorskip("trl.experimental.gkd")
    student, teacher = Shipped(name="small").load(lambda _: Path()), moved(Shipped(name="small").load(lambda _: Path()))
    batch = batch_of(examples(12), student)
    objective = Distil(by=Shipped(name="small"), reverse=reverse, temperature=temperature)
    loss, gradients = loss_and_gradients(objective, student, batch, teacher=teacher)

    student.net.zero_grad()
    with logits_of(student.net) as (ours, _), logits_of(teacher.net) as (others, _):
        seen, told = ours(batch), others(batch).detach()
    labels = torch.where(batch.weights_K != 0, batch.targets_K, -100)[None]
    expected = gkd.GKDTrainer.generalized_jsd_loss(
        seen[None], told[None], labels, beta=reverse, temperature=temperature, reduction="batchmean"
    )
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5) and loss > 1e-3
    for name, weight in student.net.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, atol=1e-5, rtol=1e-4)


def test_the_tokens_below_the_top_are_one_outcome() -> None:
    tail = pytest.importorskip("trl.experimental.sdft.loss_utils").add_tail_bucket
    torch.manual_seed(0)
    student, teacher, weight = torch.randn(300, 17), torch.randn(300, 17), torch.rand(300)
    best = teacher.topk(5).indices
    ours, told = (tail(logits.log_softmax(-1).gather(1, best)) for logits in (student, teacher))
    expected = (weight[:, None] * told.exp() * (told - ours)).sum()
    cut = divergence(student, teacher, weight, top_k=5)
    torch.testing.assert_close(cut, expected)
    whole = divergence(student, teacher, weight)
    assert cut < whole
    torch.testing.assert_close(divergence(student, teacher, weight, top_k=17), whole)


def test_padding_of_the_vocabulary_is_left_out() -> None:
    student, teacher, weight = torch.randn(30, 11), torch.randn(30, 11), torch.rand(30)
    wider = torch.cat([teacher, torch.randn(30, 3)], dim=1)
    assert torch.equal(divergence(student, wider, weight), divergence(student, teacher, weight))


def test_reinforcement_can_be_held_to_the_base() -> None:
    """Beside the advantages each trained token counts `kl` times KL(policy || base)."""
    torch.manual_seed(0)
    policy, base = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
    batch = Batch.of([Row(np.array([2, 0, 1], np.int32), np.array([0, 0.5, -0.5], np.float32))], total_weight=4.0)
    loss = PolicyGradient(kl=0.7)(Forward(batch, lambda _: policy, lambda _: base), batch)
    mine, theirs = policy.log_softmax(-1), base.log_softmax(-1)
    expected = (-0.5 * mine[0, 0] + 0.5 * mine[1, 1] + 0.7 * (mine.exp() * (mine - theirs)).sum()) / 4
    torch.testing.assert_close(loss, expected)
    assert not PolicyGradient().needs_base and PolicyGradient(kl=0.7).needs_base


# A step is what it is, however it is cut, laid out, ordered or interrupted.


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_stopped_run_resumes_to_the_same_bits(name: str, how: str, tmp_path: Path) -> None:
    recipe = trained(OBJECTIVES[name], **HOW[how])

    def stop_at_5(step: float) -> None:
        if step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", stop_at_5)
    resumed, whole = run(recipe, tmp_path / "stopped"), run(recipe, tmp_path / "whole")
    assert same(resumed, whole) and not same(whole, llama())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_how_a_step_is_cut_and_padded_does_not_matter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SGD, since Adam's first steps amplify the rounding of small gradients
    recipe = trained(OBJECTIVES[name], optimizer="sgd", lr=0.1)
    at_once = run(recipe, tmp_path / "a")
    assert close(at_once, run(recipe.model_copy(update={"batch_size": 2, "accumulate": 4}), tmp_path / "b"))
    monkeypatch.setattr("cavesson.training.batches.PADDING_WORTH_A_RECTANGLE", 1000)
    assert close(at_once, run(recipe, tmp_path / "c"))
    monkeypatch.undo()
    monkeypatch.setattr("cavesson.training.flat._agrees_with_itself", lambda net, run: False)  # one rectangle at a time
    assert close(at_once, run(recipe, tmp_path / "d"))
    assert not close(at_once, llama())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_order_inside_a_step_does_not_matter(name: str) -> None:
    objective, teacher = OBJECTIVES[name], llama(1)
    found = []
    for data in (pairs(12), pairs(12)[::-1]):
        model = llama()
        base = Reference(model.net, dict(model.net.named_parameters()))
        found.append(loss_and_gradients(objective, moved(model), batch_of(data, model, objective.pairs), base, teacher))
    (one, gradients), (other, others) = found
    assert one == pytest.approx(other, abs=1e-6) and one > 1e-4
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[key], atol=1e-6, rtol=1e-4)


def test_a_pair_stays_in_one_micro_batch_whatever_fits(tmp_path: Path) -> None:
    """A packed step with room for a pair and a half takes one pair."""
    recipe = trained(Dpo(), packing=True, tokens_per_batch=90, accumulate=2, steps=3)
    run(recipe, tmp_path)
    stream = Stream(pairs(40), llama(), seed=0, max_length=None, prompt_weight=0.0, pairs=True)
    assert all(len(group) == 2 for group in stream.groups(0, 40))
    rows = list(rows_of(stream, 0, 4))
    batch = Batch.of(rows)
    counts = batch.per_document((batch.weights_K != 0).float())
    assert counts.tolist() == [int((row.weights > 0).sum()) for row in rows]


# What they are for.


def margin(model: Model) -> float:
    """By how much the model finds the chosen answers likelier than the rejected ones, in nats a pair."""
    batch = batch_of(pairs(40), model, pairs=True)
    with logits_of(model.net) as (logits, _), torch.no_grad():
        chosen = logits(batch).log_softmax(-1).gather(1, batch.targets_K[:, None])[:, 0]
    likelihoods = batch.per_document(chosen * batch.weights_K)
    return float((likelihoods[0::2] - likelihoods[1::2]).sum())


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
def test_dpo_prefers_the_chosen_answers_and_sft_on_the_same_data_learns_them(
    adapter: LoRA | None, tmp_path: Path
) -> None:
    settings = {"adapter": adapter, "lr": 1e-2, "steps": 15}
    preferring = run(trained(Dpo(), **settings), tmp_path / "dpo")
    assert margin(preferring) > margin(llama()) + 5
    taught = run(trained(Sft(), data=Pairs(), **settings), tmp_path / "a")
    told = [Example(pair.conversation) for pair in pairs(40)]
    recipe = trained(Sft(), data=Pairs(), **settings)
    assert same(
        train(recipe, llama(), told, job=Folders(tmp_path / "b")),
        train(recipe, llama(), pairs(40), job=Folders(tmp_path / "c")),
    )
    assert not same(taught, preferring)


@pytest.mark.learnt
@pytest.mark.parametrize(("adapter", "left"), [(None, 0.8), (LoRA(rank=8), 0.99)])
@pytest.mark.parametrize("reverse", [0.0, 0.5, 1.0])
def test_a_student_comes_nearer_to_its_teacher(
    adapter: LoRA | None, left: float, reverse: float, tmp_path: Path
) -> None:
    """An adapter can do little here: the output layer of the tiny Llama is frozen as it was drawn."""
    teacher = train(trained(Sft(), steps=30), llama(), examples(40), job=Folders(tmp_path / "teacher"))

    class Finished(ModelRecipe):
        kind = "test_objectives:Finished"
        virtual = True

        def load(self, path_of: PathOf) -> Model:
            return teacher

    objective = Distil(by=Finished(), reverse=reverse)
    student = run(trained(objective, adapter=adapter, steps=30, lr=3e-2), tmp_path / "student")
    before, after = (
        loss_and_gradients(objective, model, batch_of(examples(40), model), teacher=teacher)[0]
        for model in (llama(), student)
    )
    assert after < left * before


def test_a_model_has_nothing_to_learn_from_itself() -> None:
    loss, gradients = loss_and_gradients(
        Distil(by=Untrained(), reverse=0.5), llama(), batch_of(examples(12), llama()), teacher=llama()
    )
    assert loss == pytest.approx(0, abs=1e-6) and all(grad.abs().max() < 1e-6 for grad in gradients.values())


# What cannot be.


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (Stranger(), "has another tokenizer than the student"),
        (Prompted(base=Untrained(seed=1), system="Be a pirate."), "runs under another system prompt than the student"),
    ],
)
def test_teachers_that_cannot_be_asked_about_the_students_tokens_are_refused(
    teacher: ModelRecipe, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(trained(Distil(by=teacher)), tmp_path)


def test_dpo_on_single_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Example \d+ of the data has no rejected answer"):
        train(trained(Dpo()), llama(), examples(40), job=Folders(tmp_path))


def test_a_pair_of_equal_answers_is_refused(tmp_path: Path) -> None:
    pairs = [Preference(one.conversation, rejected=str(one.conversation.answer)) for one in examples(40)]
    with pytest.raises(TrainingError, match=r"Example \d+ of the data prefers an answer to itself"):
        train(trained(Dpo()), llama(), pairs, job=Folders(tmp_path))


def test_pairs_whose_answers_are_cut_off_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no answer is left"):
        run(trained(Dpo(), max_length=4), tmp_path)


def test_an_objective_is_told_when_it_asks_for_what_it_did_not_order() -> None:
    forward = Forward(batch_of(examples(2), llama()), lambda batch: torch.zeros(1))
    with pytest.raises(TypeError, match="must set `needs_base`"):
        _ = forward.base_KV
    with pytest.raises(TypeError, match="must set `teacher`"):
        _ = forward.teacher_KV


def test_the_objective_that_the_documentation_writes_is_one() -> None:
    """Without its exponent it is `Sft`; with it, tokens that are likely already count less."""
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(class Focal.*?)```", text, re.DOTALL)
    names = dict(vars(objectives))
    exec(compile(source, "architecture.md", "exec", flags=annotations.compiler_flag), names)
    batch, logits = batch_of(examples(4), llama()), torch.randn(10_000, 260)
    forward = Forward(batch, lambda batch: logits[: len(batch.targets_K)])
    plain, focal = Sft()(forward, batch), names["Focal"](gamma=2.0)(forward, batch)
    torch.testing.assert_close(names["Focal"](gamma=1e-9)(forward, batch), plain)
    assert focal < plain


# Recipes.

OLD = {
    "kind": "trained",
    "objective": "sft",
    "base": {"kind": "training_world:Untrained", "seed": 0},
    "steps": 8,
    "lr": 0.003,
    "optimizer": "adamw",
    "weight_decay": 0.0,
    "betas": None,
    "schedule": "constant",
    "warmup_steps": 0,
    "clip": 1.0,
    "adapter": None,
    "seed": 0,
    "precision": "fp32",
    "checkpoints": [],
    "data": {"kind": "training_world:Sayings", "n": 40},
    "batch_size": 8,
    "packing": False,
    "tokens_per_batch": 4096,
    "accumulate": 1,
    "max_length": None,
    "prompt_weight": 0.0,
    "kl": 0.0,
    "first_tokens": None,
    "min_probability": None,
}
"""A training as version 0.1 stored it."""


@pytest.mark.parametrize(
    "changes", [{}, {"kl": 0.5}, {"min_probability": 0.003}, {"kl": 0.5, "min_probability": 0.003}]
)
def test_recipes_that_version_0_1_stored_are_read(changes: dict[str, float]) -> None:
    recipe = Recipe.parse({**OLD, **changes})
    assert isinstance(recipe, Trained)
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
    assert {name: getattr(recipe.objective, name) for name in changes} == changes


@pytest.mark.parametrize("name", OBJECTIVES)
def test_recipes_with_an_objective_read_back_and_have_names_of_their_own(name: str) -> None:
    recipe = trained(OBJECTIVES[name])
    again = Recipe.parse(recipe.model_dump(mode="json"))
    assert isinstance(again, Trained) and again == recipe and again.objective == OBJECTIVES[name]
    assert len({trained(objective, data=Pairs()).fingerprint for objective in OBJECTIVES.values()}) == len(OBJECTIVES)


def test_a_teacher_is_an_input_of_the_recipe() -> None:
    recipe = trained(Distil(by=TEACHER, top_k=20))
    assert TEACHER in recipe.inputs()
    assert recipe != trained(Distil(by=Untrained(seed=2), top_k=20))
    assert "forward KL to" in recipe.describe() and "top 20" in recipe.describe()


def test_a_name_stands_for_an_objectives_usual_settings() -> None:
    assert Dose(lr=1e-3, steps=1, objective="dpo").objective == Dpo()
    assert trained(Dpo(), objective={"name": "dpo", "beta": 0.3}) == trained(Dpo(beta=0.3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "dqo"}, "'dqo'"),
        ({"objective": {"name": "dpo", "beta": -1}}, r"(?s)objective.dpo.beta.*input_value=-1"),
        ({"kl": -0.5}, r"(?s)kl.*input_value=-0.5"),
        ({"min_probability": 2}, r"(?s)min_probability.*input_value=2"),
        ({"objective": Dpo(), "kl": 0.5}, "go with plain sft"),
        ({"objective": "policy_gradient"}, "learns from a policy's own answers"),
        ({"lr": 0}, r"(?s)lr.*input_value=0"),
        ({"optimiser": "sgd"}, "optimiser"),
    ],
)
def test_wrong_settings_are_refused_by_the_name_that_was_typed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, ConfigError), match=message):
        Dose(**{"lr": 1e-3, "steps": 1, **settings})
    with pytest.raises((ValidationError, ConfigError), match=message):
        trained(Sft(), **settings)


def test_a_dose_hands_every_setting_to_the_training() -> None:
    dose = Dose(
        lr=1e-3, steps=5, betas=(0.9, 0.95), schedule="wsd", packing=True, max_length=99, objective=Dpo(beta=0.3)
    )
    made = dose.train(Untrained(), Pairs(), seed=7)
    assert all(getattr(made, name) == getattr(dose, name) for name in Dose.model_fields if name != "seed")
    assert made.seed == 7


def test_memory_is_reckoned_for_the_base_and_for_logits() -> None:
    plain, held, taught = (trained(OBJECTIVES[name]) for name in ("sft", "dpo", "distil, forward"))
    assert bytes_needed(10**9, held, width=2048) - bytes_needed(10**9, plain, width=2048) == 4 * 10**9
    sizes = [bytes_on_top(10**9, one, width=64, layers=2, vocabulary=1000) for one in (plain, taught, held)]
    assert sizes[0] < sizes[1] < sizes[2], "and a pair has two answers"
