"""An organism's adapter: blue goes on training it, or trains a fresh one on top of it merged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from cavesson.errors import ConfigError
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.adapters import without_adapter
from cavesson.models.model import merged
from cavesson.models.recipes import LoRA, Merged, ModelRecipe
from cavesson.training.dose import Dose
from cavesson.training.preflight import bytes_needed
from cavesson.training.recipes import Trained
from training_world import Sayings, Untrained

DOSE = Dose(lr=3e-3, steps=3, batch_size=4)
RED = DOSE.model_copy(update={"adapter": LoRA(rank=2)}).train(Untrained(), Sayings())
GO_ON = DOSE.model_copy(update={"adapter": "continued", "seed": 1})


def weights(model: ModelRecipe, path_of) -> dict[str, torch.Tensor]:
    """The weights of the whole model, adapter merged."""
    return merged(model.load(path_of)).net.state_dict()


@pytest.fixture
def lab(tmp_path: Path):
    with Lab(Store(tmp_path)) as made:
        yield made


def test_blue_goes_on_with_the_adapter_that_red_trained(lab: Lab):
    blue = GO_ON.train(RED, Sayings())
    lab.make([blue])
    path_of = lab.store.path
    net = blue.load(path_of).net
    assert isinstance(net, PeftModel) and net.peft_config["default"].r == 2
    bare = without_adapter(blue.load(path_of)).net.state_dict()
    start = Untrained().load(path_of).net.state_dict()
    assert all(torch.equal(bare[name], start[name]) for name in start), "what lies below the adapter is the base itself"
    red, after = weights(RED, path_of), weights(blue, path_of)
    assert any(not torch.equal(red[name], after[name]) for name in red)


def test_one_adapter_trained_in_two_goes_is_not_a_fresh_one_on_the_merged(lab: Lab):
    fresh = DOSE.model_copy(update={"adapter": LoRA(rank=2), "seed": 1})
    continued, stacked = GO_ON.train(RED, Sayings()), fresh.train(Merged(base=RED), Sayings())
    lab.make([continued, stacked])
    below = without_adapter(stacked.load(lab.store.path)).net.state_dict()
    red = weights(RED, lab.store.path)
    assert all(torch.allclose(below[name], red[name], atol=1e-6) for name in red), (
        "merged: red's work is in the weights"
    )
    assert continued.fingerprint != stacked.fingerprint


def test_a_model_without_an_adapter_has_none_to_continue(lab: Lab):
    with pytest.raises(ConfigError, match="no adapter to continue"):
        lab.make([GO_ON.train(Untrained(), Sayings())])


def test_the_recipe_reads_back_and_names_no_more_than_it_must(lab: Lab):
    run = GO_ON.train(RED, Sayings())
    assert Trained.parse(run.model_dump(mode="json")) == run
    assert "continued" in run.describe()
    assert Dose(lr=1, steps=1).train(Untrained(), Sayings()).identity().keys() == {
        "kind", "version", "base", "data", "steps", "lr", "precision"
    }  # fmt: skip


def test_memory_is_reckoned_for_the_adapter_that_is_continued():
    needs = [bytes_needed(10**9, run, width=1000) for run in (RED, GO_ON.train(RED, Sayings()))]
    assert needs[0] == needs[1] < bytes_needed(10**9, DOSE.train(RED, Sayings()), width=1000)
