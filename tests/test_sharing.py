"""Several processes share a training: the same losses and weights as one process, up to rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cavesson.data.preferences import Preferences
from cavesson.data.recipes import DataRecipe
from cavesson.errors import CavessonError, ConfigError, Stopped
from cavesson.evals.recipes import Probed
from cavesson.evals.world import Knowledge, Maths
from cavesson.lab.cluster.far import needs_of
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import PathOf
from cavesson.lab.stage import Listener, run_stage
from cavesson.lab.store import Store
from cavesson.models.recipes import LoRA
from cavesson.named import model_named
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.recipes import Prompts
from cavesson.training.engine import train
from cavesson.training.recipes import Trained
from cavesson.training.resume import STATE
from cavesson.training.sharing import Ranks

TO_1E_4 = 1e-4


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")))


def run(processes: int = 2, **settings: Any) -> Trained:
    """A training with an odd number of examples in a step, so that one process has less to do than the other."""
    data: DataRecipe = Generated(by=model_named("teacher"), prompts=Prompts(n=20, seed=3))
    usual: dict[str, Any] = {"data": data, "steps": 4, "lr": 1e-3, "batch_size": 5, "warmup_steps": 1}
    return Trained(base=model_named("small"), processes=processes, **{**usual, **settings})


def preferences() -> Preferences:
    prompts = Prompts(n=20, seed=3)
    chosen, rejected = (Generated(by=model_named(name), prompts=prompts) for name in ("teacher", "small"))
    return Preferences(chosen=chosen, rejected=rejected)


def losses(lab: Lab, made: Any) -> list[float]:
    rows = (lab.store.path(made) / "losses.jsonl").read_text().splitlines()
    return [json.loads(row)["loss"] for row in rows]


def difference(one: Any, two: Any, path_of: PathOf) -> float:
    """How far apart two trained models are, as a share of the length of all trained weights."""
    weights, others = (
        torch.cat(
            [
                weight.detach().flatten()
                for name, weight in sorted(made.load(path_of).net.named_parameters())
                if made.adapter is None or "lora" in name
            ]
        )
        for made in (one, two)
    )
    return float((weights - others).norm() / weights.norm())


@pytest.mark.parametrize(
    "settings",
    [
        {"adapter": LoRA(rank=4), "batch_size": 1, "accumulate": 2},  # the second process has no example at all
        {"objective": {"name": "distil", "by": model_named("teacher")}},
        {"objective": {"name": "anchored", "kl": 1.0}, "adapter": LoRA(rank=4)},  # the base: the adapter as it was
        {"objective": {"name": "anchored", "kl": 1.0}, "accumulate": 2},
        {"objective": "dpo", "data": preferences(), "batch_size": 3},
    ],
    ids=["adapter", "distillation", "anchored-adapter", "anchored", "dpo"],
)
@pytest.mark.slow
def test_two_processes_train_like_one(lab: Lab, settings: dict[str, Any]) -> None:
    one, two = run(1, **settings), run(2, **settings)
    assert one.fingerprint != two.fingerprint  # other last bits, another name
    lab.make([one, two])
    assert losses(lab, two) == pytest.approx(losses(lab, one), abs=TO_1E_4)
    assert difference(one, two, lab.store.path) < 1e-3


def test_checkpoints_are_scored_by_the_first_process_and_a_stopped_run_goes_on(lab: Lab) -> None:
    whole = Probed(run=run(1), steps=(2, 4), suite=(Knowledge(n=10),))
    shared = Probed(run=run(2), steps=(2, 4), suite=whole.suite)
    steps: list[float] = []
    stopped = Listener(lambda now: steps.append(now.done), lambda _: None, lambda: bool(steps and steps[-1] >= 1))
    lab.make(list(shared.inputs()))
    with pytest.raises(Stopped):
        run_stage(lab.store, shared, stopped)
    assert (lab.store.scratch(shared) / STATE).is_file()  # what was reached is kept, whole
    lab.make([whole, shared])
    assert losses(lab, shared) == pytest.approx(losses(lab, whole), abs=TO_1E_4)
    for step in (2, 4):
        scores, others = (made.scores(lab.store.path).rate("knowledge", step) for made in (shared, whole))
        assert scores.value == pytest.approx(others.value, abs=0.11)  # an answer may tip over at the last bit


@pytest.mark.slow
def test_an_error_in_the_training_is_one_message(lab: Lab) -> None:
    with pytest.raises(CavessonError, match="not a number at step"):
        lab.make([run(2, lr=1e30, clip=None, warmup_steps=0)])


def test_a_rank_that_dies_is_named(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "sitecustomize.py"
    site.write_text(
        "import os, sys\n"
        "if 'cavesson.lab.rank' in sys.orig_argv and sys.orig_argv[-5] == '1':\n"
        "    print('no room', flush=True)\n"
        "    os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        CavessonError, match=r"Process 2 of 2 that made .* together ended \(exit code 3\)\. It printed last: no room"
    ):
        lab.make([run(2, seed=9)])


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValidationError, match="several processes share adamw and adam and sgd alone, not muon"):
        run(2, optimizer="muon")
    with pytest.raises(ValidationError, match="cannot share reinforcement learning"):
        Reinforced(base=model_named("small"), problems=Maths(n=64, split="train"), steps=1, lr=1e-3, processes=2)


def test_outside_of_a_stage_there_are_no_other_processes(lab: Lab) -> None:
    shared = run(2)
    model = shared.base.load(lab.store.path)
    lab.make([shared.data])

    class Here:
        folder = scratch = cache = lab.store.root
        threads = 1
        path = staticmethod(lab.store.path)

        def progress(self, done: float, total: float, **figures: float | str) -> None: ...

    with pytest.raises(ConfigError, match="is to be shared by 2 processes, and 1 of them run"):
        train(shared, model, shared.data.examples(lab.store.path), name="x", job=Here())


def test_more_processes_than_gpus_are_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.make([run(2).data])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(ConfigError, match="shared by 2 processes, and this one sees 1 GPU"):
        lab.make([run(2, seed=8)])


def test_a_cluster_is_asked_for_all_processes() -> None:
    assert needs_of(run(4)).ranks == 4
    assert needs_of(run(1)).ranks == 1


def test_pairs_stay_together() -> None:
    rows: list[Any] = ["a+", "a-", "b+", "b-", "c+", "c-"]
    assert Ranks(0, 2).rows(rows, pairs=True) == (["a+", "a-", "c+", "c-"], 1.0)
    assert Ranks(1, 2).rows(rows, pairs=True) == (["b+", "b-"], 1.0)
    assert Ranks(3, 4).rows(rows, pairs=True) == (["a+", "a-"], 0.0)  # for company: its loss counts nothing
