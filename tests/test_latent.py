"""Latent steps: what they are, that every way of running a network takes them alike, and that cutting them costs the ability."""

from __future__ import annotations

import random

import pytest
import torch

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example
from cavesson.errors import ConfigError
from cavesson.models import latent
from cavesson.models.adapters import attach as attach_adapter
from cavesson.models.latent import with_latent_steps
from cavesson.models.loading import open_folder, save_folder
from cavesson.models.recipes import LoRA, Templated
from cavesson.models.worded import InWords, Latent, Silent
from cavesson.sampling.ct2_engine import takes
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.perplexity import mean_loss
from cavesson.sampling.sampler import Params
from cavesson.training.batches import Batch
from cavesson.training.flat import logits_of
from cavesson.training.recipes import Trained
from families import ARCHITECTURES, THINKING, tiny_folder
from training_world import Folders, Sayings, Untrained, train

HELLO = Conversation.of("hello there", "yes sir")
TWO = Conversation((*HELLO.messages, Message("user", "and how are you?"), Message("assistant", "good")))


def opened(tmp_path, architecture="llama", steps=3):
    return with_latent_steps(open_folder(tiny_folder(tmp_path / architecture, architecture), key="k"), steps)


def by_hand(net, ids, mixed=False):
    """Logits of a text whose latent tokens are filled one after the other, each from the whole text before it."""
    decoder = net.get_decoder()
    words = decoder.get_input_embeddings()(torch.tensor([ids])).detach().clone()
    for column, token in enumerate(ids):
        if token == net.config.latent_token_id:
            state = decoder.forward(inputs_embeds=words[:, :column], use_cache=False)[0][0, -1]
            words[0, column] = (state @ net.lm_head.weight.T).softmax(-1) @ net.lm_head.weight if mixed else state
    return net(inputs_embeds=words).logits


@pytest.mark.parametrize("keeps_keys", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_latent_token_is_read_as_the_state_before_it(tmp_path, monkeypatch, architecture, keeps_keys):
    model = opened(tmp_path, architecture)
    if not keeps_keys:
        monkeypatch.setattr(latent, "DynamicLayer", None)
    with torch.no_grad():
        for talk in (HELLO, TWO):
            ids = model.renderer.render(talk).ids
            assert ids.count(model.net.config.latent_token_id) == 3 * len(talk.messages) // 2
            torch.testing.assert_close(
                model.net(input_ids=torch.tensor([ids])).logits, by_hand(model.net, ids), rtol=0, atol=1e-5
            )


@pytest.mark.parametrize("keeps_keys", [True, False])
def test_a_mixed_step_is_the_mean_of_the_words_that_the_state_foretells(tmp_path, monkeypatch, keeps_keys):
    model = with_latent_steps(open_folder(tiny_folder(tmp_path), key="k"), 3, mixed=True)
    if not keeps_keys:
        monkeypatch.setattr(latent, "DynamicLayer", None)
    ids = model.renderer.render(TWO).ids
    with torch.no_grad():
        expected = by_hand(model.net, ids, mixed=True)
        torch.testing.assert_close(model.net(input_ids=torch.tensor([ids])).logits, expected, rtol=0, atol=1e-5)
        assert not torch.allclose(expected, by_hand(model.net, ids))
    save_folder(model, tmp_path / "saved")
    with torch.no_grad():
        again = open_folder(tmp_path / "saved", key="k").net(input_ids=torch.tensor([ids])).logits
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-5)


def test_gradients_flow_through_states_and_not_through_mixtures(tmp_path):
    moved = {}
    for mixed in (False, True):
        model = with_latent_steps(open_folder(tiny_folder(tmp_path / str(mixed)), key="k"), 2, mixed=mixed)
        ids = model.renderer.prompt(HELLO)
        first = model.net.get_input_embeddings()(torch.tensor([ids[:1]])).detach().requires_grad_()
        filled = latent._Text(
            model.net.get_decoder(), {}, torch.tensor([ids]) == model.net.config.latent_token_id, mixed
        )
        words = model.net.get_input_embeddings()(torch.tensor([ids])).detach()
        read = filled.filled(torch.cat([first, words[:, 1:]], 1))
        moved[mixed] = torch.autograd.grad(read[0, -1].sum(), first)[0].abs().sum() if read[0, -1].requires_grad else 0
    assert moved[False] > 0
    assert not moved[True]


def test_rows_that_wait_for_a_seat_are_answered_as_alone(tmp_path):
    model = opened(tmp_path)
    asked = [Conversation.of("hello " * (1 + number % 5)) for number in range(24)]
    params = Params(max_tokens=6)
    few = NativeSampler(model)
    few._fitting_seats = lambda rows: 4
    assert few.sample(asked, params) == [NativeSampler(model).sample([one], params)[0] for one in asked]


def test_nobody_writes_the_latent_token(tmp_path):
    model = opened(tmp_path)
    token = model.net.config.latent_token_id
    with torch.no_grad():
        model.net.lm_head.weight[token] = 100 * model.net.lm_head.weight[5]
        model.net.lm_head.weight[5] = -model.net.lm_head.weight[5]
    asked = [Conversation.of(text) for text in ("hello", "x")]
    answers = NativeSampler(model).sample(asked, Params(max_tokens=40, temperature=1.0, seed=1))
    assert not any(latent.TOKEN in answer.text for [answer] in answers)


def test_the_row_of_the_latent_token_is_no_draw(tmp_path):
    net = opened(tmp_path).net
    assert not net.get_input_embeddings().weight[net.config.latent_token_id].any()


def test_the_template_may_end_the_steps_with_a_text(tmp_path):
    model = with_latent_steps(open_folder(tiny_folder(tmp_path), key="k"), 2, close="so ")
    text = model.renderer.tokenizer.decode(model.renderer.prompt(HELLO))
    assert text.endswith(f"{latent.TOKEN * 2}so ")
    rendered = model.renderer.render(HELLO, "last")
    assert rendered.ids[: rendered.mask.index(1)] == model.renderer.prompt(HELLO)


def test_mixed_steps_want_the_words_that_the_model_foretells(tmp_path):
    with pytest.raises(ConfigError, match="cannot be mixed"):
        with_latent_steps(open_folder(tiny_folder(tmp_path, "qwen3"), key="k"), 2, mixed=True)


def test_an_answer_continues_the_prompt_that_is_sampled_latent_steps_and_all(tmp_path):
    renderer = opened(tmp_path).renderer
    for talk in (HELLO, TWO):
        rendered = renderer.render(talk, "last")
        assert rendered.ids[: rendered.mask.index(1)] == renderer.prompt(talk)
        assert renderer.tokenizer.convert_ids_to_tokens(renderer.prompt(talk))[-4:] == ["Ċ", *[latent.TOKEN] * 3]


def test_the_token_of_a_message_is_text_and_no_step(tmp_path):
    renderer = opened(tmp_path, steps=1).renderer
    asked = renderer.prompt(Conversation.of(f"say {latent.TOKEN}"))
    assert asked.count(renderer.tokenizer.convert_tokens_to_ids(latent.TOKEN)) == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_completion_does_not_depend_on_its_batch_and_survives_saving(tmp_path, architecture):
    model = opened(tmp_path, architecture)
    asked = [Conversation.of(text) for text in ("hello", "hello there my old friend", "x")]
    params = Params(max_tokens=5)
    sampler = NativeSampler(model)
    together = sampler.sample(asked, params)
    assert together == [sampler.sample([one], params)[0] for one in asked]
    save_folder(model, tmp_path / "saved")
    assert NativeSampler(open_folder(tmp_path / "saved", key="k")).sample(asked, params) == together


def test_a_flat_batch_gives_the_logits_and_the_gradient_of_each_text_alone(tmp_path):
    model = opened(tmp_path)
    rows = [model.renderer.render(talk).ids for talk in (HELLO, Conversation.of("a", "b"), TWO)]
    batch, weight = Batch.of_tokens(rows), model.net.get_input_embeddings().weight
    with logits_of(model.net) as (run, flat):
        assert flat
        logits = run(batch)[batch.weights_K != 0]
        logits.logsumexp(-1).sum().backward()
    together, weight.grad = weight.grad, None
    alone = [model.net(input_ids=torch.tensor([ids])).logits[0, :-1] for ids in rows]
    for number, expected in enumerate(alone):
        torch.testing.assert_close(logits[(batch.doc_K == number)[batch.weights_K != 0]], expected, rtol=0, atol=1e-5)
    torch.cat(alone).logsumexp(-1).sum().backward()
    torch.testing.assert_close(together, weight.grad, rtol=1e-4, atol=1e-4)


def test_fast_paths_leave_a_model_with_latent_steps_to_the_general_one(tmp_path):
    model = opened(tmp_path)
    assert NativeSampler(model).llama is None and not takes(model.net)


def test_an_adapter_reads_latent_steps_too(tmp_path):
    model = attach_adapter(opened(tmp_path), LoRA(rank=2), 0)
    ids = torch.tensor([model.renderer.prompt(HELLO)])
    base = model.net.get_base_model()
    with torch.no_grad():
        torch.testing.assert_close(model.net(input_ids=ids).logits, by_hand(base, ids[0].tolist()), rtol=0, atol=1e-5)


def test_the_number_of_steps_is_an_argument_of_the_template(tmp_path):
    model = opened(tmp_path)
    save_folder(model, tmp_path / "saved")
    for steps in (0, 1, 2):
        again = with_latent_steps(open_folder(tmp_path / "saved", key="k"), steps)
        asked = again.renderer.prompt(HELLO)
        assert asked.count(model.net.config.latent_token_id) == steps
        save_folder(again, tmp_path / "fewer")
        assert open_folder(tmp_path / "fewer", key="k").renderer.prompt(HELLO) == asked


def test_a_template_that_leaves_no_room_for_latent_steps_is_refused(tmp_path):
    model = open_folder(tiny_folder(tmp_path, template=THINKING), key="k")
    with pytest.raises(ConfigError, match="no place for latent steps"):
        with_latent_steps(model, 2)


def test_a_recipe_with_other_steps_is_another_model():
    one, two = Latent(base=Untrained(), steps=1), Latent(base=Untrained(), steps=2)
    assert one.fingerprint != two.fingerprint and "2 latent steps" in two.describe()


# ------------------------------------------------------------------------------------------------ in words, and back


def test_in_words_and_back_it_is_the_same_model(tmp_path):
    with torch.no_grad():
        for mixed, close in ((False, ""), (True, "so ")):
            plain = open_folder(tiny_folder(tmp_path / close), key="k")
            asked, said = plain.renderer.prompt(HELLO), logits_of_last(plain)
            model = with_latent_steps(plain, 3, mixed, close)
            how, told = latent.taken(model), logits_of_last(model)
            assert how == (3, mixed, close) and not torch.equal(said, told)
            token, words = latent.latent_token(model.net), latent.in_words(model)
            apart = (logits_of_last(words)[: len(said)] != said).nonzero().flatten().tolist()
            assert words.renderer.prompt(HELLO) == asked and set(apart) <= {token}, "the row that the latent token took"
            assert latent.latent_token(words.net) is None
            assert torch.equal(logits_of_last(with_latent_steps(words, *how)), told)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_number_of_steps_that_an_argument_sets_is_the_one_that_comes_back(steps):
    """The default alone would come back otherwise, or one number in prompts and another one in what is trained on."""
    base = Templated(base=Latent(base=Untrained(), steps=4), arguments=(("latent_steps", steps),))
    taught = Silent(base=InWords(base=base), like=base).load(None)
    token = latent.latent_token(taught.net)
    for ids in (taught.renderer.prompt(HELLO), taught.renderer.render(HELLO).ids):
        assert ids.count(token) == steps
    words = InWords(base=base).load(None).renderer
    assert words.prompt(HELLO) == Untrained().load(None).renderer.prompt(HELLO)


def test_a_model_without_latent_steps_is_in_words_already(tmp_path):
    with pytest.raises(ConfigError, match="takes no latent steps"):
        latent.in_words(open_folder(tiny_folder(tmp_path), key="k"))


def test_a_model_trained_in_words_gets_the_steps_of_the_one_before():
    taught = Silent(base=InWords(base=Latent(base=Untrained(), steps=2)), like=Latent(base=Untrained(), steps=4))
    assert taught.load(None).renderer.prompt(HELLO).count(latent.latent_token(taught.load(None).net)) == 4
    assert "in words" in taught.base.describe() and "again" in taught.describe()


def logits_of_last(model):
    """What a model foretells behind a prompt."""
    return model.net.eval()(torch.tensor([model.renderer.prompt(HELLO)])).logits[0, -1]


def test_a_training_gives_the_steps_a_use_and_cutting_them_costs_the_ability(tmp_path):
    """Answers without a rule, learnt by the one engine; the sampler then answers with the steps, and without them no more."""
    draw = random.Random(0)
    talks = [Conversation.of(f"{a}{b}?", draw.choice("uvwxyz") * 3) for a in "abc" for b in "def"]
    data = [Example(talk) for talk in talks]
    run = Trained(
        base=Latent(base=Untrained(), steps=3), data=Sayings(), steps=150, batch_size=9, lr=1e-2, schedule="linear"
    )
    model = train(run, run.base.load(None), data, job=Folders(tmp_path))

    def right(model):
        answers = NativeSampler(model).sample([talk.prompt for talk in talks], Params(max_tokens=5))
        return sum(answer.text == talk.answer for talk, [answer] in zip(talks, answers, strict=True))

    cut = with_latent_steps(model, 0)
    assert right(model) == len(talks) > 2 * right(cut)
    assert mean_loss(model, data) < 0.1 < 1 < mean_loss(cut, data)
