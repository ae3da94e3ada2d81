"""The engine: invariants of a step, resuming to the bit, adapters, errors that leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.errors import ConfigError, Stopped, StoreError, TrainingError
from cavesson.lab.recipe import Recipe
from cavesson.models.model import Model, merged
from cavesson.models.recipes import LoRA
from cavesson.studies.settings import Phase
from cavesson.training.optimizers import SCHEDULES, check_name, factor_at, optimizer_for
from cavesson.training.recipes import Checkpoint, Trained
from cavesson.training.resume import STATE
from training_world import Folders, Sayings, Untrained, examples, llama, same, train, weights


def trained(**settings: Any) -> Trained:
    """A short run in fp32."""
    return Trained(
        **{
            "base": Untrained(),
            "data": Sayings(),
            "steps": 8,
            "batch_size": 8,
            "lr": 3e-3,
            "precision": "fp32",
            **settings,
        }
    )


def run(recipe: Trained, root: Path, watch: Callable[[float], None] = lambda step: None, **visits: Any) -> Model:
    """Train in memory with folders under `root`."""
    return train(recipe, llama(), examples(40), job=Folders(root, watch), **visits)


def losses(root: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (root / "artifact" / "losses.jsonl").read_text().splitlines()]


@pytest.mark.learnt
def test_training_lowers_the_loss_and_logs_every_step(tmp_path: Path) -> None:
    run(trained(steps=40, schedule="linear"), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "artifact" / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[0]["lr"] == 3e-3 and rows[20]["lr"] == pytest.approx(1.5e-3)
    assert all(row["tokens"] > 0 for row in rows)


def test_a_phase_warms_up_over_a_tenth_of_its_steps_and_decays_to_nearly_zero(tmp_path: Path) -> None:
    phase = Phase(steps=20, batch_size=2)
    taken = phase.dose(1e-3, 0).train(Untrained(), Sayings(n=8))
    longer = phase.dose(1e-3, 0, steps=40).train(Untrained(), Sayings(n=8))
    rates = []
    for recipe in (taken, longer):
        job = Folders(tmp_path / str(recipe.steps))
        train(recipe, llama(), examples(8), job=job)
        rows = (job.folder / "losses.jsonl").read_text().splitlines()
        rates.append([json.loads(line)["lr"] / 1e-3 for line in rows])
    assert rates[0][:4] == pytest.approx([1 / 3, 2 / 3, 1, 17 / 18]) and rates[0][-1] == pytest.approx(1 / 18)
    assert rates[1].index(max(rates[1])) == 4


def test_eight_accumulated_single_conversations_are_a_batch_of_eight(tmp_path: Path) -> None:
    # SGD, since Adam's first steps amplify the rounding of small gradients
    at_once = run(trained(optimizer="sgd", lr=0.1), tmp_path / "a")
    one_by_one = run(trained(optimizer="sgd", lr=0.1, batch_size=1, accumulate=8), tmp_path / "b")
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), abs=1e-5)
    for name, weight in weights(at_once).items():
        torch.testing.assert_close(weight, weights(one_by_one)[name], atol=1e-5, rtol=1e-5)


def test_packing_changes_how_much_goes_into_a_step_and_nothing_else(tmp_path: Path) -> None:
    """A packed step that has room for exactly the batch's conversations is the batch."""
    data = [Example(Conversation.of(f"Number {i:02d}.", f"{i:02d}!")) for i in range(40)]  # all of one length
    length = len(llama().renderer.render(data[0].conversation).ids)
    jobs = Folders(tmp_path / "a"), Folders(tmp_path / "b")
    batched = train(trained(), llama(), data, job=jobs[0])
    packed = train(trained(packing=True, tokens_per_batch=8 * length), llama(), data, job=jobs[1])
    assert same(batched, packed)


def test_the_same_recipe_gives_the_same_weights_and_another_seed_does_not(tmp_path: Path) -> None:
    recipe = trained(adapter=LoRA(rank=2, dropout=0.2))
    first, again = run(recipe, tmp_path / "a"), run(recipe, tmp_path / "b")
    other = run(trained(adapter=LoRA(rank=2, dropout=0.2), seed=1), tmp_path / "c")
    assert same(first, again)
    assert not same(first, other)


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    model = llama()
    torch.set_rng_state(before)
    train(trained(adapter=LoRA(dropout=0.1)), model, examples(40), job=Folders(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


RUNS = {
    "adamw": {},
    "soap": {"optimizer": "soap"},
    "muon": {"optimizer": "muon"},
    "schedule-free": {"optimizer": "schedulefreeadamw"},
    "lora with dropout": {"adapter": LoRA(rank=2, dropout=0.1), "lr": 1e-2},
    "packed, bf16": {"packing": True, "tokens_per_batch": 300, "precision": "bf16", "prompt_weight": 0.1},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_stopped_run_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    recipe = trained(steps=24, schedule="wsd", warmup_steps=3, **RUNS[name])
    visited: list[int] = []

    def stop_at_13(step: float) -> None:
        if step == 13:
            raise Stopped

    def note(step: int, _: Model) -> None:
        visited.append(step)

    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", stop_at_13, at=(5, 20), visit=note)
    resumed = run(recipe, tmp_path / "stopped", at=(5, 20), visit=note)
    assert visited == [5, 20]
    whole = run(recipe, tmp_path / "whole", at=(5, 20), visit=note)
    assert same(resumed, whole)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


def test_a_killed_process_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """`kill -9` between two saves: the work since the last one is done again, with the same result."""
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch; torch.set_num_threads({torch.get_num_threads()})
import cavesson.training.resume as resume
from pathlib import Path
from training_world import Folders
import test_training
resume.SAVE_EVERY_SECONDS = 0.0
def slow(step):
    if step == 7:
        resume.SAVE_EVERY_SECONDS = 1e9
    if step == 10:
        print("ten", flush=True)
        time.sleep(600)
test_training.run(test_training.trained(steps=20), Path({str(tmp_path / "killed")!r}), slow)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ten\n"
        os.kill(child.pid, signal.SIGKILL)
    assert (tmp_path / "killed" / "scratch" / STATE).is_file()
    seen: list[float] = []
    resumed = run(trained(steps=20), tmp_path / "killed", seen.append)
    assert 2 <= seen[0] <= 8  # it went on, after a state from before the tenth step
    assert same(resumed, run(trained(steps=20), tmp_path / "whole"))


def test_another_runs_state_is_not_continued(tmp_path: Path) -> None:
    def stop(step: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run(trained(lr=1e-2), tmp_path / "a", stop)
    assert same(run(trained(), tmp_path / "a"), run(trained(), tmp_path / "b"))


def test_visits_come_in_order_see_an_evaluating_model_and_change_nothing(tmp_path: Path) -> None:
    visited = []

    def visit(step: int, model: Model) -> None:
        assert not model.net.training
        visited.append((step, model.key))
        torch.rand(3)  # a visitor may use random numbers
        with torch.no_grad():
            model.net(input_ids=torch.tensor([[1, 2, 3]]))

    recipe = trained()
    looked_at = run(recipe, tmp_path / "a", at=(0, 3, 8), visit=visit)
    assert visited == [(step, recipe.key_at(step)) for step in (0, 3, 8)]
    assert looked_at.key == recipe.key_at(8)
    assert not looked_at.net.training
    assert same(looked_at, run(recipe, tmp_path / "b"))


def test_only_the_adapter_is_trained_and_merging_it_changes_no_output(tmp_path: Path) -> None:
    model = run(trained(adapter=LoRA(rank=2), lr=1e-2), tmp_path)
    before, after = weights(llama()), weights(merged(model))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    ids = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(model).net(ids).logits, model.net(ids).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
def test_an_artifact_holds_every_checkpoint_and_loads_as_it_was_in_memory(adapter: LoRA | None, tmp_path: Path) -> None:
    recipe = trained(adapter=adapter, checkpoints=(2, 5, 8))
    job = Folders(tmp_path / "lab")
    recipe.make(job)
    assert sorted(path.name for path in job.folder.iterdir()) == [
        "final",
        "losses.jsonl",
        "run.json",
        "step-00002",
        "step-00005",
    ]
    in_memory: dict[int, dict[str, torch.Tensor]] = {}
    run(recipe, tmp_path / "memory", at=(2, 5, 8), visit=lambda step, model: in_memory.update({step: weights(model)}))
    for step in (2, 5, 8):
        loaded = recipe.at(step).load(job.path)
        assert loaded.key == recipe.key_at(step)
        assert all(torch.equal(weight, in_memory[step][name]) for name, weight in weights(loaded).items())
    assert recipe.at(8) == recipe
    assert recipe.load(job.path).key == recipe.key_at(8)


def test_checkpoints_that_are_not_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="step 3 is not kept"):
        trained(checkpoints=(2, 5)).at(3)
    with pytest.raises(ValueError, match="beyond the last step"):
        trained(checkpoints=(9,))


def test_recipes_read_back_what_they_wrote() -> None:
    recipe = trained(adapter=LoRA(rank=2), checkpoints=(5, 2), betas=(0.9, 0.95))
    again = Recipe.parse(recipe.model_dump(mode="json"))
    assert again == recipe and again.model_dump() == recipe.model_dump()
    point = Checkpoint(run=recipe, step=5)
    assert Recipe.parse(point.model_dump(mode="json")) == point
    assert point.inputs() == (recipe,)
    assert trained(lr=1e-3).fingerprint != recipe.fingerprint


def test_one_epoch_is_as_many_steps_as_it_takes(tmp_path: Path) -> None:
    job = Folders(tmp_path)
    recipe = trained(steps=None, batch_size=6)
    recipe.make(job)
    assert json.loads((job.folder / "run.json").read_text())["steps"] == 7
    assert recipe.load(job.path).key == recipe.key_at(7)
    packed = trained(steps=None, packing=True, tokens_per_batch=300)
    run(packed, tmp_path / "packed")
    rows = [json.loads(line) for line in (tmp_path / "packed" / "artifact" / "losses.jsonl").read_text().splitlines()]
    assert sum(row["tokens"] for row in rows) == sum(
        len(llama().renderer.render(e.conversation).ids) for e in examples(40)
    )


def test_a_loss_that_is_not_a_number_names_step_and_rate_and_leaves_no_state(tmp_path: Path) -> None:
    job = Folders(tmp_path)
    with pytest.raises(TrainingError, match=r"(?s)not a number at step \d+ .*lr 1e\+30.*Lower `lr`"):
        train(
            trained(lr=1e30, optimizer="sgd", clip=None), llama(), examples(40), job=job, at=(1,), visit=lambda *_: None
        )
    assert not list(job.scratch.iterdir())
    assert [path.name for path in job.folder.iterdir()] == [
        "losses.jsonl"
    ]  # the losses up to there; a store removes them


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
@pytest.mark.parametrize("at", [(), (1,)])
def test_a_last_step_that_ruins_the_weights_is_an_error_too(
    at: tuple[int, ...], adapter: LoRA | None, tmp_path: Path
) -> None:
    """Its loss is that of the weights before, and no later loss tells."""
    job, seen = Folders(tmp_path), []
    ruined = trained(lr=1e39, steps=1, warmup_steps=0, adapter=adapter)
    with pytest.raises(TrainingError, match=r"(?s)After step 1 \(lr 1e\+39\) .*no numbers any more.*Lower `lr`"):
        train(ruined, llama(), examples(40), job=job, at=at, visit=lambda step, model: seen.append(step))
    assert not seen and not list(job.scratch.iterdir())


def test_empty_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="data set is empty"):
        train(trained(), llama(), [], job=Folders(tmp_path))


def test_visits_beyond_the_last_step_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Step 9 lies beyond the run's last, 8"):
        run(trained(), tmp_path, at=(3, 9), visit=lambda *_: None)


def test_data_without_answers_is_an_error(tmp_path: Path) -> None:
    asked = [Example(Conversation.of("Why?")) for _ in range(9)]
    with pytest.raises(TrainingError, match="has no answer, so nothing can be learnt"):
        train(trained(), llama(), asked, job=Folders(tmp_path))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "soap", "muon", "lion", "adan", "schedulefreeadamw"])
@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
def test_published_optimizers_train(name: str, adapter: LoRA | None, tmp_path: Path) -> None:
    lr = {"sgd": 0.3, "lion": 1e-3}.get(name, 1e-2)
    run(trained(optimizer=name, lr=lr, steps=25, adapter=adapter), tmp_path)
    assert losses(tmp_path)[-1] < losses(tmp_path)[0] - 0.02


def test_muon_orthogonalises_hidden_matrices_only() -> None:
    net = llama().net
    optimizer = optimizer_for(net, "muon", lr=1e-3, weight_decay=0.1)
    by_kind = {group["use_muon"]: group for group in optimizer.param_groups}
    assert len(by_kind[True]["params"]) == 2 * 7 and by_kind[True]["weight_decay"] == 0.1
    assert any(weight is net.model.embed_tokens.weight for weight in by_kind[False]["params"])
    assert all(group["lr"] == 1e-3 for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("name", "message"),
    [("adamv", "Did you mean 'adam"), ("soup", "Did you mean 'soap'"), ("lbfgs", "evaluate the loss several times")],
)
def test_optimizers_that_do_not_exist_or_fit_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_name(name)
    with pytest.raises(ConfigError, match=message):
        trained(optimizer=name)


def test_optimizers_without_betas_say_so() -> None:
    with pytest.raises(ConfigError, match="takes no betas"):
        optimizer_for(llama().net, "sgd", lr=1.0, betas=(0.9, 0.99))


def test_schedules() -> None:
    def whole(name: str, warmup: int = 0) -> list[float]:
        return [factor_at(name, step, 10, warmup) for step in range(10)]

    assert whole("constant") == [1.0] * 10
    assert whole("linear")[:2] == [1.0, pytest.approx(0.9)]
    assert whole("cosine")[5] == pytest.approx(0.5)
    assert whole("wsd") == pytest.approx([1, 1, 1, 1, 1, 1, 1, 1, 2 / 3, 1 / 3])
    assert whole("constant", warmup=3)[:4] == [0.25, 0.5, 0.75, 1.0]
    for name in SCHEDULES:
        assert all(0 < factor <= 1 for factor in whole(name, warmup=2))


def test_states_are_rare_where_writing_one_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes a second on this clock, writing a state two: the next one waits until it costs a twentieth."""
    from cavesson.training import resume

    clock, saves = [0.0], []

    def tick(step: float) -> None:
        clock[0] += 1

    def save(*_: Any) -> None:
        saves.append(clock[0])
        clock[0] += 2

    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(resume, "SAVE_EVERY_SECONDS", 5.0)
    monkeypatch.setattr(resume, "save_state", save)
    run(trained(steps=60, batch_size=1), tmp_path, tick)
    assert saves == [6, 6 + 2 + 41]


def test_a_damaged_state_means_starting_anew(tmp_path: Path) -> None:
    job = Folders(tmp_path / "a")
    (job.scratch / STATE).write_bytes(b"half a file")
    assert same(train(trained(), llama(), examples(40), job=job), run(trained(), tmp_path / "b"))


def test_a_state_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cavesson.training.resume.save_file", full)
    with pytest.raises(StoreError, match=r"(?s)No space left.*Free some disk space"):
        run(trained(), tmp_path, at=(1,), visit=lambda *_: None)
    assert not list((tmp_path / "scratch").iterdir())


def test_full_weights_can_be_trained_on_top_of_an_adapter(tmp_path: Path) -> None:
    adapted = run(trained(adapter=LoRA(rank=2), lr=1e-2), tmp_path / "a")
    before = weights(merged(adapted))
    after = weights(train(trained(), adapted, examples(40), job=Folders(tmp_path / "b")))
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_soap_leaves_the_vocabularys_side_alone() -> None:
    net = llama().net
    optimizer = optimizer_for(net, "soap", lr=1e-3)
    limits = {len(group["params"]): group["max_precondition_dim"] for group in optimizer.param_groups}
    assert limits == {14: 10_000, 1: len(llama().tokenizer) - 1, 5: 10_000}
