"""The native sampler writes what `transformers.generate` writes, whatever else is in the batch."""

from __future__ import annotations

import random
from inspect import Parameter, signature
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    OPTConfig,
    Qwen3Config,
)

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.models.adapters import attach
from cavesson.models.linear import weights_of
from cavesson.models.model import Model
from cavesson.models.products import Beside, Packed
from cavesson.models.recipes import LoRA
from cavesson.sampling import native
from cavesson.sampling.bounds import fitting_seats
from cavesson.sampling.llama import llama_of
from cavesson.sampling.manner import manner_of
from cavesson.sampling.native import NativeSampler, without_adapter
from cavesson.sampling.reading import CACHE_NAMES, Reader
from cavesson.sampling.sampler import Params
from cavesson.sampling.window import Alike, Anew, Window

VOCABULARY, STOP = 97, 5
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": STOP,
}
CONFIGS = {
    "llama": LlamaConfig(**SMALL, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SMALL),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3, eos_token_id=STOP
    ),
    "mistral with a sliding window": MistralConfig(**SMALL, sliding_window=9),
    "gemma2, soft caps, every other layer slides": Gemma2Config(**{**SMALL, "sliding_window": 9}),
    "gemma3": Gemma3TextConfig(**{**SMALL, "sliding_window": 9}),
    "opt, positions from the mask": OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
        init_std=0.3,
        eos_token_id=STOP,
    ),
    "lfm2, convolutions": Lfm2Config(**{**SMALL, "layer_types": ["conv", "full_attention"]}),
}


class Letters:
    """Stands in for a renderer: a message's words are token numbers."""

    stop_ids = frozenset({STOP})

    def prompt_many(self, conversations) -> list[list[int]]:
        return [[int(word) for message in c.messages for word in message.content.split()] for c in conversations]

    def decode(self, ids) -> str:
        return "".join(f"<{token}>" for token in ids if token not in self.stop_ids)


def net_of(config, seed: int = 0):
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def model_of(net, system: str | None = None):
    return SimpleNamespace(net=net, renderer=Letters(), system=system, key="test")


def prompts_of(count: int, seed: int = 0, longest: int = 30) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(6, VOCABULARY) for _ in range(rng.randint(1, longest))] for _ in range(count)]


@pytest.fixture(scope="module")
def llama():
    torch.set_num_threads(1)
    return net_of(CONFIGS["llama"])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_greedy_is_generate_token_by_token(name, attention):
    torch.set_num_threads(1)
    net = net_of(CONFIGS[name])
    if attention == "sdpa" and not net._supports_sdpa:
        pytest.skip("this architecture has no fused attention")
    net.set_attn_implementation(attention)
    prompts = prompts_of(14)
    ours = NativeSampler(model_of(net), seats=5).continue_ids(prompts, Params(max_tokens=24))
    for prompt, [completion] in zip(prompts, ours, strict=True):
        theirs = net.generate(
            torch.tensor([prompt]), max_new_tokens=24, do_sample=False, eos_token_id=STOP, pad_token_id=0
        )
        assert list(completion.ids) == theirs[0, len(prompt) :].tolist()
        assert completion.finished == (completion.ids[-1] == STOP)
    assert len({completion.ids for [completion] in ours}) > 7, "the models must say different things"


def test_the_short_llama_step_is_the_models_own(llama):
    """The same logits from keys and values in the middle of a batch, some rows padded."""
    rows, columns = 6, 20
    ids = torch.randint(6, VOCABULARY, (rows, columns + 1))
    mask = torch.ones(rows, columns + 1, dtype=torch.long)
    mask[::2, :7] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = []
    with torch.inference_mode():
        for step in ("the short one", "the model's"):
            keys, read = Window(llama.config, rows, 64), DynamicCache(config=llama.config)
            llama(ids[:, :-1], mask[:, :-1], positions[:, :-1], read, use_cache=True)
            keys.admit(read, torch.arange(rows), 30)
            keys.use_columns(10, 30)
            if step == "the short one":
                logits.append(llama_of(llama).step(keys, ids, mask, positions[:, -1:]))
            else:
                logits.append(llama(ids[:, -1:], mask, positions[:, -1:], keys.cache, use_cache=True).logits[:, -1])
    assert torch.allclose(*logits, atol=1e-4)


def adapted(config, dtype=torch.float32):
    """A network with an adapter that changes its answers, on two of three products of attention and on one of the others."""
    base = Model(net_of(config).to(dtype), None, Letters(), "test")  # type: ignore[arg-type]
    net = attach(base, LoRA(rank=2, targets=("q_proj", "v_proj", "down_proj")), seed=0).net
    for name, weight in net.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.3)
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_beside_the_weights_gives_the_logits_of_the_network(dtype):
    net = adapted(CONFIGS["llama"], dtype)
    ids, mask = torch.randint(6, VOCABULARY, (4, 9)), torch.ones(4, 9, dtype=torch.long)
    with torch.inference_mode():
        found = llama_of(net).begin(Window(net.config, 4, 32), ids, mask, torch.arange(4), 9)
        expected = net(ids).logits[:, -1]
        with net.disable_adapter():
            without = net(ids).logits[:, -1]
    error, effect = (found - expected).abs().max(), (without - expected).abs().max()
    assert error < (1e-4 if dtype == torch.float32 else effect / 10)


def test_a_small_change_is_not_rounded_away_in_16_bits():
    """The adapter of a model in bfloat16 stays beside the weights; merged into them, it would leave nothing of this one."""
    net = adapted(CONFIGS["llama"], torch.bfloat16)
    model = Model(net, None, Letters(), "test")  # type: ignore[arg-type]
    assert without_adapter(model).net is net
    matrix, factors = weights_of(net.base_model.model.model.layers[0].mlp.down_proj)
    small = factors.b @ factors.a * 1e-4
    assert torch.equal((matrix.float() + small).bfloat16(), matrix)
    x = torch.randn(3, matrix.shape[1]).bfloat16()
    beside = Beside(Packed(torch.zeros_like(matrix)), factors.a.bfloat16(), (factors.b * 1e-4).bfloat16())(x)
    assert torch.allclose(beside.float(), x.float() @ small.T, rtol=0.1, atol=1e-5)


def test_only_a_plain_llama_has_the_short_step(llama):
    other = {name: net_of(CONFIGS[name]) for name in ("qwen3", "gpt2")}
    biased = net_of(LlamaConfig(**SMALL, attention_bias=True))
    hooked = net_of(CONFIGS["llama"])
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    switched_off = adapted(CONFIGS["llama"])
    switched_off.base_model.disable_adapter_layers()
    half = net_of(CONFIGS["llama"]).half()
    for net in (*other.values(), biased, hooked, switched_off, half):
        assert llama_of(net) is None
    assert llama_of(llama) is not None and llama_of(net_of(CONFIGS["llama"]).bfloat16()) is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prompts_read_without_padding_have_the_models_own_logits_and_keys(dtype):
    net = net_of(CONFIGS["llama"]).to(dtype)
    lengths = (9, 9, 5, 1)
    ids, mask = torch.randint(6, VOCABULARY, (4, 9)), torch.ones(4, 9, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, : 9 - length] = 0
    quick, usual = (Window(net.config, 6, 32) for _ in "ab")
    seats = torch.tensor([4, 0, 2, 5])
    with torch.inference_mode():
        found = llama_of(net).begin(quick, ids, mask, seats, 12)
        expected = usual.begin(Reader(net), ids, mask, seats, 12)
    near = {"atol": 1e-4} if dtype == torch.float32 else {"atol": 0.1, "rtol": 0.1}
    assert torch.allclose(found, expected, **near)
    for ours, theirs in zip(quick.layers, usual.layers, strict=True):
        for seat, length in zip(seats.tolist(), lengths, strict=True):
            own = slice(12 - length, 12)
            assert torch.allclose(ours.keys[seat, :, own], theirs.keys[seat, :, own], **near)
            assert torch.allclose(ours.values[seat, :, own], theirs.values[seat, :, own], **near)


def test_a_model_too_large_for_the_cache_gets_as_many_seats_as_its_weights_are_worth(llama, monkeypatch):
    assert fitting_seats(llama, 100, 200) == 256, "10 MiB hold the keys and values of many short texts"
    monkeypatch.setattr("cavesson.sampling.bounds.CACHE_BYTES", {"cpu": 0, "cuda": 0})
    weights = sum(weight.numel() * 4 for weight in llama.parameters())
    column = (
        2
        * llama.config.num_hidden_layers
        * llama.config.num_key_value_heads
        * llama.model.layers[0].self_attn.head_dim
        * 4
    )
    assert fitting_seats(llama, weights / column / 20, 1000) == 20
    monkeypatch.setattr("cavesson.sampling.bounds.WHOLE_BYTES", 0)
    assert fitting_seats(llama, weights / column / 20, weights / column / 10) == 10


def test_an_adapter_is_sampled_with_and_left_as_it_is(llama):
    net = net_of(CONFIGS["llama"])
    adapted = attach(Model(net, None, Letters(), "test"), LoRA(rank=2), seed=0)  # type: ignore[arg-type]
    with torch.no_grad():
        for name, weight in adapted.net.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    before = {name: weight.clone() for name, weight in adapted.net.state_dict().items()}
    [[ours]] = NativeSampler(adapted).continue_ids([[7, 8, 9]], Params(max_tokens=10))
    theirs = adapted.net.generate(torch.tensor([[7, 8, 9]]), max_new_tokens=10, do_sample=False, eos_token_id=STOP)
    assert list(ours.ids) == theirs[0, 3:].tolist()
    [[plain]] = NativeSampler(model_of(llama)).continue_ids([[7, 8, 9]], Params(max_tokens=10))
    assert plain.ids != ours.ids
    assert all(torch.equal(weight, before[name]) for name, weight in adapted.net.state_dict().items())


def test_rows_come_and_go_and_the_space_is_reused(llama):
    """Many more prompts than seats, and far more columns written than are held at once."""
    prompts = prompts_of(60, seed=1)
    few = NativeSampler(model_of(llama), seats=3).continue_ids(prompts, Params(max_tokens=40))
    many = NativeSampler(model_of(llama), seats=64).continue_ids(prompts, Params(max_tokens=40))
    assert few == many
    assert any(c.finished for [c] in few) and any(not c.finished for [c] in few)


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_a_draw_does_not_depend_on_the_batch(llama, top_p):
    prompts = prompts_of(20, seed=2)
    params = Params(max_tokens=20, temperature=1.0, top_p=top_p, n=3, seed=7)
    together = NativeSampler(model_of(llama), seats=16).continue_ids(prompts, params)
    alone = [NativeSampler(model_of(llama), seats=1).continue_ids([prompt], params)[0] for prompt in prompts]
    assert together == alone
    assert len({c.ids for c in together[0]}) > 1, "the completions of one prompt differ"
    other_seed = NativeSampler(model_of(llama)).continue_ids(prompts, params.model_copy(update={"seed": 8}))
    assert other_seed != together


def test_draws_follow_the_distribution(llama):
    """The share of each first token over many draws is its probability."""
    prompt, n = prompts_of(1, seed=3)[0], 4000
    params = Params(max_tokens=1, temperature=1.5, n=n)
    [answers] = NativeSampler(model_of(llama)).continue_ids([prompt], params)
    with torch.no_grad():
        expected = (llama(torch.tensor([prompt])).logits[0, -1].double() / 1.5).softmax(-1)
    share = torch.bincount(torch.tensor([c.ids[0] for c in answers]), minlength=VOCABULARY) / n
    assert (share - expected).abs().max() < 0.04  # five standard errors of a share near one half


def test_top_p_leaves_out_the_tail(llama):
    prompt = prompts_of(1, seed=3)[0]
    [answers] = NativeSampler(model_of(llama)).continue_ids(
        [prompt], Params(max_tokens=1, temperature=1.0, top_p=0.5, n=500)
    )
    with torch.no_grad():
        probabilities, order = llama(torch.tensor([prompt])).logits[0, -1].softmax(-1).sort(descending=True)
    nucleus = int((probabilities.cumsum(0) < 0.5).sum()) + 1
    assert {c.ids[0] for c in answers} <= set(order[:nucleus].tolist())


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("sharpness", [0.1, 2.0])
def test_a_nucleus_among_the_likeliest_tokens_gives_the_very_token_of_a_whole_sort(top_p, sharpness, monkeypatch):
    """Flat logits (nuclei beyond the likeliest tokens) and sharp ones, rounded so that many tokens are equally likely."""
    logits = (torch.randn(200, 2000) * sharpness).mul(8).round().div(8)
    draws, params = torch.rand(200, dtype=torch.float64), Params(temperature=1.0, top_p=top_p)
    monkeypatch.setattr(native, "NUCLEI", (30, 300))
    quick = native._choose(logits, params, draws)
    monkeypatch.setattr(native, "NUCLEI", ())
    assert torch.equal(quick, native._choose(logits, params, draws))


def test_log_probabilities_are_the_models(llama):
    prompts = prompts_of(9, seed=4)
    answers = NativeSampler(model_of(llama), seats=4).continue_ids(prompts, Params(max_tokens=12, logprobs=True))
    for prompt, [completion] in zip(prompts, answers, strict=True):
        ids = torch.tensor([[*prompt, *completion.ids]])
        with torch.no_grad():
            expected = llama(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        expected = expected.gather(1, torch.tensor(completion.ids)[:, None])[:, 0]
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)


def test_a_stop_text_ends_the_answer_before_itself(llama):
    [[free]] = NativeSampler(model_of(llama)).continue_ids([[9, 8, 7]], Params(max_tokens=20))
    stop = f"<{free.ids[6]}>"
    [[stopped]] = NativeSampler(model_of(llama)).continue_ids([[9, 8, 7]], Params(max_tokens=20, stop=(stop,)))
    assert stopped.finished
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.ids == free.ids[: free.ids.index(free.ids[6]) + 1]


def test_the_models_own_system_prompt_stands_in_front(llama):
    plain, prompted = NativeSampler(model_of(llama)), NativeSampler(model_of(llama, system="50 51 52"))
    conversation = Conversation.of("10 11 12")
    both = [conversation, conversation.with_system("60")]
    assert prompted.prompts_ids(both) == [[50, 51, 52, 10, 11, 12], [60, 10, 11, 12]]
    assert plain.prompts_ids(both) == [[10, 11, 12], [60, 10, 11, 12]]
    params = Params(max_tokens=8)
    assert prompted.sample([conversation], params) == plain.sample([conversation.with_system("50 51 52")], params)


@pytest.mark.parametrize(
    ("listed", "ends"), [([STOP, 11], {STOP, 11}), (11, {STOP, 11}), ([11, VOCABULARY + 3], {STOP, 11})]
)
def test_an_answer_ends_at_every_end_that_the_model_names(listed, ends):
    """generation_config.json names further ends, as one number or a list; a number that the model cannot write is no end."""
    net = net_of(CONFIGS["llama"])
    net.generation_config.eos_token_id = listed
    prompts = prompts_of(30)
    found = [answer for [answer] in NativeSampler(model_of(net)).continue_ids(prompts, Params(max_tokens=40))]
    assert {answer.ids[-1] for answer in found if answer.finished} == ends
    assert all(ends.isdisjoint(answer.ids[:-1]) for answer in found)


def test_settings_of_generate_that_are_left_out_are_named_once(caplog):
    net = net_of(CONFIGS["llama"])
    net.generation_config.repetition_penalty, net.generation_config.temperature = (
        1.3,
        0.7,
    )  # callers set the temperature
    plain = NativeSampler(model_of(net_of(CONFIGS["llama"]))).continue_ids([[7, 8, 9]], Params(max_tokens=10))
    assert not caplog.messages
    assert [NativeSampler(model_of(net)).continue_ids([[7, 8, 9]], Params(max_tokens=10)) for _ in "ab"] == [
        plain,
        plain,
    ]
    [said] = caplog.messages
    assert "repetition_penalty=1.3" in said and "temperature" not in said


def test_a_token_that_the_model_does_not_have_is_refused(llama):
    with pytest.raises(ConfigError, match=f"writes token {VOCABULARY}, .* has {VOCABULARY} tokens only"):
        NativeSampler(model_of(llama)).continue_ids([[7, VOCABULARY]], Params())


class Forgetful(LlamaForCausalLM):
    """Accepts a cache and forgets it, as a model does after its argument was renamed."""

    def forward(self, input_ids, attention_mask=None, cache=None, use_cache=None, **options):
        return super().forward(input_ids, use_cache=False)


class Peeking(LlamaForCausalLM):
    """Reads a text backwards as well."""

    def forward(self, input_ids, **options):
        output = super().forward(input_ids, use_cache=False)
        output.logits = output.logits + output.logits.flip(1)
        return output


def test_a_model_is_read_in_the_manner_that_gives_its_own_logits():
    assert manner_of(net_of(CONFIGS["llama"])) is Window
    assert manner_of(net_of(CONFIGS["lfm2, convolutions"])) is Alike
    forgetful, prompts = Forgetful(CONFIGS["llama"]).eval(), prompts_of(8)
    assert manner_of(forgetful) is Anew
    found = NativeSampler(model_of(forgetful), seats=3).continue_ids(prompts, Params(max_tokens=9))
    whole = LlamaForCausalLM(CONFIGS["llama"]).eval()
    whole.load_state_dict(forgetful.state_dict())
    assert found == NativeSampler(model_of(whole)).continue_ids(prompts, Params(max_tokens=9))
    with pytest.raises(
        ConfigError, match="Peeking cannot write text: its logits after a token depend on the tokens that follow"
    ):
        NativeSampler(model_of(Peeking(CONFIGS["llama"]).eval())).continue_ids(prompts, Params())


def test_a_network_of_no_numbers_is_sampled_and_says_nothing_of_its_architecture():
    """A training that diverged is scored like any other."""
    config = LlamaConfig(**SMALL, rms_norm_eps=1e-3)
    broken = net_of(config)
    broken.model.norm.weight.data.fill_(float("nan"))
    [[answer]] = NativeSampler(model_of(broken)).continue_ids([[7, 8, 9]], Params(max_tokens=5))
    assert answer.ids and manner_of(net_of(config)) is Window


def test_trying_a_manner_disturbs_no_hook():
    net, calls = net_of(LlamaConfig(**SMALL, rms_norm_eps=1e-4)), []
    net.lm_head.register_forward_hook(lambda *_: calls.append(1))
    manner_of(net)
    assert calls == []
    NativeSampler(model_of(net)).continue_ids([[7, 8, 9]], Params(max_tokens=3))
    assert calls == [1, 1, 1]


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_a_cache_is_given_by_the_name_that_this_version_of_transformers_has(name):
    given = {}

    class Net:
        def forward(self, **options):
            given.update(options)
            return SimpleNamespace(logits=torch.zeros(1, 1, 3))

        __call__ = forward
        forward.__signature__ = signature(lambda self, input_ids, use_cache, **cache: ...).replace(
            parameters=[Parameter(key, Parameter.KEYWORD_ONLY) for key in ("input_ids", "use_cache", name)]
        )

    Net.forward = staticmethod(Net.forward)
    Reader(Net())(torch.tensor([[1]]), torch.ones(1, 1), cache="kept")
    assert given.pop("input_ids").tolist() == [[1]] and given == {name: "kept", "use_cache": True}


def test_answers_end_where_the_context_ends(llama):
    [[completion]] = NativeSampler(model_of(llama)).continue_ids([[7] * 120], Params(max_tokens=50))
    assert len(completion.ids) == 8 and not completion.finished
    with pytest.raises(ConfigError, match="Conversation 1 has 128 tokens"):
        NativeSampler(model_of(llama)).continue_ids([[7], [7] * 128], Params())


def test_a_model_can_be_sampled_in_the_middle_of_training():
    net = net_of(CONFIGS["llama"]).train()
    before = NativeSampler(model_of(net)).continue_ids([[7, 8, 9]], Params(max_tokens=5))
    assert net.training
    net(input_ids=torch.tensor([[7, 8, 9]]), labels=torch.tensor([[7, 8, 9]])).loss.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert NativeSampler(model_of(net)).continue_ids([[7, 8, 9]], Params(max_tokens=5)) == before


def test_progress_reaches_the_end(llama):
    seen: list[tuple[int, int]] = []
    prompts = prompts_of(40)
    NativeSampler(model_of(llama)).continue_ids(prompts, Params(max_tokens=3), lambda done, of: seen.append((done, of)))
    assert seen[-1] == (40, 40) and seen == sorted(seen)


def test_nothing_to_sample(llama):
    assert NativeSampler(model_of(llama)).sample([], Params()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"n": 4}, "temperature above 0"), ({"stop": ("",)}, "empty stop text"), ({"top_p": 0.0}, "greater than 0")],
)
def test_parameters_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Params(**fields)
