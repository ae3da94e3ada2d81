"""Opening and saving models; what names them; attention on a CPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from cavesson.chat import Conversation
from cavesson.errors import ConfigError
from cavesson.lab.recipe import Recipe
from cavesson.models.adapters import attach, save_adapter
from cavesson.models.attention import CPU_ATTENTION, prefer_fast_attention
from cavesson.models.folders import folder_digest, remarks
from cavesson.models.loading import device_of, dtype_in_memory, noised, open_folder, save_folder
from cavesson.models.recipes import HFModel, LoRA, Merged, ModelRecipe, Noised, Prompted
from cavesson.models.weights import INDEX
from families import ARCHITECTURES, CHATML, tiny_folder, tiny_net

IDS = torch.arange(60).reshape(3, 20) % 50 + 5
PADDED = torch.ones(3, 20, dtype=torch.long)
PADDED[0, :7] = 0  # left padding, as for sampling
PADDED[1, 12:] = 0  # right padding, as for training
ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU models open there")


def no_inputs(recipe: Recipe) -> Path:
    raise AssertionError("a Hugging Face model has no inputs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model"))


def pair(architecture: str) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The same network with transformers' eager attention and with ours."""
    eager, ours = tiny_net(architecture), tiny_net(architecture)
    eager.set_attn_implementation("eager")
    prefer_fast_attention(ours)
    assert ours.config._attn_implementation == CPU_ATTENTION
    return eager, ours


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("mask", [None, PADDED], ids=["unpadded", "padded"])
def test_attention_equals_transformers_own_forward_and_backward(architecture, mask):
    eager, ours = pair(architecture)
    real = torch.ones_like(IDS, dtype=torch.bool) if mask is None else mask.bool()
    logits = [net(IDS, attention_mask=mask).logits for net in (eager, ours)]
    torch.testing.assert_close(logits[1][real], logits[0][real], atol=1e-5, rtol=1e-5)
    for one in logits:
        one[real].square().mean().backward()
    for (name, weight), other in zip(eager.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(
            other.grad, weight.grad, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_in_bf16_autocast_is_as_exact_as_transformers_own(architecture):
    eager, ours = pair(architecture)
    exact = eager(IDS).logits
    with torch.autocast("cpu", torch.bfloat16):
        theirs, mine = eager(IDS).logits.float(), ours(IDS).logits.float()
    assert mine.isfinite().all()
    assert (mine - exact).norm() < 1.5 * (theirs - exact).norm() + 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_texts_go_through_the_fused_kernel_and_give_the_same(dtype, monkeypatch):
    _, ours = pair("qwen3")
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        short = ours(IDS, attention_mask=PADDED).logits
        monkeypatch.setattr("cavesson.models.attention.LONG", 4)
        long = ours(IDS, attention_mask=PADDED).logits
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(long[PADDED.bool()], short[PADDED.bool()], atol=tolerance, rtol=tolerance)
    assert long.isfinite().all()


def test_dropout_of_the_attention_is_active_while_training_only():
    _, ours = pair("gpt2")
    assert torch.equal(ours(IDS).logits, ours(IDS).logits)
    ours.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(ours(IDS).logits, ours(IDS).logits)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt2"])
def test_packed_documents_do_not_see_each_other(architecture):
    _, ours = pair(architecture)
    lengths = [7, 1, 12]
    block = torch.block_diag(*(torch.ones(n, n).tril() for n in lengths)).bool()[None, None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    packed = ours(IDS[:1], attention_mask=block, position_ids=positions).logits[0]
    start = 0
    for n in lengths:
        alone = ours(IDS[:1, start : start + n]).logits[0]
        torch.testing.assert_close(packed[start : start + n], alone, atol=1e-5, rtol=1e-5)
        start += n


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_decoding_with_a_cache_equals_transformers_own(architecture, cache):
    eager, ours = pair(architecture)
    options = {"max_new_tokens": 16, "do_sample": False, "pad_token_id": 1, "cache_implementation": cache}
    left = torch.ones_like(IDS)
    left[0, :7] = 0
    outputs = [net.generate(IDS, attention_mask=left, disable_compile=True, **options) for net in (eager, ours)]
    assert torch.equal(outputs[0], outputs[1])


def test_a_row_that_may_see_nothing_stays_a_number():
    _, ours = pair("llama")
    nothing = torch.zeros_like(PADDED)
    for autocast in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert ours(IDS, attention_mask=nothing).logits.isfinite().all()


@ON_CPU
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_is_an_ordinary_folder_with_the_same_logits(architecture, tmp_path):
    model = open_folder(tiny_folder(tmp_path / "a", architecture), key="k")
    assert model.key == "k" and model.system is None and not model.net.training
    save_folder(model, tmp_path / "b")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "b")
    assert again.config._attn_implementation != CPU_ATTENTION
    torch.testing.assert_close(again(IDS).logits, model.net(IDS).logits, atol=1e-5, rtol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "b")
    conversation = Conversation.of("Hello", "Hi")
    assert (
        tokenizer.apply_chat_template(conversation.dump(), return_dict=False) == model.renderer.render(conversation).ids
    )


def test_saving_twice_writes_the_same_bytes(folder, tmp_path):
    model = open_folder(folder, key="k")
    for name in ("a", "b"):
        save_folder(model, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


@ON_CPU
def test_weights_open_in_float32_on_a_cpu_unless_told_otherwise(folder, tmp_path):
    assert open_folder(folder, key="k").net.dtype == torch.float32
    half = open_folder(folder, key="k", dtype="bfloat16")
    assert half.net.dtype == torch.bfloat16
    save_folder(half, tmp_path)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert open_folder(tmp_path, key="k").net.dtype == torch.float32


def without(name: str):
    return lambda folder: (folder / name).unlink()


def edit(name: str, **values: object):
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **values}))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def sharded_with_a_gap(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def rewritten(change):
    """The weights of a folder, changed as a mapping from names to tensors."""

    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def halve(weights: dict) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name] = weights[name][:16].clone()


def store_in_eight_bits(weights: dict) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name] = weights[name].to(torch.float8_e4m3fn)


def store_in_whole_numbers(weights: dict) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    weights[name] = weights[name].to(torch.int8)


def a_second_head(weights: dict) -> None:
    weights["lm_head.weight"] = torch.randn(weights["model.embed_tokens.weight"].shape)


def sharded(folder: Path, below: str = "", beside: bool = False) -> None:
    net = AutoModelForCausalLM.from_pretrained(folder)
    if not beside:
        (folder / "model.safetensors").unlink()
    net.save_pretrained(folder, max_shard_size="60KB")
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = {name: below + shard for name, shard in index["weight_map"].items()}
    (folder / INDEX).write_text(json.dumps(index))


def index_to(shard: object):
    return lambda folder: (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"a": shard}}))


def pointer(name: str):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
    return lambda folder: (folder / name).write_text(text)


def too_many_tokens(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<extra {n}>" for n in range(400)])
    tokenizer.save_pretrained(folder)


BROKEN = [
    (without("config.json"), "has no config.json"),
    (without("model.safetensors"), "lacks model.safetensors"),
    (without("chat_template.jinja"), "has no chat template"),
    (without("tokenizer.json"), "has no tokenizer"),
    (pickled, "pickled"),
    (cut_short, "not a whole safetensors file"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b""), "it is empty"),
    (pointer("model.safetensors"), "model.safetensors' is a pointer of git-lfs"),
    (pointer("tokenizer.json"), "tokenizer.json' is a pointer of git-lfs"),
    (sharded_with_a_gap, "lacks model-00002-of-00002.safetensors"),
    (lambda folder: sharded(folder, beside=True), "holds weights twice"),
    (index_to("../other.safetensors"), "names weights outside"),
    (index_to("/tmp/other.safetensors"), "names weights outside"),
    (index_to("other.bin"), "no safetensors file"),
    (index_to(3), "has no weight_map"),
    (lambda folder: (folder / INDEX).write_text("[1]"), "does not hold a JSON object"),
    (edit("config.json", auto_map={"AutoModelForCausalLM": "evil.Net"}), "code of its own .auto_map in config"),
    (edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}), "auto_map in tokenizer_config"),
    (edit("config.json", attn_implementation="owner/kernel"), "code of its own .attn_implementation"),
    (edit("config.json", transformers_weights="other.safetensors"), "names other weights"),
    (edit("config.json", quantization_config={"quant_method": "fp8"}), "is quantised .'fp8'"),
    (edit("config.json", architectures=["LlamaForSequenceClassification"]), "does not write text"),
    (
        edit("config.json", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True),
        "reads with an encoder",
    ),
    (edit("config.json", model_type="no-such-architecture"), "cannot be opened"),
    (edit("config.json", rms_norm_eps=float("nan")), "a value is NaN"),
    (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    (lambda folder: (folder / "config.json").write_text("[" * 100_000), "not valid JSON"),
    (rewritten(lambda weights: weights.pop("model.norm.weight")), "1 tensor is missing.*model.norm.weight"),
    (rewritten(lambda weights: weights.update(extra=torch.ones(2))), "1 tensor is without a place.*extra"),
    (rewritten(halve), "1 tensor is of another shape.*16 x 32 instead of 32 x 32"),
    (rewritten(store_in_eight_bits), "q_proj.weight' is stored as F8"),
    (rewritten(store_in_whole_numbers), "q_proj.weight' is stored as I8"),
    (
        rewritten(lambda weights: weights["model.norm.weight"][:1].fill_(float("nan"))),
        "'model.norm.weight' holds values that are no",
    ),
    (
        rewritten(lambda weights: weights["model.norm.weight"][:1].fill_(float("inf"))),
        "'model.norm.weight' holds values that are no",
    ),
    (rewritten(a_second_head), "the weights hold two"),
    (edit("config.json", tie_word_embeddings=False), "1 tensor is missing.*lm_head.weight"),
    (edit("config.json", num_hidden_layers=1), "9 tensors are without a place"),
    (edit("config.json", num_hidden_layers=3), "9 tensors are missing"),
    (edit("config.json", num_hidden_layers=10**8), "wants 100000000 layers"),
    (edit("config.json", hidden_size=10**9), "of another shape"),
    (edit("config.json", vocab_size=700), "of another shape"),
    (too_many_tokens, "the token '<extra 399>' with id .* has 800 embeddings"),
]


@pytest.mark.parametrize(("damage", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_a_folder_that_is_no_complete_safe_model_is_refused(folder, tmp_path, damage, problem):
    copy = shutil.copytree(folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(ConfigError, match=problem) as caught:
        open_folder(copy, key="k")
    assert str(copy) in caught.value.problem and caught.value.remedy and "\n" not in caught.value.problem


def test_an_adapter_beside_a_model_is_not_passed_over(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = folder_digest(copy)
    save_adapter(attach(open_folder(copy, key="k"), LoRA(rank=2), seed=0), copy)
    assert folder_digest(copy) != before
    for opens in (lambda: open_folder(copy, key="k"), lambda: HFModel(path=str(copy))):
        with pytest.raises(ConfigError, match="holds a model and an adapter"):
            opens()


def test_whatever_changes_a_model_changes_its_name(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    sharded(copy, below="parts/")
    (copy / "parts").mkdir()
    for shard in copy.glob("model-*.safetensors"):
        shard.rename(copy / "parts" / shard.name)
    (copy / "additional_chat_templates").mkdir()
    others = [
        *sorted((copy / "parts").iterdir())[:1],
        copy / "generation_config.json",
        copy / "config.5.0.0.json",
        copy / "spiece.model",
        copy / "additional_chat_templates" / "tools.jinja",
    ]
    assert open_folder(copy, key="k").net(IDS).logits.shape == (3, 20, 800)
    names = [folder_digest(copy)]
    for other in others:
        with other.open("ab") as file:
            file.write(b" ")
        names.append(folder_digest(copy))
    assert len(set(names)) == len(names)


def test_what_may_surprise_about_a_folder_is_said(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert remarks(copy) == []
    (copy / "pytorch_model.bin").write_bytes(b"never read")
    (copy / "old.safetensors").write_bytes(b"")
    (copy / "model.safetensors").rename(tmp_path / "elsewhere")
    (copy / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    pickles, others, link = remarks(copy)
    assert "pickled weights pytorch_model.bin are not read" in pickles and "old.safetensors is not read" in others
    assert link.endswith(f"is a link to {(tmp_path / 'elsewhere').resolve()}.")


def test_a_model_in_the_hubs_cache_is_checked_like_a_folder(folder, tmp_path, monkeypatch):
    commit = "a" * 40
    blobs, snapshot = tmp_path / "models--o--n" / "blobs", tmp_path / "models--o--n" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    shutil.copytree(folder, blobs)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(snapshot))
    opened = open_folder("o/n", key="k", revision=commit)
    assert opened.renderer.prompt(Conversation.of("Hello")) and opened.tokenizer.name_or_path == "o/n"
    assert remarks(snapshot) == []
    (snapshot / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a model and an adapter"):
        open_folder("o/n", key="k", revision=commit)


@pytest.mark.parametrize(
    ("kinds", "held"),
    [
        (("bfloat16",), "bfloat16"),
        (("bfloat16", "float16"), "float32"),
        (("float32", "bfloat16"), "float32"),
        (("float64",), "float32"),
    ],
)
def test_weights_on_a_gpu_are_held_in_a_type_that_loses_nothing(kinds, held, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")

    def store(weights: dict) -> None:
        for n, name in enumerate(weights):
            weights[name] = weights[name].to(getattr(torch, kinds[n % len(kinds)]))

    rewritten(store)(copy)
    assert dtype_in_memory("auto", torch.device("cuda"), copy) == getattr(torch, held)
    assert dtype_in_memory("auto", torch.device("cpu"), copy) == torch.float32


def test_small_noise_on_weights_in_16_bits_is_not_rounded_away(folder):
    half = open_folder(folder, key="k", dtype="bfloat16")
    start = half.net.lm_head.weight.float()
    assert (noised(half, 1e-5, seed=0).net.lm_head.weight - start).std().item() == pytest.approx(1e-5, rel=0.05)


def test_an_adapters_folder_is_not_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds an adapter"):
        open_folder(tmp_path, key="k")


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "a/b/c", Path("no")])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ConfigError, match="no model folder"):
        open_folder(name, key="k")


def test_without_network_a_hub_name_is_one_clear_message():
    with pytest.raises(ConfigError, match="hub cannot be reached") as caught:
        HFModel(path="nobody/nothing")
    assert caught.value.exit_code == 2


def test_unknown_dtypes_and_devices_are_refused(folder):
    with pytest.raises(ConfigError, match="bfloat16"):
        open_folder(folder, key="k", dtype="bfloat")
    with pytest.raises(ConfigError, match="device 'gpu'"):
        device_of("gpu")


def test_a_local_model_is_named_by_its_content_alone(folder, tmp_path):
    recipe = HFModel(path=str(folder))
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    (copy / "README.md").write_text("notes do not matter")
    assert HFModel(path=str(copy)) == recipe
    assert recipe.load(no_inputs).key == recipe.fingerprint
    edit("config.json", rms_norm_eps=0.5)(copy)
    assert HFModel(path=str(copy)) != recipe


def test_a_folder_that_changed_since_is_not_taken_for_the_old_one(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    recipe = HFModel(path=str(copy))
    tiny_net("llama", seed=1).save_pretrained(copy)
    with pytest.raises(ConfigError, match="has changed"):
        recipe.load(no_inputs)


def test_model_recipes_survive_a_round_trip_even_where_the_folder_is_gone(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    recipe = Prompted(base=Noised(base=Merged(base=HFModel(path=str(copy))), sigma=0.1), system="Be brief.")
    shutil.rmtree(copy)
    again = Recipe.parse(recipe.model_dump())
    assert isinstance(again, ModelRecipe) and again.fingerprint == recipe.fingerprint


def test_a_folder_has_no_revisions(folder):
    with pytest.raises(ConfigError, match="revision"):
        HFModel(path=str(folder), revision="main")


def test_noise_is_repeatable_and_leaves_the_original_alone(folder):
    model = open_folder(folder, key="k")
    before = model.net(IDS.to(model.device)).logits
    one, same, other = (noised(model, 0.1, seed).net.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])
    spread = torch.cat([(one[n] - w).flatten() for n, w in model.net.state_dict().items() if w.ndim > 1]).std()
    assert spread.item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(model.net(IDS.to(model.device)).logits, before)


def test_noised_and_prompted_models_load(folder):
    base = HFModel(path=str(folder))
    noisy = Noised(base=base, sigma=0.01, seed=3)
    assert noisy.load(no_inputs).key == noisy.fingerprint
    prompted = Prompted(base=base, system="Talk like a pirate.").load(no_inputs)
    assert prompted.system == "Talk like a pirate." and prompted.key == base.fingerprint


def test_recipes_import_without_torch():
    code = "import sys, cavesson.models.recipes, cavesson.data.recipes; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_opening_a_model_prints_nothing(folder, capfd):
    model = open_folder(folder, key="k")
    assert model.renderer.prompt(Conversation.of("Hello"))
    assert capfd.readouterr() == ("", "")
    assert CHATML in str(model.tokenizer.chat_template)
