"""Every architecture of transformers either writes what it writes alone and without a cache, or is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from architectures import ALL, Outcome, outcome, table, tiny_network
from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.errors import ConfigError
from cavesson.models.model import Model
from cavesson.models.rendering import Renderer
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.perplexity import likelihoods
from cavesson.sampling.sampler import Params
from cavesson.sampling.window import Alike, Anew, Window
from families import CHATML, tiny_net, tokenizer_for

FEW = {
    "mamba": Alike,  # a state for each row, which padding would disturb
    "rwkv": Anew,  # a state of a kind of its own
    "gpt_oss": Window,  # attention sinks, windows, experts
    "phi3, longrope": Window,  # texts on both sides of the switch, and across
}
ENCODERS = {
    *(
        "bert",
        "bert-generation",
        "big_bird",
        "camembert",
        "cpmant",
        "data2vec-text",
        "electra",
        "ernie",
        "megatron-bert",
    ),
    *(
        "prophetnet",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roformer",
        "xlm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xlnet",
    ),
}
"""Architectures that read in both directions, unless their config says otherwise."""
OTHERS = ("longcat_flash", "xmod")
"""Architectures whose smallest sizes transformers cannot run, or which want more than tokens."""


@pytest.mark.parametrize("name", FEW)
def test_texts_of_many_lengths_are_continued_as_each_alone(name, tmp_path):
    torch.set_num_threads(1)
    found = outcome(name, tmp_path)
    assert (found.manner, found.wrong, found.unlike) == (FEW[name], 0, 0)


def test_a_model_that_sees_later_tokens_is_refused(tmp_path):
    assert outcome("bert", tmp_path).words.startswith("refused: A BertLMHeadModel cannot write text")


def test_the_table_names_what_is_wrong():
    assert "`generate` writes otherwise" in Outcome(manner=Window, unlike=2).words
    assert Outcome(manner=Window, wrong=1).words == "WRONG"
    assert table(["bert"]).splitlines()[2].startswith("| bert | refused: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_architecture_works_or_is_refused(name, tmp_path: Path):
    try:
        tiny_network(name)
    except Exception as error:  # a config that has no small form, of many kinds
        pytest.skip(f"no tiny network: {error}")
    found = outcome(name, tmp_path)
    assert not found.wrong
    assert (found.manner is None) == (name in ENCODERS or name in OTHERS), found.words


def test_the_likelihood_of_a_text_does_not_depend_on_longer_texts_beside_it():
    """With longrope, the longest text of a batch decides the positions of all."""
    tokenizer = tokenizer_for(CHATML)
    model = Model(tiny_network("phi3, longrope"), tokenizer, Renderer(tokenizer), "x")
    examples = [Example(Conversation.of("Hello", answer)) for answer in ("The.", "The harbour town. " * 4)]
    together = list(likelihoods(model, examples))
    alone = [next(likelihoods(model, [example])) for example in examples]
    assert [found.logprobs for found in together] == [pytest.approx(found.logprobs, abs=1e-4) for found in alone]


def test_a_text_beyond_the_positions_that_were_learnt_is_refused():
    tokenizer = tokenizer_for(CHATML)
    model = Model(tiny_net("gpt2"), tokenizer, Renderer(tokenizer), "x")
    examples = [Example(Conversation.of("Hello", "The " * number)) for number in (3, 300)]
    with pytest.raises(ConfigError, match=r"Example 2 has \d+ tokens, more than the model's context of 256"):
        next(likelihoods(model, examples))
    with pytest.raises(ConfigError, match="leaves no room in the model's context of 256"):
        NativeSampler(model).sample([Conversation.of("The " * 300)], Params())
