"""Batches: nothing lost, little padded, order from the seed alone; flat = apart = transformers' own loss."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.errors import TrainingError
from cavesson.training.batches import KEPT, PADDING_WORTH_A_RECTANGLE, Batch, Row, Step, Stream, _rectangles, steps_of
from cavesson.training.flat import logits_of, pieces
from cavesson.training.losses import weighted_nll
from training_world import examples, llama, rows_of


def stream(n: int = 23, seed: int = 0, **options: object) -> Stream:
    return Stream(examples(n), llama(), **{"seed": seed, "max_length": None, "prompt_weight": 0.0, **options})  # type: ignore[arg-type]


def steps(data: Stream, count: int, cursor: int = 0, **options: object) -> list[Step]:
    cut = {"batch_size": 4, "tokens_per_batch": None, "accumulate": 1, "end": None, **options}
    made = steps_of(data, cursor=cursor, **cut)  # type: ignore[arg-type]
    return [step for step, _ in zip(made, range(count), strict=False)]


def texts(rows: list[Row]) -> list[tuple[int, ...]]:
    return [tuple(row.ids.tolist()) for row in rows]


def test_an_epoch_holds_every_example_once_and_the_next_comes_in_another_order() -> None:
    data = stream(23)
    rows = list(rows_of(data, 0, 46))
    first, second = texts(rows[:23]), texts(rows[23:])
    assert len(set(first)) == 23
    assert sorted(first) == sorted(second)
    assert first != second


def test_order_depends_on_the_seed_alone() -> None:
    assert texts(list(rows_of(stream(seed=1), 0, 40))) == texts(list(rows_of(stream(seed=1), 0, 40)))
    assert texts(list(rows_of(stream(seed=1), 0, 40))) != texts(list(rows_of(stream(seed=2), 0, 40)))


def test_large_data_sets_are_not_kept_and_come_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = texts(list(rows_of(stream(), 0, 60)))
    assert KEPT > 23
    monkeypatch.setattr("cavesson.training.batches.KEPT", 10)
    data = stream()
    assert texts(list(rows_of(data, 0, 60))) == kept
    assert not data._kept


@pytest.mark.parametrize(
    "cut", [{}, {"accumulate": 3}, {"tokens_per_batch": 200}, {"tokens_per_batch": 150, "accumulate": 2}]
)
def test_a_cursor_continues_the_order_where_it_was_left(cut: dict[str, int]) -> None:
    whole = steps(stream(), 9, **cut)
    rest = steps(stream(), 4, cursor=whole[4].cursor, **cut)
    assert [[texts(rows) for rows in step.micro_batches] for step in rest] == [
        [texts(rows) for rows in step.micro_batches] for step in whole[5:]
    ]


def test_packing_fills_steps_up_to_their_tokens_and_keeps_conversations_whole() -> None:
    data = stream()
    made = steps(data, 8, tokens_per_batch=200)
    assert all(step.tokens <= 200 for step in made)
    assert texts([row for step in made for row in step.micro_batches[0]]) == texts(
        list(rows_of(data, 0, made[-1].cursor))
    )
    longest = max(len(row.ids) for row in rows_of(data, 0, 23))
    alone = steps(data, 5, tokens_per_batch=longest - 1)
    assert all(len(step.micro_batches[0]) >= 1 for step in alone)


def test_one_epoch_ends_with_a_smaller_step() -> None:
    made = steps(stream(23), 99, end=23)
    assert [len(step.micro_batches[0]) for step in made] == [4, 4, 4, 4, 4, 3]
    assert made[-1].cursor == 23


def test_weights_are_one_on_answers_and_the_prompt_weight_elsewhere() -> None:
    row, light = next(rows_of(stream(), 0)), next(rows_of(stream(prompt_weight=0.1), 0))
    assert set(row.weights.tolist()) == {0.0, 1.0}
    assert light.weights[0] == 0
    assert sorted(set(light.weights[1:].tolist())) == pytest.approx([0.1, 1.0])
    assert ((light.weights == 1) == (row.weights == 1)).all()


def test_longer_rows_are_cut() -> None:
    assert max(len(row.ids) for row in rows_of(stream(max_length=20), 0, 23)) == 20


def test_the_models_system_prompt_goes_before_conversations_without_one() -> None:
    data = stream()
    data.model = type(data.model)(**{**vars(data.model), "system": "Talk."})
    said = [data.model.tokenizer.decode(row.ids) for row in rows_of(data, 0, 23)]
    assert sum("<|system|>Talk." in text for text in said) == 18
    assert sum("<|system|>Be kind." in text for text in said) == 5


def test_a_batch_loses_nothing_and_pads_little() -> None:
    rows = list(rows_of(stream(200), 0, 200))
    batch = Batch.of(rows)
    trained = sum(int((row.weights != 0).sum()) for row in rows)
    assert int((batch.weights_K != 0).sum()) == trained
    assert float(batch.weights_K.sum()) == trained
    tokens = sum(len(row.ids) for row in rows)
    assert tokens <= batch.ids_1N.shape[1] < 1.1 * tokens
    assert sum(docs * length for docs, length in batch.rectangles) == batch.ids_1N.shape[1]


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=7))
def test_rectangles_are_the_cheapest_cut_of_the_lengths(lengths: list[int]) -> None:
    lengths = sorted(lengths, reverse=True)

    def cost(groups: list[list[int]]) -> int:
        return sum(PADDING_WORTH_A_RECTANGLE + sum(group[0] - length for length in group) for group in groups)

    def cuts(rest: list[int]) -> Iterator[list[list[int]]]:
        if not rest:
            yield []
        for n in range(1, len(rest) + 1):
            yield from ([rest[:n], *others] for others in cuts(rest[n:]))

    found, start = [], 0
    for docs, length in _rectangles(lengths):
        found.append(lengths[start : start + docs])
        assert found[-1][0] == length
        start += docs
    assert start == len(lengths)
    assert cost(found) == min(map(cost, cuts(lengths)))


def architectures() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    size = {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    grouped = {**size, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
    return {
        "llama": llama().net,
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=128)),
        "gemma2, soft-capped": Gemma2ForCausalLM(Gemma2Config(**grouped, sliding_window=16)),
        "mistral, sliding window": MistralForCausalLM(MistralConfig(**grouped, sliding_window=16)),
        "mamba": MambaForCausalLM(MambaConfig(vocab_size=260, hidden_size=32, num_hidden_layers=2, state_size=4)),
    }


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2, soft-capped", "mistral, sliding window", "mamba"])
def test_the_loss_of_a_batch_is_transformers_own(name: str) -> None:
    """Flat, apart and one conversation at a time through transformers: the same loss and the same gradients."""
    net = architectures()[name].eval()
    rows = list(rows_of(stream(24), 0, 24))
    total = float(sum(float(row.weights.sum()) for row in rows))

    net.zero_grad()
    theirs = 0.0
    for row in rows:
        ids = torch.from_numpy(row.ids).long()[None]
        labels = torch.where(torch.from_numpy(row.weights)[None] > 0, ids, -100)
        part = net(input_ids=ids, labels=labels, use_cache=False).loss * float(row.weights.sum()) / total
        part.backward()
        theirs += part.item()
    expected = {key: weight.grad.clone() for key, weight in net.named_parameters() if weight.grad is not None}

    batch = Batch.of(rows, total_weight=total)
    with logits_of(net) as (logits, flat):
        net.zero_grad()
        ours = 0.0
        for piece in pieces(batch, flat):
            part = weighted_nll(logits(piece), piece.targets_K, piece.weights_K)
            part.backward()
            ours += part.item()
    assert flat == (name in ("llama", "gpt2"))
    assert ours == pytest.approx(theirs, abs=1e-5)
    for key, weight in net.named_parameters():
        if key in expected:
            torch.testing.assert_close(weight.grad, expected[key], atol=1e-5, rtol=1e-4)


def test_packed_documents_do_not_see_each_other() -> None:
    net = llama().net
    rows = list(rows_of(stream(24), 0, 24))
    changed = [Row(rows[0].ids * 0 + 7, rows[0].weights), *rows[1:]]
    with logits_of(net) as (logits, flat), torch.no_grad():
        assert flat
        before, after = logits(Batch.of(rows)), logits(Batch.of(changed))
    same = (before == after).all(dim=1).sum()
    assert same >= len(before) - int((rows[0].weights > 0).sum()) > 0


def test_the_loss_and_its_gradient_are_cross_entropys() -> None:
    logits = torch.randn(700, 50, requires_grad=True)
    targets, weights = torch.randint(0, 50, (700,)), torch.rand(700)
    ours = weighted_nll(logits, targets, weights)
    (ours * 3).backward()
    gradient, logits.grad = logits.grad, None
    theirs = (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    (theirs * 3).backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, logits.grad)


def test_an_example_that_is_longer_than_the_context_is_refused_unless_it_is_cut() -> None:
    model = llama()
    context = model.net.config.max_position_embeddings
    data = [Example(Conversation.of("Hello", "The " * context))]
    with pytest.raises(TrainingError, match=f"Example 1 .* more than the model's context of {context:,}"):
        next(Stream(data, model, seed=0, max_length=None, prompt_weight=0.0).groups(0))
    [row] = next(Stream(data, model, seed=0, max_length=context, prompt_weight=0.0).groups(0))
    assert len(row.ids) == context
