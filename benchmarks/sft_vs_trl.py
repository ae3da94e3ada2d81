"""Blue-team SFT of the tiny student: ours against TRL's SFTTrainer.

    python benchmarks/sft_vs_trl.py --steps 300 --repeats 5
    python benchmarks/sft_vs_trl.py --sweep --repeats 3

The same for both: weights, conversations (what the shipped teacher answers to 1600 chat prompts), chat template, loss on the
answers only, 16 conversations a step, AdamW at a constant learning rate without weight decay, clipping at norm 1, one thread.
Each measurement is a fresh process that ends with the trained model on disk. Rates count the tokens of the conversations,
prompts included and padding not, over the last four fifths of the steps. Afterwards every trained model's loss on 400
conversations that nobody trained on is computed by one and the same function: equal losses mean that equal work was done.

"trl-default" is SFTConfig as it comes (bf16, gradient checkpointing, padded batches). The others are what one finds by
tuning it: no checkpointing, then fp32 or bf16, torch's or the plain attention, batches grouped by length, padding-free, or
packed. `--all` runs every one of them, without it the default and the quickest of each kind.

`--sweep`: eight learning rates; ours as single-threaded workers, one on each core, TRL one after another, with one thread and
with all cores. TRL's runs are independent of each other, so some of them may stand for all (`--sweep-runs`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

BATCH, LR, CONVERSATIONS, HELD_OUT = 16, 3e-4, 1600, 400
RATES = tuple(1e-4 * k for k in range(1, 9))

TRL: dict[str, dict[str, Any]] = {
    "trl-default": {},
    "trl-padded-fp32": {"gradient_checkpointing": False, "bf16": False},
    "trl-grouped-bf16": {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
    "trl-grouped-bf16-eager": {
        "gradient_checkpointing": False,
        "train_sampling_strategy": "group_by_length",
        "attention": "eager",
    },
    "trl-grouped-fp32": {
        "gradient_checkpointing": False,
        "bf16": False,
        "train_sampling_strategy": "group_by_length",
    },
    "trl-paddingfree-fp32": {"gradient_checkpointing": False, "bf16": False, "padding_free": True, "max_length": None},
    "trl-packed-fp32": {"gradient_checkpointing": False, "bf16": False, "packing": True},
    "trl-packed-bf16-eager": {"gradient_checkpointing": False, "packing": True, "attention": "eager"},
}
"""TRL's contestants by what differs from the defaults."""
USUAL = ("trl-default", "trl-grouped-bf16-eager", "trl-packed-bf16-eager")


def conversations(path: Path, n: int, seed: int) -> None:
    """What the shipped teacher answers to chat prompts, one conversation a line."""
    from cavesson.data.sources import write_examples
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store
    from cavesson.sampling.recipes import Generated
    from cavesson.tinyworld.recipes import Prompts, Shipped

    data = Generated(by=Shipped(name="teacher"), prompts=Prompts(family="chat", n=n, seed=seed))
    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder))) as lab:
        lab.make([data])
        write_examples(path, data.examples(lab.path))


def ours(data: Path, steps: int, out: Path) -> Figures:
    """Train with the lab, as `cavesson` does, in a fresh store."""
    from cavesson.data.recipes import Jsonl
    from cavesson.lab.lab import Lab
    from cavesson.lab.progress import Silent
    from cavesson.lab.store import Store
    from cavesson.tinyworld.recipes import Shipped
    from cavesson.training.recipes import Trained

    clock: list[float] = []

    class Clock(Silent):
        def progress(self, *_: object) -> None:
            clock.append(time.perf_counter())

    run = Trained(base=Shipped(name="student"), data=Jsonl(path=str(data)), steps=steps, batch_size=BATCH, lr=LR)
    with Lab(Store(out), display=Clock()) as lab:
        lab.make([run])
        folder = lab.path(run)
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    rate = _rate(clock, [row["tokens"] for row in rows])
    return {**rate, **_curve([row["loss"] for row in rows]), "model": str(folder / "final")}


def trl(data: Path, steps: int, out: Path, mode: str, lr: float = LR) -> Figures:
    """Train with TRL's SFTTrainer."""
    from transformers import TrainerCallback

    from cavesson.tinyworld.recipes import Shipped

    clock: list[float] = []
    tokens: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *_: object, **__: object) -> None:
            clock.append(time.perf_counter())

    rows = [json.loads(line)["messages"] for line in data.read_text().splitlines()]
    trainer = trainer_for(Shipped(name="student").folder, rows, steps, BATCH, lr, out / "trainer", TRL[mode], [Clock()])
    collate = trainer.data_collator

    def counted(examples: list[dict[str, Any]]) -> dict[str, Any]:
        tokens.append(sum(len(example["input_ids"]) for example in examples))
        batch: dict[str, Any] = collate(examples)
        return batch

    trainer.data_collator = counted
    trainer.train()
    trainer.save_model(str(out / "final"))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry for _ in range(10)]
    return {**_rate(clock, tokens[: len(clock)]), **_curve(losses), "model": str(out / "final")}


def trainer_for(
    base: Path,
    conversations: list[list[dict[str, str]]],
    steps: int,
    batch: int,
    lr: float,
    out: Path,
    settings: Mapping[str, Any],
    callbacks: list[Any],
) -> Any:
    """TRL's trainer for a model folder and conversations, with what our recipes have as defaults, and `settings` as in `TRL`."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    extra = dict(settings)
    attention = extra.pop("attention", "sdpa")
    if extra.get("packing"):  # rows as long as a batch's conversations are on average: as many tokens in a step
        batch, extra["max_length"] = 1, _tokens_a_step(conversations, batch, str(base))
    fixed = {
        "output_dir": str(out),
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "learning_rate": lr,
        "lr_scheduler_type": "constant",
        "assistant_only_loss": True,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 10,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=attention),
        args=SFTConfig(**{**fixed, **extra}),
        train_dataset=Dataset.from_list([{"messages": messages} for messages in conversations]),
        processing_class=AutoTokenizer.from_pretrained(base),
        callbacks=callbacks,
    )


def _tokens_a_step(conversations: list[list[dict[str, str]]], batch: int, folder: str) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    some = conversations[:400]
    lengths = [len(tokenizer.apply_chat_template(messages, return_dict=False)) for messages in some]
    return math.ceil(batch * sum(lengths) / len(lengths))


def _rate(clock: list[float], tokens: list[int]) -> Figures:
    """Tokens a second over the last four fifths of the steps."""
    skip = len(clock) // 5
    seconds = clock[-1] - clock[skip]
    return {"tokens_per_second": sum(tokens[skip + 1 :]) / seconds, "step_seconds": seconds / (len(clock) - 1 - skip)}


def _curve(losses: list[float]) -> Figures:
    """Mean training loss of the steps 1 to 50, and of the last 100."""
    first, last = losses[:50], losses[-100:]
    return {"loss_first_50": sum(first) / len(first), "loss_last_100": sum(last) / len(last)}


def held_out_loss(model: str, data: Path) -> float:
    """Mean loss per answer token on conversations that nobody trained on, in fp32, for whoever trained the model."""
    import torch

    from cavesson.data.sources import read_examples
    from cavesson.models.loading import open_folder

    opened = open_folder(Path(model), key="any")
    total = count = 0.0
    with torch.inference_mode():
        for example in read_examples(data):
            rendered = opened.renderer.render(example.conversation)
            ids, mask = torch.tensor([rendered.ids]), torch.tensor(rendered.mask[1:], dtype=torch.bool)
            nll = torch.nn.functional.cross_entropy(
                opened.net(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none"
            )
            total, count = total + float(nll[mask].sum()), count + float(mask.sum())
    return total / count


def one_run(data: Path, held_out: Path, steps: int, mode: str, threads: int) -> Figures:
    """One contestant in a process of its own, and the loss of what it trained."""
    with tempfile.TemporaryDirectory() as out:
        figures = in_process(__file__, "--one", mode, "--data", data, "--steps", steps, "--out", out, threads=threads)
        return {**figures, "held_out_loss": held_out_loss(figures.pop("model"), held_out)}


def sweep_of_ours(data: Path, steps: int) -> Figures:
    """Eight learning rates in a pool with one worker on each core; the figure of interest is the process's wall time."""
    from cavesson.data.recipes import Jsonl
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store
    from cavesson.tinyworld.recipes import Shipped
    from cavesson.training.recipes import Trained

    base, source = Shipped(name="student"), Jsonl(path=str(data))
    runs = [Trained(base=base, data=source, steps=steps, batch_size=BATCH, lr=lr) for lr in RATES]
    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder)), "auto") as lab:
        lab.make(runs)
    return {"runs": len(runs)}


def sweep_of_trl(data: Path, steps: int, mode: str, threads: int, timed: int) -> Figures:
    """The same eight one after another, each as its user would start it; the first `timed` of them stand for all."""
    wall = 0.0
    for lr in RATES[:timed]:
        with tempfile.TemporaryDirectory() as out:
            arguments = ("--one", mode, "--data", data, "--steps", steps, "--out", out, "--lr", lr)
            wall += in_process(__file__, *arguments, threads=threads)["wall"]
    return {"runs": timed, "wall": wall / timed * len(RATES)}


def steady(data: Path, held_out: Path, chosen: argparse.Namespace) -> None:
    """(a): one run."""
    modes = ["ours", *(TRL if chosen.all else USUAL)]
    contestants = {m: (lambda m=m: one_run(data, held_out, chosen.steps, m, chosen.threads)) for m in modes}
    runs = take_turns(contestants, chosen.repeats)
    rows = [
        (
            mode,
            f"{median(runs[mode], 'tokens_per_second'):,.0f}",
            ratio(runs["ours"], runs[mode], "tokens_per_second"),
            f"{median(runs[mode], 'wall'):.1f}",
            ratio(runs[mode], runs["ours"], "wall"),
            f"{median(runs[mode], 'loss_first_50'):.3f}",
            f"{median(runs[mode], 'loss_last_100'):.3f}",
            f"{median(runs[mode], 'held_out_loss'):.3f}",
        )
        for mode in modes
    ]
    columns = ("", "tokens/s", "ours is faster by", "whole process, s", "ours is shorter by")
    text = table((*columns, "loss, steps 1–50", "last 100", "held out"), rows)
    title = f"SFT of the student, {chosen.steps} steps of {BATCH} conversations, {chosen.threads} thread, n = {chosen.repeats}"
    publish("sft_vs_trl", title, text, runs, steps=chosen.steps)


def sweep(data: Path, chosen: argparse.Namespace) -> None:
    """(b): eight runs."""
    contestants = {
        "ours": lambda: in_process(__file__, "--one", "sweep", "--data", data, "--steps", chosen.steps),
        **{
            f"{mode}, {threads} thread{'s' * (threads > 1)}": (
                lambda m=mode, t=threads: sweep_of_trl(data, chosen.steps, m, t, chosen.sweep_runs)
            )
            for mode in chosen.sweep_modes
            for threads in dict.fromkeys((1, os.cpu_count() or 1))
        },
    }
    runs = take_turns(contestants, chosen.repeats)
    rows = [(m, f"{median(runs[m], 'wall'):.1f}", ratio(runs[m], runs["ours"], "wall")) for m in contestants]
    text = table(("", "eight runs, s", "ours is shorter by"), rows)
    title = f"Sweep of 8 runs of {chosen.steps} steps, {os.cpu_count()} cores, n = {chosen.repeats}"
    publish("sweep_vs_trl", title, text, runs, steps=chosen.steps)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=300)
    made.add_argument("--threads", type=int, default=1, help="for each contestant of (a)")
    made.add_argument("--all", action="store_true", help="every configuration of TRL")
    made.add_argument("--sweep", action="store_true", help="(b) instead of (a)")
    made.add_argument("--sweep-modes", nargs="*", default=["trl-default", "trl-grouped-bf16-eager"], choices=list(TRL))
    made.add_argument(
        "--sweep-runs", type=int, default=8, help="so many of TRL's eight runs are timed, and stand for all"
    )
    made.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--lr", type=float, default=LR, help=argparse.SUPPRESS)
    made.add_argument("--one", choices=["ours", "sweep", *TRL], help=argparse.SUPPRESS)
    chosen = made.parse_args()
    if chosen.one == "ours":
        print(json.dumps(ours(chosen.data, chosen.steps, chosen.out)))
    elif chosen.one == "sweep":
        print(json.dumps(sweep_of_ours(chosen.data, chosen.steps)))
    elif chosen.one:
        print(json.dumps(trl(chosen.data, chosen.steps, chosen.out, chosen.one, chosen.lr)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            data, held_out = Path(folder) / "blue.jsonl", Path(folder) / "held-out.jsonl"
            conversations(data, CONVERSATIONS, seed=1)
            if chosen.sweep:
                sweep(data, chosen)
                return
            conversations(held_out, HELD_OUT, seed=2)
            steady(data, held_out, chosen)


if __name__ == "__main__":
    main()
