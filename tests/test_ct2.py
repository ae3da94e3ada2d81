"""Greedy sampling through CTranslate2 writes what the native sampler writes, and is chosen wherever it can be."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.evals.scoring import score_suite
from cavesson.evals.world import Knowledge, Maths
from cavesson.models.adapters import attach
from cavesson.models.model import Model
from cavesson.models.recipes import LoRA
from cavesson.sampling import ct2_engine
from cavesson.sampling.cache import CachedSampler
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.ct2 import CT2Sampler, ct2_sampler
from cavesson.sampling.ct2_engine import BATCH, engine_for, takes
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.tinyworld.recipes import Prompts, Shipped
from test_sampling import CONFIGS, SMALL, STOP, VOCABULARY, Letters, model_of, net_of, prompts_of
from training_world import Folders

pytest.importorskip("ctranslate2")

STUDENT = Shipped(name="student")
TAKEN = {
    "llama, grouped keys": LlamaConfig(**SMALL, tie_word_embeddings=True),
    "llama, as many keys as queries": LlamaConfig(**{**SMALL, "num_key_value_heads": 4}),
    "llama, one key head, heads wider than the model": LlamaConfig(
        **{**SMALL, "num_key_value_heads": 1, "head_dim": 24}
    ),
    "llama, biases": LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True),
    "llama, another base of the positions": LlamaConfig(
        **SMALL, rope_parameters={"rope_type": "default", "rope_theta": 500.0}
    ),
    "mistral": MistralConfig(**SMALL, sliding_window=None),
    "qwen2": Qwen2Config(**SMALL),
    "qwen3": Qwen3Config(**SMALL),
}
SCALED = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}
LEFT = {
    "gpt2": CONFIGS["gpt2"],
    "gemma2": CONFIGS["gemma2, soft caps, every other layer slides"],
    "a window": CONFIGS["mistral with a sliding window"],
    "every other layer slides": Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=9, max_window_layers=1),
    "scaled positions": LlamaConfig(**SMALL, rope_parameters=SCALED),
    "another activation": LlamaConfig(**{**SMALL, "hidden_act": "gelu"}),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def llama():
    return net_of(TAKEN["llama, grouped keys"])


@pytest.fixture(scope="module")
def student() -> Model:
    return STUDENT.load(lambda recipe: Path())


def both(model, prompts: list[list[int]], params: Params):
    """The completions of the native sampler, and through CTranslate2."""
    engine = ct2_sampler(model, 1)
    assert engine is not None, "the model is taken"
    return [sampler.continue_ids(prompts, params) for sampler in (NativeSampler(model), engine)]


def test_every_end_that_the_model_names_ends_an_answer():
    net = net_of(TAKEN["llama, grouped keys"])
    net.generation_config.eos_token_id = [STOP, 11]
    native, engine = both(model_of(net), prompts_of(30), Params(max_tokens=40))
    assert native == engine and {answer.ids[-1] for [answer] in engine if answer.finished} == {STOP, 11}


@pytest.mark.parametrize("name", TAKEN)
def test_the_same_tokens_as_the_native_sampler(name):
    """Prompts of 1 to 30 tokens, more than a batch."""
    net = net_of(TAKEN[name])
    with torch.no_grad():  # biases and norms begin as zeros and ones: no test of where they go
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    prompts = prompts_of(BATCH + 20)
    native, engine = both(model_of(net), prompts, Params(max_tokens=24))
    apart = [(prompt, a.ids, b.ids) for prompt, [a], [b] in zip(prompts, native, engine, strict=True) if a != b]
    assert len(apart) <= 1 and all(tied(net, *one) for one in apart)  # another processor rounds otherwise
    assert len({one.ids for [one] in native}) > 20, "the models must say different things"


def tied(net, prompt: list[int], one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    """Whether two answers part where rounding decides: the logits of their next tokens are equal up to 1e-5."""
    same = next(place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    with torch.no_grad():
        logits = net(torch.tensor([[*prompt, *one[:same]]])).logits[0, -1]
    return abs(float(logits[one[same]] - logits[two[same]])) < 1e-5


@pytest.mark.parametrize("name", LEFT)
def test_other_networks_are_left_to_the_native_sampler(name):
    net = net_of(LEFT[name])
    assert not takes(net) and ct2_sampler(model_of(net), 1) is None
    assert type(sampler_for(model_of(net))) is NativeSampler


def test_networks_in_another_type_or_with_hooks_are_left_to_the_native_sampler(llama, monkeypatch):
    hooked = net_of(CONFIGS["llama"])
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    assert not takes(net_of(CONFIGS["llama"]).bfloat16()) and not takes(hooked)
    assert takes(llama)
    monkeypatch.setattr(ct2_engine, "LARGEST", 1000)
    assert not takes(llama)


def test_an_engine_that_computes_something_else_is_not_used(llama, monkeypatch):
    files = ct2_engine._files
    monkeypatch.setattr(ct2_engine, "_files", lambda spec, names, epsilon: files(spec, names, 100 * epsilon + 0.1))
    assert takes(llama) and engine_for(llama, 1) is None


def test_a_network_of_no_numbers_is_left_to_the_native_sampler():
    net = net_of(CONFIGS["llama"])
    net.model.norm.weight.data.fill_(float("nan"))
    assert engine_for(net, 1) is None


@pytest.mark.parametrize("missing", ["not installed", "does not load"])
def test_without_the_package_the_native_sampler_answers(missing, llama, monkeypatch):
    answers = sampler_for(model_of(llama)).continue_ids(prompts_of(5), Params(max_tokens=8))
    ct2_engine._package.cache_clear()
    if missing == "not installed":
        monkeypatch.setitem(sys.modules, "ctranslate2", None)
    else:
        monkeypatch.delitem(sys.modules, "ctranslate2")
        monkeypatch.setattr("builtins.__import__", _unloadable(__import__))
    try:
        sampler = sampler_for(model_of(llama))
    finally:
        ct2_engine._package.cache_clear()
    assert type(sampler) is NativeSampler and sampler.continue_ids(prompts_of(5), Params(max_tokens=8)) == answers


def _unloadable(real):
    def load(name, *rest):
        if name == "ctranslate2":
            raise OSError("libctranslate2.so: cannot open shared object file")
        return real(name, *rest)

    return load


@pytest.mark.parametrize(
    "params",
    [
        Params(max_tokens=12, temperature=1.0, n=3),
        Params(max_tokens=12, logprobs=True),
        Params(max_tokens=20, stop=("<9", "<11>")),
    ],
)
def test_all_but_plain_greedy_decoding_is_the_native_samplers(params, llama, monkeypatch):
    monkeypatch.setattr(ct2_engine.Engine, "continued", lambda *_: pytest.fail("not greedy"))
    native, engine = both(model_of(llama), prompts_of(9), params)
    assert engine == native


def test_the_first_of_several_stop_tokens_ends_an_answer_and_belongs_to_it(llama, monkeypatch):
    monkeypatch.setattr(Letters, "stop_ids", frozenset(range(40, 60)))
    native, engine = both(model_of(llama), prompts_of(40), Params(max_tokens=24))
    assert engine == native
    assert sum(one.finished for [one] in engine) > 20
    assert all(
        one.ids[-1] in Letters.stop_ids and not Letters.stop_ids & set(one.ids[:-1]) for [one] in engine if one.finished
    )


def test_the_first_token_may_end_the_answer():
    net = net_of(LlamaConfig(**SMALL))
    with torch.no_grad():
        net.lm_head.weight[STOP] = 0
        net.lm_head.weight[6:] = net.lm_head.weight[:6] = 0
        net.lm_head.weight[STOP] = net.model.norm(net.model(torch.tensor([[7, 8]])).last_hidden_state[0, -1])
    native, engine = both(model_of(net), [[7, 8]], Params(max_tokens=5))
    assert engine == native and engine[0][0].ids == (STOP,) and engine[0][0].text == ""


def test_answers_end_where_the_context_ends(llama):
    """Prompts that leave different room, in one batch."""
    prompts = [[7] * 120, [8] * 127, [9] * 110, [7, 8, 9]]
    native, engine = both(model_of(llama), prompts, Params(max_tokens=50))
    assert engine == native and [len(one.ids) for [one] in engine[:2]] == [8, 1]
    sampler = ct2_sampler(model_of(llama), 1)
    with pytest.raises(ConfigError, match="Conversation 1 has 128 tokens"):
        sampler.continue_ids([[7], [7] * 128], Params())
    with pytest.raises(ConfigError, match="Conversation 0 renders to no tokens"):
        sampler.continue_ids([[], [7]], Params())
    assert sampler.continue_ids([], Params()) == []


def test_contexts_beyond_the_engines_first_table_of_positions():
    """The engine prepares 2048 positions and more when they are asked for."""
    net = net_of(LlamaConfig(**{**SMALL, "max_position_embeddings": 4096, "initializer_range": 0.15}))
    prompt = (prompts_of(1)[0] * 400)[:2200]
    native, engine = both(model_of(net), [prompt], Params(max_tokens=12))
    assert len(prompt) == 2200 and engine == native


def test_tokens_whose_spelling_means_something_elsewhere_are_numbers_here(llama):
    """0, 1, the last of the vocabulary, a stop token inside a prompt; prompts of one token among others."""
    prompts = [[0], [1, 0, 1], [VOCABULARY - 1] * 3, [STOP, 7, STOP], [0] * 20]
    native, engine = both(model_of(llama), prompts, Params(max_tokens=16))
    assert engine == native


def test_an_adapter_is_merged_into_a_copy():
    adapted = attach(Model(net_of(CONFIGS["llama"]), None, Letters(), "test"), LoRA(rank=2), seed=0)  # type: ignore[arg-type]
    with torch.no_grad():
        for name, weight in adapted.net.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    before = {name: weight.clone() for name, weight in adapted.net.state_dict().items()}
    native, engine = both(adapted, prompts_of(20), Params(max_tokens=10))
    plain = NativeSampler(model_of(net_of(CONFIGS["llama"]))).continue_ids(prompts_of(20), Params(max_tokens=10))
    assert engine == native != plain
    assert all(torch.equal(weight, before[name]) for name, weight in adapted.net.state_dict().items())


def test_a_model_in_training_gets_a_new_engine_and_stays_in_training():
    net = net_of(CONFIGS["llama"]).train()
    before = sampler_for(model_of(net)).continue_ids(prompts_of(6), Params(max_tokens=10))
    assert net.training
    with torch.no_grad():
        net.model.layers[1].mlp.down_proj.weight.mul_(-1)
    native, engine = both(model_of(net), prompts_of(6), Params(max_tokens=10))
    assert engine == native != before


def test_the_choice_the_threads_and_the_key(tmp_path, student, monkeypatch):
    """The key names the engine, since it may decide between two tokens that are equally likely up to rounding."""
    seen = []
    monkeypatch.setattr(ct2_engine.Engine, "__init__", _noting(seen, ct2_engine.Engine.__init__))
    job = Folders(tmp_path)
    kept = sampler_for(STUDENT, job)
    assert isinstance(kept, CachedSampler) and isinstance(kept.sampler, CT2Sampler)
    assert kept.key == f"{NativeSampler(STUDENT.load(job.path)).key}, ctranslate2 {version('ctranslate2')}"
    assert type(sampler_for(student)) is CT2Sampler and seen == [job.threads, 1]


def _noting(seen: list[int], real):
    def make(self, net, threads):
        seen.append(threads)
        real(self, net, threads)

    return make


def test_the_student_answers_alike_under_a_system_prompt_and_without(student):
    prompts = [
        example.conversation.prompt for example in Prompts(family="mixed", n=12, seed=3).examples(lambda r: Path())
    ]
    asked = [*prompts, *(one.with_system("Speak like a pirate.") for one in prompts[:4]), Conversation.of("")]
    engine = ct2_sampler(student, 1)
    assert engine.sample(asked, Params(max_tokens=48)) == NativeSampler(student).sample(asked, Params(max_tokens=48))


def test_the_scores_of_a_suite_are_the_same(student):
    suite = (Knowledge(n=6), Maths(n=6))
    assert score_suite(ct2_sampler(student, 1), suite) == score_suite(NativeSampler(student), suite)


def test_progress_reaches_the_end_and_can_stop_the_work(llama):
    sampler, prompts = ct2_sampler(model_of(llama), 1), [[7, *ids] for ids in prompts_of(2 * BATCH + 3)]
    seen: list[tuple[int, int]] = []
    sampler.continue_ids(prompts, Params(max_tokens=3), lambda done, of: seen.append((done, of)))
    assert seen == [(BATCH, 67), (2 * BATCH, 67), (67, 67)]

    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sampler.continue_ids(prompts, Params(max_tokens=3), stop)
