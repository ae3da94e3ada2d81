"""The seam between models and samplers: who asks a model does not know which sampler answers, nor whether it did so before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cavesson.chat import Conversation
from cavesson.data.recipes import Jsonl
from cavesson.evals.recipes import Scored
from cavesson.evals.world import Knowledge, Maths
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe
from cavesson.lab.store import Store
from cavesson.models.adapters import attach
from cavesson.models.model import merged
from cavesson.models.recipes import LoRA, Noised
from cavesson.sampling import choice
from cavesson.sampling.cache import CachedSampler
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.openai import APIModel, APISampler
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Completion, Params
from cavesson.tinyworld.recipes import Prompts, Shipped
from miniature import contents
from training_world import Folders

BASE = Shipped(name="student")
FEW, MORE = (Scored(model=BASE, suite=(Maths(n=n), Knowledge(n=n))) for n in (5, 9))


@pytest.fixture
def sampled(monkeypatch) -> list[list[int]]:
    """The prompts that are really continued, by the native sampler or through CTranslate2."""
    prompts: list[list[int]] = []
    rooms = NativeSampler.rooms

    def counting(self, asked, params):
        prompts.extend(asked)
        return rooms(self, asked, params)

    monkeypatch.setattr(NativeSampler, "rooms", counting)
    return prompts


def made(store: Store, *recipes: Recipe) -> dict[str, dict[str, str]]:
    with Lab(store) as lab:
        lab.make(list(recipes))
    found = contents(store)
    return {recipe.fingerprint: found[recipe.fingerprint] for recipe in recipes}


def test_a_model_gets_the_sampler_that_is_for_it(tmp_path):
    job = Folders(tmp_path)
    model = BASE.load(job.path)
    assert isinstance(sampler_for(model), NativeSampler)
    kept = sampler_for(BASE, job)
    assert isinstance(kept, CachedSampler) and isinstance(kept.sampler, NativeSampler)
    assert isinstance(sampler_for(APIModel(model="m", url="http://localhost/v1"), job), APISampler)


class Parrot:
    """A sampler from elsewhere: repeats what it is told, behind the system prompt that it runs under."""

    system, used = "Repeat.", {"words": 7}

    def sample(self, conversations, params, progress=None):
        return [[Completion(f"I say: {c.messages[-1].content}", (), True)] * params.n for c in conversations]


def test_a_new_sampler_answers_and_is_scored_once_it_is_registered(tmp_path, monkeypatch):
    parrots = {"parrot": lambda model, job: Parrot() if model == BASE else None}
    monkeypatch.setattr(choice, "SAMPLERS", {**parrots, **choice.SAMPLERS})
    (tmp_path / "p.jsonl").write_text('{"prompt": "Hello there"}\n')
    data = Generated(by=BASE, prompts=Jsonl(path=tmp_path / "p.jsonl"), keep_system=True)
    with Lab(Store(tmp_path / "store")) as lab:
        lab.make([data, FEW])
        [example] = data.examples(lab.path)
        rows = FEW.scores(lab.path).rows
        assert (lab.path(data) / "usage.json").read_text() == '{"words": 7}'
    assert example.conversation == Conversation.of("Hello there", "I say: Hello there", system="Repeat.")
    assert len(rows) == 10
    for row in rows:
        system, question = row.prompt
        assert (system["content"], row.completion) == ("Repeat.", f"I say: {question['content']}")


def test_two_artifacts_share_what_was_sampled(tmp_path, sampled):
    store = Store(tmp_path)
    made(store, FEW)
    assert len(sampled) == 10
    made(store, MORE)
    assert len(sampled) == 18, "only what the first had not asked"
    store.rm(FEW.fingerprint)
    made(store, FEW)
    assert len(sampled) == 18, "nothing is new"


def test_artifacts_are_the_same_with_a_cold_a_warm_and_no_cache(tmp_path, sampled):
    answers = Generated(
        by=BASE, prompts=Prompts(family="chat", n=6), params=Params(max_tokens=20, temperature=1.0, n=3)
    )
    cold = made(Store(tmp_path / "cold"), FEW, MORE, answers)
    store = Store(tmp_path / "none")
    store.root.mkdir()
    store.cache.touch()  # where the folder should be
    assert made(store, FEW, MORE, answers) == cold
    warm = Store(tmp_path / "warm")
    shutil.copytree(Store(tmp_path / "cold").cache, warm.cache)
    sampled.clear()
    assert made(warm, FEW, MORE, answers) == cold and sampled == []
    partly = Store(tmp_path / "partly")
    assert made(partly, FEW).items() <= cold.items() and made(partly, MORE, answers).items() <= cold.items()


def test_the_cache_is_emptied_by_the_garbage_collector_on_request(tmp_path, sampled):
    store = Store(tmp_path)
    first = made(store, FEW)
    size = store.cached()
    assert store.gc(dry_run=True).cached == size > 0
    assert store.gc(cache=True, dry_run=True).freed > size and store.cached() == size
    store.gc()
    assert made(store, FEW) == first and len(sampled) == 10
    assert store.gc(cache=True).cached == 0 and not store.cache.exists()
    assert made(store, FEW) == first and len(sampled) == 20


def test_weights_are_named_by_their_bytes(tmp_path):
    """One fingerprint may stand for other weights after another machine has made them again."""
    model = BASE.load(lambda recipe: Path())
    changed = Noised(base=BASE, sigma=1e-6).load(lambda recipe: Path()).with_key(model.key)
    keys = {NativeSampler(one).key for one in (model, BASE.load(lambda recipe: Path()), changed)}
    assert len(keys) == 2


def test_an_adapter_is_part_of_the_weights_merged_or_not(monkeypatch):
    model = BASE.load(lambda recipe: Path())
    plain = NativeSampler(model).key
    adapted = attach(BASE.load(lambda recipe: Path()), LoRA(rank=2), 0).with_key(model.key)
    for name, weight in adapted.net.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.01)
    monkeypatch.setattr("cavesson.sampling.native.MERGED_UP_TO", 0)
    unmerged = NativeSampler(adapted).key
    assert len({plain, unmerged, NativeSampler(merged(adapted)).key}) == 3
