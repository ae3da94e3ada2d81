"""Reinforcement learning of the tiny student: ours against TRL's GRPOTrainer.

    python benchmarks/rl_vs_trl.py --iterations 10 --repeats 3

The same for both: weights, the tiny world's maths problems, the rule that scores answers, chat template, 16 problems an iteration
with 4 sampled answers each at temperature 1 and at most 128 tokens, advantages less the mean of their group, one step an
iteration on all answers, an average over tokens, AdamW at a constant learning rate (so low that answers stay as long as they
are), clipping at norm 1, float32, one thread. Each measurement is a fresh process. Rates count the tokens of the answers,
prompts and padding not, over the last four fifths of the iterations, by the processor's time, since a busy machine changes the
clock's. Reward and tokens an answer stand beside: equal ones mean that equal work was done.

Ours does not train on groups whose answers all earn the same, whose gradient is zero; TRL does. "trl-default" is GRPOConfig as it
comes (bf16, gradient checkpointing); "trl-fp32" has neither, and "trl-fp32-eager" the plain attention too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

PROBLEMS, GROUP, ROOM, POOL, LR = 16, 4, 128, 512, 1e-6

TRL: dict[str, dict[str, Any]] = {
    "trl-default": {},
    "trl-fp32": {"gradient_checkpointing": False, "bf16": False},
    "trl-fp32-eager": {"gradient_checkpointing": False, "bf16": False, "attention": "eager"},
}
"""TRL's contestants by what differs from the defaults."""


def practised() -> Any:
    """The problems."""
    from cavesson.evals.world import Maths

    return Maths(n=POOL, split="train", max_tokens=ROOM)


def ours(iterations: int, out: Path) -> Figures:
    """Train with the lab, as `cavesson` does, in a fresh store."""
    from cavesson.lab.lab import Lab
    from cavesson.lab.plan import Stage
    from cavesson.lab.progress import Silent
    from cavesson.lab.stage import Progress
    from cavesson.lab.store import Store
    from cavesson.rl.reinforced import ROLLOUTS, Reinforced
    from cavesson.tinyworld.recipes import Shipped

    clock: list[float] = []

    class Clock(Silent):
        def progress(self, stage: Stage, progress: Progress) -> None:
            if "loss" in progress.figures:
                clock.append(time.process_time())

    sizes = {"steps": iterations, "per_step": PROBLEMS, "group": GROUP, "batch_size": PROBLEMS * GROUP}
    run = Reinforced(base=Shipped(name="student"), problems=practised(), lr=LR, precision="fp32", **sizes)
    with Lab(Store(out), display=Clock()) as lab:
        lab.make([run])
        rows = [json.loads(line) for line in (lab.path(run) / ROLLOUTS).read_text().splitlines()]
    return _figures(clock, [row["tokens"] for row in rows], [row["reward"] for row in rows])


def trl(iterations: int, out: Path, mode: str) -> Figures:
    """Train with TRL's GRPOTrainer."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from cavesson.tinyworld.recipes import Shipped

    clock: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *_: object, **__: object) -> None:
            clock.append(time.process_time())

    items = practised().items()

    def right(completions: list[list[dict[str, str]]], index: list[int], **_: Any) -> list[float]:
        return [float(items[k].judge(said[0]["content"])[0]) for said, k in zip(completions, index, strict=True)]

    settings = dict(TRL[mode])
    folder, attention = Shipped(name="student").folder, settings.pop("attention", "sdpa")
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention),
        reward_funcs=right,
        args=GRPOConfig(
            output_dir=str(out),
            max_steps=iterations,
            per_device_train_batch_size=PROBLEMS * GROUP,
            num_generations=GROUP,
            max_completion_length=ROOM,
            temperature=1.0,
            scale_rewards="none",
            learning_rate=LR,
            lr_scheduler_type="constant",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **settings,
        ),
        train_dataset=Dataset.from_list([{"prompt": item.prompt.dump(), "index": k} for k, item in enumerate(items)]),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[Clock()],
    )
    trainer.train()
    rows = [entry for entry in trainer.state.log_history if "completions/mean_length" in entry]
    return _figures(clock, [row["completions/mean_length"] for row in rows], [row["reward"] for row in rows])


def _figures(clock: list[float], lengths: list[float], rewards: list[float]) -> Figures:
    """Tokens a second of the processor's time over the last four fifths of the iterations, and what the answers were like."""
    skip = len(clock) // 5
    tokens = PROBLEMS * GROUP * sum(lengths[skip + 1 : len(clock)])
    means = {"tokens_an_answer": sum(lengths) / len(lengths), "reward": sum(rewards) / len(rewards)}
    return {"tokens_per_second": tokens / (clock[-1] - clock[skip]), **means}


def one_run(iterations: int, mode: str) -> Figures:
    """One contestant in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        return in_process(__file__, "--one", mode, "--iterations", iterations, "--out", out)


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--iterations", type=int, default=10)
    made.add_argument("--modes", nargs="*", default=list(TRL), choices=list(TRL))
    made.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--one", choices=["ours", *TRL], help=argparse.SUPPRESS)
    chosen = made.parse_args()
    if chosen.one == "ours":
        print(json.dumps(ours(chosen.iterations, chosen.out)))
        return
    if chosen.one:
        print(json.dumps(trl(chosen.iterations, chosen.out, chosen.one)))
        return
    names = ["ours", *chosen.modes]
    runs = take_turns({name: (lambda name=name: one_run(chosen.iterations, name)) for name in names}, chosen.repeats)
    rows = [
        (
            name,
            f"{median(runs[name], 'tokens_per_second'):,.0f}",
            ratio(runs["ours"], runs[name], "tokens_per_second"),
            f"{median(runs[name], 'tokens_an_answer'):.1f}",
            f"{median(runs[name], 'reward'):.2f}",
        )
        for name in names
    ]
    text = table(("", "tokens/s", "ours is faster by", "tokens an answer", "reward"), rows)
    title = f"RL of the student, {chosen.iterations} iterations of {PROBLEMS} x {GROUP} answers, 1 thread, n = {chosen.repeats}"
    publish("rl_vs_trl", title, text, runs, iterations=chosen.iterations)


if __name__ == "__main__":
    main()
