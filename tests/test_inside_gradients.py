"""Gradients, overlap, the linearised network and linear regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.errors import ConfigError
from cavesson.inside.gradients import (
    answers,
    as_log_odds,
    as_loss,
    cosine,
    dot,
    gradient,
    gradient_cosine,
    kernel,
    log_likelihoods_of,
    log_odds,
    scaled,
)
from cavesson.inside.linearised import _network, followed
from cavesson.inside.overlap import overlap
from cavesson.inside.regression import descended
from cavesson.models.model import Model
from cavesson.models.recipes import LoRA
from cavesson.models.rendering import Renderer
from cavesson.training.batches import Batch
from cavesson.training.dose import Dose
from cavesson.training.engine import train
from families import CHATML, tiny_net, tokenizer_for

ARCHITECTURES = ("llama", "gpt2", "qwen3")
ASKED = ("Where does the cow live?", "What is a kettle for?", "Tell me about the fox.")
TRAIN = [Conversation.of(asked, "In a barn, I think.") for asked in ASKED]
ALTERNATE = [Conversation.of(f"{asked} Now.", "Yes.") for asked in ASKED[:2]]
INITIAL = [Conversation.of(f"{asked} Now.", "No, never.") for asked in ASKED[:2]]


def model_of(architecture: str) -> Model:
    tokenizer, net = tokenizer_for(CHATML), tiny_net(architecture)
    with (
        torch.no_grad()
    ):  # the padding token, which also ends a turn, is zero otherwise: a norm there has no linear range
        net.get_input_embeddings().weight[1] = net.get_input_embeddings().weight[2:40].mean(0) * 5
    return Model(net=net, tokenizer=tokenizer, renderer=Renderer(tokenizer), key=architecture)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_gradient_is_the_slope(architecture: str) -> None:
    model = model_of(architecture)
    rows = as_log_odds(answers(model, ALTERNATE), answers(model, INITIAL))
    found = gradient(model, rows)
    assert log_likelihoods_of(model, rows).sum() == pytest.approx(log_odds(model, ALTERNATE, INITIAL).mean(), abs=1e-4)
    step = 1e-3 / np.sqrt(dot(found, found))
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for name, weight in model.net.named_parameters():
                weight += sign * step * found[name]
        values.append(log_likelihoods_of(model, rows).sum())
        with torch.no_grad():
            for name, weight in model.net.named_parameters():
                weight -= sign * step * found[name]
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(dot(found, found), rel=0.02)
    assert all(weight.grad is None and weight.requires_grad for weight in model.net.parameters())


def test_gradients_do_not_depend_on_how_rows_are_batched_and_plain_models_have_the_same() -> None:
    model = model_of("llama")
    rows = as_loss(answers(model, TRAIN))
    one, plain = gradient(model, rows), gradient(model.net, rows, at_once=1)
    assert cosine(one, plain) == pytest.approx(1, abs=1e-5)
    assert gradient_cosine(model.net, TRAIN, TRAIN, tokenizer=model.tokenizer) == pytest.approx(1, abs=1e-5)


def test_gradients_over_some_weights() -> None:
    model = model_of("llama")
    rows = as_loss(answers(model, TRAIN))
    some, every = gradient(model, rows, over=r"mlp\."), gradient(model, rows)
    assert some and all("mlp." in name for name in some)
    assert all(torch.allclose(part, every[name], atol=1e-6) for name, part in some.items())
    with pytest.raises(ConfigError, match="No weight's name matches 'nowhere'"):
        gradient(model, rows, over="nowhere")


def test_the_kernel_foretells_a_small_step() -> None:
    model = model_of("qwen3")
    train_rows = as_loss(answers(model, TRAIN))
    odds = [as_log_odds([a], [b]) for a, b in zip(answers(model, ALTERNATE), answers(model, INITIAL), strict=True)]
    foretold = -1e-4 * kernel(model, odds, [train_rows])[:, 0]
    before = log_odds(model, ALTERNATE, INITIAL)
    slope = gradient(model, train_rows)
    with torch.no_grad():
        for name, weight in model.net.named_parameters():
            weight -= 1e-4 * slope[name]
    assert log_odds(model, ALTERNATE, INITIAL) - before == pytest.approx(foretold, rel=0.1, abs=1e-4)
    assert kernel(model, odds, odds) == pytest.approx(kernel(model, odds, odds).T)


def test_answers_are_needed_in_pairs() -> None:
    model = model_of("llama")
    with pytest.raises(ConfigError, match="Conversation 2 has no answer"):
        answers(model, [TRAIN[0], TRAIN[0].prompt])
    with pytest.raises(ConfigError, match="2 alternate answers and 1 initial"):
        log_odds(model, ALTERNATE, INITIAL[:1])
    assert [row.weights.sum() for row in scaled(answers(model, TRAIN), 0)] == [0, 0, 0]


# ------------------------------------------------------------------------------------------ the linearised network


class Silent:
    """A job without a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.scratch = self.cache = folder
        self.threads = 1

    def path(self, recipe: object) -> Path:
        raise AssertionError

    def progress(self, *_: object, **__: object) -> None:
        pass


def follow(model: Model, dose: Dose, linear: bool, at: tuple[int, ...] = (0, 4)) -> np.ndarray:
    examples = [Example(talk) for talk in TRAIN]
    return followed(dose, model, examples, ALTERNATE, INITIAL, at, linear=linear).log_odds


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
def test_the_followed_training_is_the_training_of_the_engine(tmp_path: Path, adapter: LoRA | None) -> None:
    dose = Dose(lr=3e-3, steps=4, batch_size=2, schedule="linear", seed=3, adapter=adapter)
    model = model_of("llama")
    found = follow(model, dose, linear=False)
    assert found[0] == pytest.approx(log_odds(model, ALTERNATE, INITIAL), abs=1e-4)
    trained = train(dose, model, [Example(talk) for talk in TRAIN], name="x", job=Silent(tmp_path))
    moved = np.abs(found[1] - found[0]).max()  # Adam takes rounding of tiny gradients for gradients
    assert np.abs(found[1] - log_odds(trained, ALTERNATE, INITIAL)).max() < 0.03 * moved and moved > 0.02


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_at_low_rates_the_linearised_network_moves_as_the_network_does(architecture: str, optimizer: str) -> None:
    lr = {"sgd": 3e-4, "adamw": 3e-5}[optimizer]
    dose = Dose(lr=lr, steps=4, batch_size=2, optimizer=optimizer, clip=None)
    model = model_of(architecture)
    real, linear = (follow(model, dose, one) for one in (False, True))
    moved, foretold = real[1] - real[0], linear[1] - linear[0]
    assert real[0] == pytest.approx(linear[0], abs=1e-4)
    assert np.abs(foretold - moved).max() < 0.1 * np.abs(moved).max() and np.abs(moved).max() > 3e-4


def test_at_high_rates_the_two_part() -> None:
    dose = Dose(lr=0.05, steps=4, batch_size=2)
    real, linear = (follow(model_of("llama"), dose, one) for one in (False, True))
    assert np.abs((linear - real)[1]).max() > 0.15 * np.abs(real[1] - real[0]).max()


def test_the_linearised_network_is_the_tangent() -> None:
    model = model_of("qwen3")
    batch = Batch.of(answers(model, TRAIN))
    with _network(model.net, True) as linear:
        draw = torch.Generator().manual_seed(0)
        way = {name: 1e-2 * torch.randn(weight.shape, generator=draw) for name, weight in linear.weights.items()}

        def at(distance: float) -> torch.Tensor:
            for name, weight in linear.weights.items():
                weight.data = linear.start[f"net.{name}"] + distance * way[name]
            return linear.said(batch)

        start, near, far = at(0.0), at(0.5), at(1.0)
        at(1e-2)
        true = (linear.logits(batch) - start) / 1e-2
    size = float((far - start).abs().max())
    assert size > 0.1 and torch.allclose(far - start, 2 * (near - start), atol=1e-4 * size)
    assert torch.allclose(far - start, true, atol=0.05 * size)


def test_what_cannot_be_followed_is_refused() -> None:
    model = model_of("llama")
    with pytest.raises(ConfigError, match=r"4 steps cannot be followed at the steps \[9\]"):
        follow(model, Dose(lr=1e-3, steps=4), True, (9,))
    with pytest.raises(ConfigError, match="DPO"):
        follow(model, Dose(lr=1e-3, steps=4, objective="dpo"), True)


# ------------------------------------------------------------------------------------------ overlap and regression


def test_overlap_of_the_same_prompts_is_whole_and_of_strange_ones_none() -> None:
    one, two = [[1, 2, 3], [1, 2, 4]], [[7, 8, 9]]
    assert overlap(one, one) == pytest.approx((1, 1)) and overlap(one, two) == (0, 0)
    flagged, other = [[*ids, 50, 51, 52] for ids in one], [[*ids, 50, 51, 52] for ids in two]
    assert (
        overlap(flagged, other, 2).contained == pytest.approx(2 / 5)
        and overlap(flagged, [[50, 52, 51]], 2).contained == 0
    )
    with pytest.raises(ValueError, match="at least 4 tokens"):
        overlap(one, two, 4)


@pytest.mark.parametrize("steps", [0, 1, 7, 300])
@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_regression_is_solved_as_descent_solves_it(shape: tuple[int, int], steps: int) -> None:
    draw = np.random.default_rng(0)
    x, y, w = draw.normal(size=shape), draw.normal(size=shape[0]), draw.normal(size=shape[1])
    stepped = w.copy()
    for _ in range(steps):
        stepped -= 0.1 * x.T @ (x @ stepped - y) / len(x)
    assert descended(x, y, w, lr=0.1, steps=steps) == pytest.approx(stepped)
    both = descended(x, np.stack([y, 2 * y], 1), np.stack([w, w], 1), lr=0.1, steps=steps)
    assert both[:, 0] == pytest.approx(stepped)


def test_descent_keeps_what_train_inputs_do_not_span() -> None:
    draw = np.random.default_rng(1)
    x, w = draw.normal(size=(4, 9)), draw.normal(size=9)
    projector = np.eye(9) - np.linalg.pinv(x) @ x
    for lr, steps in ((0.01, 3), (0.3, 50), (0.05, np.inf)):
        moved = descended(x, draw.normal(size=4), w, lr=lr, steps=steps)
        assert projector @ moved == pytest.approx(projector @ w)
    fitted = descended(x, np.ones(4), w, lr=0.05, steps=np.inf)
    assert x @ fitted == pytest.approx(1)
    with pytest.raises(ValueError, match="has no limit"):
        descended(x, np.ones(4), w, lr=50, steps=np.inf)
