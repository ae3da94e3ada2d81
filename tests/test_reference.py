"""Training and mixing with a model's starting point in view: interpolation, KL to the base, which tokens are trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example
from cavesson.errors import ConfigError, Stopped
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.adapters import continued
from cavesson.models.model import Model, merged
from cavesson.models.recipes import Interpolated, LoRA, ModelRecipe
from cavesson.training.batches import Batch, Stream, _place_in_run
from cavesson.training.dose import Dose
from cavesson.training.flat import logits_of
from cavesson.training.losses import anchored_nll, supported, weighted_nll
from cavesson.training.objectives import Anchored, Supported
from cavesson.training.preflight import bytes_needed
from cavesson.training.recipes import Trained
from cavesson.training.reference import Reference
from training_world import Folders, Sayings, Untrained, close, examples, llama, rows_of, same, train, weights


class Wider(ModelRecipe):
    """An untrained model of another shape."""

    kind = "test_reference:Wider"
    virtual = True

    def load(self, path_of: PathOf) -> Model:
        return llama(intermediate_size=64)


def no_inputs(recipe: Recipe) -> Path:
    raise AssertionError("untrained models have no inputs")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_an_interpolated_model_lies_on_the_line_between_two(share: float) -> None:
    here, there = Untrained(seed=0), Untrained(seed=1)
    recipe = Interpolated(base=here, toward=there, share=share)
    mixed = recipe.load(no_inputs)
    assert mixed.key == recipe.fingerprint
    start, end = weights(llama(0)), weights(llama(1))
    for name, weight in weights(mixed).items():
        torch.testing.assert_close(weight, start[name] + share * (end[name] - start[name]))
    assert share not in (0.0, 1.0) or same(mixed, llama(int(share)))


def test_models_of_other_shapes_are_not_interpolated() -> None:
    with pytest.raises(ConfigError, match=r"down_proj.weight' is 32 x 48 in one model and 32 x 64 in the other model"):
        Interpolated(base=Untrained(), toward=Wider(), share=0.5).load(no_inputs)


def trained(**settings: Any) -> Trained:
    """A short run in fp32."""
    short = {"base": Untrained(), "data": Sayings(), "steps": 8, "batch_size": 8, "lr": 3e-3, "precision": "fp32"}
    return Trained(**{**short, **settings})


def run(recipe: Trained, root: Path, watch: Callable[[float], None] = lambda step: None) -> Model:
    """Train in memory with folders under `root`."""
    return train(recipe, llama(), examples(40), job=Folders(root, watch))


ANCHORED = {"kl": 0.5, "min_probability": 0.003, "first_tokens": 4}
"""About half of an untrained model's tokens are likelier than one in three hundred."""

HOW = {
    "full weights": {},
    "adapter": {"adapter": LoRA(rank=2, dropout=0.1), "lr": 1e-2},
    "bf16": {"precision": "bf16"},
}


def test_the_penalty_and_its_gradient_are_the_textbook_ones() -> None:
    torch.manual_seed(0)
    logits, base = torch.randn(300, 11, requires_grad=True), torch.randn(300, 11)
    targets, weight = torch.randint(11, (300,)), torch.rand(300)
    divergence = functional.kl_div(logits.log_softmax(-1), base.log_softmax(-1), reduction="none", log_target=True).sum(
        -1
    )
    expected = (weight * (functional.cross_entropy(logits, targets, reduction="none") + 0.7 * divergence)).sum()
    (gradient,) = torch.autograd.grad(3 * expected, logits)
    loss = anchored_nll(logits, targets, weight, base, kl=0.7)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(3 * loss, logits)[0], gradient)
    plain = weighted_nll(logits, targets, weight)
    torch.testing.assert_close(anchored_nll(logits, targets, weight, logits.detach(), kl=5.0), plain)


def test_tokens_that_the_base_finds_unlikely_are_told_by_their_probability() -> None:
    base = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]).log()
    assert supported(base, torch.tensor([1, 0, 1]), least=0.3).tolist() == [0, 1, 1]


def test_first_tokens_are_counted_in_every_answer() -> None:
    flags = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0], bool)
    assert _place_in_run(flags).tolist() == [0, 1, 2, 3, 0, 0, 1, 2, 0]
    talk = Conversation(
        (Message("user", "a"), Message("assistant", "bcd"), Message("user", "e"), Message("assistant", "f"))
    )
    model = llama()
    stream = Stream([Example(talk)], model, seed=0, max_length=None, prompt_weight=0.0, first_tokens=2)
    (row,) = rows_of(stream, 0, 1)
    assert model.renderer.decode(row.ids[row.weights > 0]) == "bcf"  # and the second answer's end of turn
    assert row.weights.sum() == 4


@pytest.mark.parametrize("how", HOW)
def test_what_asks_for_nothing_changes_nothing(how: str, tmp_path: Path) -> None:
    """A vanishing limit looks at the base on every step, and still no bit differs; nor does the recipe's name."""
    plain = trained(**HOW[how])
    assert trained(**HOW[how], kl=0.0, first_tokens=None, min_probability=None).fingerprint == plain.fingerprint
    idle = trained(**HOW[how], first_tokens=1000, min_probability=1e-30)
    assert same(run(plain, tmp_path / "plain"), run(idle, tmp_path / "idle"))


@pytest.mark.parametrize("how", HOW)
def test_an_anchored_run_resumes_to_the_same_bits(how: str, tmp_path: Path) -> None:
    recipe = trained(**HOW[how], **ANCHORED)

    def stop_at_5(step: float) -> None:
        if step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", stop_at_5)
    resumed, whole = run(recipe, tmp_path / "stopped"), run(recipe, tmp_path / "whole")
    assert same(resumed, whole)
    assert not same(whole, run(trained(**HOW[how]), tmp_path / "plain"))


def test_how_a_step_is_cut_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**ANCHORED, "optimizer": "sgd", "lr": 0.1}
    at_once = run(trained(**settings), tmp_path / "a")
    assert close(at_once, run(trained(**settings, batch_size=2, accumulate=4), tmp_path / "b"))
    monkeypatch.setattr("cavesson.training.flat._agrees_with_itself", lambda net, run: False)  # one rectangle at a time
    assert close(at_once, run(trained(**settings), tmp_path / "c"))


def test_an_anchored_packed_step_is_the_batch_of_what_fits_into_it(tmp_path: Path) -> None:
    data = [Example(Conversation.of(f"Number {i:02d}.", f"{i:02d}!")) for i in range(40)]  # all of one length
    length = len(llama().renderer.render(data[0].conversation).ids)
    batched = train(trained(**ANCHORED), llama(), data, job=Folders(tmp_path / "a"))
    recipe = trained(**ANCHORED, packing=True, tokens_per_batch=8 * length)
    assert same(batched, train(recipe, llama(), data, job=Folders(tmp_path / "b")))


def shift(model: Model, start: Model) -> float:
    """How far the model has gone from where it started, in nats of KL on a conversation that it was trained on."""
    ids = torch.tensor([model.renderer.render(examples(40)[12].conversation).ids])
    with torch.no_grad():
        before, after = (merged(one).net(ids).logits.log_softmax(-1) for one in (start, model))
    return float((before.exp() * (before - after)).sum(-1).mean())


def test_the_stronger_the_penalty_the_nearer_the_model_stays(tmp_path: Path) -> None:
    held = (run(trained(steps=20, schedule="linear", kl=kl), tmp_path / str(kl)) for kl in (0.0, 10.0, 1000.0))
    free, bound, tied = (shift(model, llama()) for model in held)
    assert free > 2 * bound and bound > 2 * tied and free > 100 * tied


def test_the_reference_is_the_model_as_it_was_whatever_is_trained(tmp_path: Path) -> None:
    """An adapter that is continued is part of it; dropout is not."""
    adapted = run(trained(adapter=LoRA(rank=2, dropout=0.5), lr=3e-2), tmp_path)
    batch = Batch.of_tokens([[5, 3, 8, 1, 9], [7, 6, 1]])
    for model in (llama(), adapted, continued(adapted)):
        with logits_of(model.net.train()) as (logits, _):
            model.net.eval()
            before = logits(batch).detach()
            changed = {name: weight for name, weight in model.net.named_parameters() if weight.requires_grad}
            reference = Reference(model.net.train(), changed)
            with torch.no_grad():
                for weight in changed.values():
                    weight.mul_(3)
            moved = weights(model)
            assert torch.equal(reference.logits(logits, batch), before)
            assert torch.equal(reference.logits(logits, batch), before)
            assert model.net.training and not torch.equal(logits(batch), before)
            assert all(torch.equal(weight, moved[name]) for name, weight in weights(model).items())


def test_a_run_that_no_token_survives_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    assert same(run(trained(min_probability=0.999), tmp_path), llama())


def test_a_dose_hands_its_anchors_to_the_training() -> None:
    made = Dose(lr=1e-3, steps=5, **ANCHORED).train(Untrained(), Sayings())
    assert made.objective == Supported(min_probability=0.003, kl=0.5) and made.first_tokens == 4
    assert made.describe().endswith(
        "KL 0.5 to the base, tokens of probability 0.003 and more, first 4 tokens, 5 steps, seed 0"
    )
    changed = Dose(lr=1e-3, steps=5).train(Untrained(), Sayings(), objective=Anchored(kl=0.5))
    assert changed == trained(batch_size=16, steps=5, lr=1e-3, precision="auto", kl=0.5)


def test_the_base_costs_memory_for_a_copy_of_what_is_trained() -> None:
    sizes = [bytes_needed(10**9, trained(kl=kl), width=2048) for kl in (0.0, 0.1)]
    assert sizes[1] - sizes[0] == 4 * 10**9
