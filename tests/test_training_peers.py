"""The same data in the same order through another library's trainer: the same losses, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import SequentialSampler

from cavesson.training.batches import Stream
from cavesson.training.recipes import Trained
from training_world import Folders, Sayings, Untrained, examples, llama, train

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

SETTINGS = [
    {"schedule": "constant"},
    {"schedule": "linear", "accumulate": 2, "batch_size": 4, "clip": 0.5},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_first_twenty_losses_are_trls(settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = Trained(
        base=Untrained(), data=Sayings(), steps=20, lr=1e-3, precision="fp32", **{"batch_size": 8, **settings}
    )
    job = Folders(tmp_path / "ours")
    train(recipe, llama(), examples(40), job=job)
    ours = [json.loads(line)["loss"] for line in (job.folder / "losses.jsonl").read_text().splitlines()]
    assert _trl_losses(recipe, tmp_path / "theirs") == pytest.approx(ours, abs=1e-4)


def _trl_losses(recipe: Trained, folder: Path) -> list[float]:
    """Losses of TRL's trainer on the conversations of `recipe`, in the order in which our engine takes them."""
    model, said = llama(), examples(40)
    stream = Stream(said, model, seed=recipe.seed, max_length=None, prompt_weight=0.0)
    taken = recipe.batch_size * recipe.accumulate * 20
    rows = [{"messages": said[stream.order.index_at(position)].conversation.dump()} for position in range(taken)]

    class InOrder(trl.SFTTrainer):  # type: ignore[misc, name-defined]
        def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    trainer = InOrder(
        model=model.net,
        args=trl.SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=recipe.batch_size,
            gradient_accumulation_steps=recipe.accumulate,
            max_steps=20,
            learning_rate=recipe.lr,
            lr_scheduler_type=recipe.schedule,
            max_grad_norm=recipe.clip,
            assistant_only_loss=True,
            optim="adamw_torch",
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=model.tokenizer,
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
