"""Activations of plain and of our own models, and probes on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.inside.activations import activations, blocks_of
from cavesson.inside.probing import PENALTIES, _told, probe
from cavesson.inside.recipes import ToldApart
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.worded import Latent
from cavesson.tinyworld.recipes import Prompts, Shipped
from families import CHATML, tiny_net, tokenizer_for

ARCHITECTURES = ("llama", "gpt2", "qwen3")
TEXTS = ("Where does the cow live?", "No.", "Tell me about the fox and the hen, and what they ate.")


def hooks_of(net: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activations_of_a_plain_model_are_its_hidden_states(architecture: str) -> None:
    net, tokenizer = tiny_net(architecture), tokenizer_for(CHATML)
    with torch.no_grad():
        net(torch.tensor([[5]]), output_hidden_states=True)  # transformers leaves hooks of its own
    before = hooks_of(net)
    found = activations(net, TEXTS, tokenizer=tokenizer, at_once=2)
    means = activations(net, TEXTS, [0, -1], at="mean", tokenizer=tokenizer)
    assert found.shape == (3, 3, 32)
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            states = net(ids, output_hidden_states=True).hidden_states  # the last one is normed
        for layer in (0, 1):
            assert np.allclose(found[number, layer], states[layer][0, -1], atol=1e-4)
        assert np.allclose(means[number, 0], states[0][0].mean(0), atol=1e-4)
    assert hooks_of(net) == before and means.shape == (3, 2, 32)


def test_the_last_layer_is_what_the_norm_reads() -> None:
    net, ids = tiny_net("llama"), [[5, 6, 7]]
    with torch.no_grad():
        normed = net.model.norm(torch.tensor(activations(net, ids, [2])[0]))
        assert torch.allclose(normed, net.model(torch.tensor(ids)).last_hidden_state[0, -1:], atol=1e-5)


def test_hooks_are_removed_after_an_error_and_the_mode_is_kept() -> None:
    net = tiny_net("llama").train()

    def broken(*_: object) -> None:
        raise RuntimeError("broken layer")

    hook = blocks_of(net)[1].register_forward_hook(broken)
    with pytest.raises((RuntimeError, ConfigError), match="broken layer"):
        activations(net, [[5, 6]], [0, 1])
    hook.remove()
    assert hooks_of(net) == 0 and net.training


def test_conversations_are_read_up_to_where_the_answer_starts() -> None:
    model = Shipped(name="student").load(lambda _: pytest.fail("needs no input"))
    asked = Conversation.of("Where does the cow live?")
    ways = [asked, asked.dump(), model.renderer.prompt(asked), asked.answered("In a barn.")]
    found = activations(model, ways)
    assert all(np.allclose(one, found[0], atol=1e-4) for one in found)


def test_a_model_with_latent_steps_is_read_at_the_end_of_its_prompt() -> None:
    latent = Latent(base=Shipped(name="weak"), steps=2).load(lambda _: pytest.fail("needs no input"))
    before = hooks_of(latent.net)
    found = activations(latent, [Conversation.of("Hi."), Conversation.of("Where does the cow live?")])
    alone = activations(latent, [Conversation.of("Hi.")])
    assert np.allclose(found[0], alone[0], atol=1e-3) and hooks_of(latent.net) == before


@pytest.mark.parametrize(
    ("texts", "more", "message"),
    [
        ([], {}, "no text to read"),
        (["word"], {}, "Give its tokenizer"),
        ([[]], {}, "Text 1 is empty"),
        ([[5] * 300], {}, "300 tokens, more than the model's context of 256"),
        ([[5]], {"layers": [3]}, "no layer 3.*0 .embeddings. to 2"),
        ([[5]], {"at": "first"}, "no position 'first'"),
        ([[900]], {}, "token 900"),
    ],
)
def test_what_cannot_be_read_is_refused(texts: list, more: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        activations(tiny_net("llama"), texts, **more)


def planted(n: int, layers: int, size: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Noise in which one direction of layer 1 says the kind."""
    draw = np.random.default_rng(0)
    labels = np.arange(n) % 2
    stream = draw.normal(size=(n, layers, size))
    stream[:, 1, 0] += strength * (2 * labels - 1)
    return stream, labels


def test_a_probe_finds_what_is_there_and_only_that() -> None:
    stream, labels = planted(120, 3, 200, 6.0)
    none, there, other, chosen = probe(stream, labels)
    assert there.accuracy.value > 0.9 and chosen.accuracy.value > 0.9 and chosen.layer is None
    for one in (none, other):
        assert one.accuracy.low < 0.5 < one.accuracy.high
    assert there.control.low < 0.5 < there.control.high


def test_the_choice_of_a_layer_costs_nothing() -> None:
    accuracies = [
        probe(np.random.default_rng(s).normal(size=(60, 12, 20)), np.arange(60) % 2, shuffles=1) for s in range(12)
    ]
    chosen = np.mean([found[-1].accuracy.value for found in accuracies])
    best = np.mean([max(one.accuracy.value for one in found[:-1]) for found in accuracies])
    assert abs(chosen - 0.5) < 0.06 < best - 0.5


@pytest.mark.parametrize("size", [1, 2])
def test_leaving_a_group_out_is_what_a_fit_without_the_group_gives(size: int) -> None:
    stream, labels = planted(16, 2, 5, 1.0)
    inputs, group = stream[:, 1], np.arange(16) // size
    for penalty in PENALTIES:
        claimed = _told(inputs, labels.astype(bool)[:, None], inputs[:1], group, (penalty,))[1][0]
        unit = np.square(inputs - inputs.mean(0)).sum() / 16
        right = []
        for out in range(16):
            rest = group != group[out]
            signs, centred = 2.0 * labels[rest] - 1, inputs[rest] - inputs[rest].mean(0)
            weights = np.linalg.solve(
                centred.T @ centred + penalty * unit * np.eye(5), centred.T @ (signs - signs.mean())
            )
            right.append(((inputs[out] - inputs[rest].mean(0)) @ weights + signs.mean() > 0) == labels[out])
        assert claimed == np.mean(right)


def test_pairs_stay_together() -> None:
    draw = np.random.default_rng(0)
    topics = draw.normal(size=(40, 1, 30)) * 10
    stream, labels = np.concatenate([topics, topics]), np.repeat([0, 1], 40)
    apart = probe(stream, labels, groups=[*range(40)] * 2, shuffles=2)[0]
    assert apart.accuracy.value <= 0.5 and apart.control.low <= 0.5 <= apart.control.high
    stream[40:, 0, 0] += 80.0
    assert probe(stream, labels, groups=[*range(40)] * 2)[0].accuracy.value > 0.95


def test_a_probe_needs_both_kinds() -> None:
    with pytest.raises(ConfigError, match="0 of the other"):
        probe(np.zeros((10, 1, 2)), [1] * 10)


def test_told_apart_is_made_once_and_read_again(tmp_path: Path) -> None:
    maths, chat = (Prompts(family=family, n=20) for family in ("maths", "chat"))
    recipe = ToldApart(model=Shipped(name="weak"), one=maths, two=chat, most=20, at="mean", layers=(0, -1), shuffles=2)
    with Lab(Store(tmp_path), workers=1) as lab:
        lab.make([recipe])
        found = recipe.read(lab.path)
    assert [one.layer for one in found] == [0, -1, None]
    assert found[-1].accuracy.value > 0.9 and found[-1].correct.shape == (40,) and found[-1].shuffled.shape == (2, 40)
    with pytest.raises(ValueError, match="too few for 5 folds"):
        ToldApart(model=Shipped(name="weak"), one=maths, two=chat, most=4)


def test_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "inside.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    stream = names["stream"]
    assert isinstance(stream, np.ndarray) and stream.shape == (24, 5, 64)  # as the comment says
    assert len(names["found"]) == 6 and capsys.readouterr().out.count("%") >= 4
    assert len(page.split()) <= 500
