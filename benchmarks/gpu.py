"""SFT and sampling of a 1B model on a GPU: ours against TRL's SFTTrainer and `transformers.generate`.

    python benchmarks/gpu.py --repeats 3
    python benchmarks/gpu.py --toy            the same code on a CPU, at a size that says nothing about speed

The model has the shape of Llama 3.2 1B with random weights (speed does not depend on them) and the tokenizer of the shipped
student; nothing is downloaded. Conversations have 40 to 1200 tokens, most of them short.

SFT: AdamW, bf16 autocast on fp32 weights, loss on the answers, 16 conversations a step. TRL runs as it comes (gradient
checkpointing), and grouped by length or packed without checkpointing. Tokens of the conversations a second, padding not
counted, over the last four fifths of the steps; memory is the peak that torch allocated.

Sampling: greedy, in bf16, room for 64 to 256 tokens drawn for each prompt; a random model rarely ends by itself, so nearly
every answer takes all its room, and refilling seats gains nothing here. Prompts with equal room go together, `generate` sorts
them by length. In bf16 two right implementations may choose differently where two tokens
are almost equally likely, so the share of equal answers is printed instead of asserted.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

SFT = ("ours", "trl-default", "trl-grouped", "trl-packed")
TRL: dict[str, dict[str, Any]] = {
    "trl-default": {},
    "trl-grouped": {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
    "trl-packed": {"gradient_checkpointing": False, "packing": True},
}
LR, BATCH = 1e-5, 16


@dataclass(frozen=True)
class Size:
    """A model's shape, and how much to measure with it."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    inner: int
    vocabulary: int
    longest: int
    steps: int
    prompts: int
    batches: tuple[int, ...]


SIZES = {
    "1B": Size(2048, 16, 32, 8, 8192, 128_256, 1200, 60, 512, (64, 128, 256)),
    "toy": Size(64, 2, 4, 2, 128, 1536, 96, 10, 12, (4,)),
}


def prepare(size: Size, folder: Path) -> None:
    """Write the model, its conversations and its prompts."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from cavesson.tinyworld.recipes import Prompts, Shipped

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(Shipped(name="student").folder)
    config = LlamaConfig(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        intermediate_size=size.inner,
        vocab_size=size.vocabulary,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rng = Random(0)
    words = " ".join(
        e.conversation.messages[-1].content for e in Prompts(family="chat", n=200, seed=1).examples(_none)
    ).split()

    def text(tokens: float) -> str:
        return " ".join(rng.choices(words, k=max(1, round(tokens / 1.5))))

    with (folder / "data.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(size.steps * BATCH):
            asked, answered = (
                text(rng.uniform(8, 30)),
                text(math.exp(rng.uniform(math.log(20), math.log(size.longest)))),
            )
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
            file.write(json.dumps({"messages": messages}) + "\n")
    asked_for = [(text(rng.uniform(8, size.longest / 2)), 64 * rng.randint(1, 4)) for _ in range(size.prompts)]
    (folder / "prompts.json").write_text(json.dumps(asked_for), encoding="utf-8")


def sft_ours(folder: Path, steps: int) -> Figures:
    """Train with Cavesson's engine."""
    import torch

    from cavesson.data.recipes import Jsonl
    from cavesson.models.recipes import HFModel
    from cavesson.training.engine import train
    from cavesson.training.recipes import Trained

    run = Trained(
        base=HFModel(path=str(folder / "model")),
        data=Jsonl(path=str(folder / "data.jsonl")),
        steps=steps,
        batch_size=BATCH,
        lr=LR,
        precision="bf16",
    )
    clock: list[float] = []

    class Job:
        """What the engine wants of a job: places to write, and someone to tell."""

        threads = 1

        def __init__(self, folder: Path) -> None:
            self.folder = self.scratch = self.cache = folder

        def path(self, recipe: object) -> Path:
            return Path()

        def progress(self, *_: object, **__: object) -> None:
            _finish()
            clock.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as place:
        model = run.base.load(_none)
        train(run, model, run.data.examples(_none), job=Job(Path(place)))
        rows = [json.loads(line) for line in (Path(place) / "losses.jsonl").read_text().splitlines()]
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {**_rate(clock, [row["tokens"] for row in rows]), "loss": rows[-1]["loss"], "memory_gib": memory}


def sft_trl(folder: Path, steps: int, mode: str) -> Figures:
    """Train with TRL."""
    import torch
    from transformers import TrainerCallback

    from sft_vs_trl import trainer_for

    clock: list[float] = []
    tokens: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *_: object, **__: object) -> None:
            _finish()
            clock.append(time.perf_counter())

    rows = [json.loads(line)["messages"] for line in (folder / "data.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as place:
        settings = {**TRL[mode], "max_length": None, "bf16": True, "use_cpu": not torch.cuda.is_available()}
        trainer = trainer_for(folder / "model", rows, steps, BATCH, LR, Path(place), settings, [Clock()])
        collate = trainer.data_collator

        def counted(examples: list[dict[str, Any]]) -> Any:
            tokens.append(sum(len(example["input_ids"]) for example in examples))
            return collate(examples)

        trainer.data_collator = counted
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {**_rate(clock, tokens[: len(clock)]), "loss": losses[-1], "memory_gib": memory}


def sampling(folder: Path, who: str, batch: int) -> Figures:
    """Sample with Cavesson or with transformers; prompts with equal room go together."""
    import torch

    from cavesson.chat import Conversation
    from cavesson.models.loading import open_folder
    from eval_vs_generate import Asked, by_generate, by_sampler

    model = open_folder(folder / "model", key="benchmark")
    net: Any = model.net
    asked: dict[int, list[Conversation]] = {}
    for text, room in json.loads((folder / "prompts.json").read_text()):
        asked.setdefault(room, []).append(Conversation.of(text))

    def answers(questions: Asked) -> list[list[int]]:
        return by_sampler(model, questions) if who == "ours" else by_generate(net, model, questions, batch)

    if who == "generate":
        net.set_attn_implementation("sdpa")  # transformers' own, on a CPU too
    with torch.inference_mode():
        answers([(room, some[:4]) for room, some in asked.items()])
        _finish()
        start = time.perf_counter()
        said = answers(sorted(asked.items()))
        _finish()
    seconds, tokens = time.perf_counter() - start, sum(map(len, said))
    return {
        "tokens_per_second": tokens / seconds,
        "seconds": seconds,
        "tokens": tokens,
        "answers": list(map(_name, said)),
    }


def _name(answer: list[int]) -> str:
    """A short name for an answer, so that processes can compare what they said."""
    return hashlib.sha256(json.dumps(answer).encode()).hexdigest()[:16]


def _finish() -> None:
    """Wait until the GPU has done what it was told."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _rate(clock: list[float], tokens: list[int]) -> Figures:
    """Tokens a second over the last four fifths of the steps."""
    skip = len(clock) // 5
    return {"tokens_per_second": sum(tokens[skip + 1 :]) / (clock[-1] - clock[skip])}


def _none(recipe: object) -> Path:
    return Path()


def measured(job: str, who: str, folder: Path, size: Size, batch: int) -> Figures:
    """One contestant in this process."""
    if job == "sampling":
        return sampling(folder, who, batch)
    return sft_ours(folder, size.steps) if who == "ours" else sft_trl(folder, size.steps, who)


def compare(size: Size, folder: Path, repeats: int) -> None:
    """Run everybody by turns and publish."""
    prepare(size, folder)
    where = ("--folder", folder, "--size", next(name for name, one in SIZES.items() if one == size))
    sft = take_turns(
        {name: (lambda n=name: in_process(__file__, "--one", f"sft {n}", *where)) for name in SFT}, repeats
    )
    samplers = {"ours": ("ours", 0), **{f"generate, batch {batch}": ("generate", batch) for batch in size.batches}}
    sampled = take_turns(
        {
            label: (lambda n=name, b=batch: in_process(__file__, "--one", f"sampling {n}", "--batch", b, *where))
            for label, (name, batch) in samplers.items()
        },
        repeats,
    )
    rows = [
        (
            f"SFT, {name}",
            f"{median(runs, 'tokens_per_second'):,.0f}",
            ratio(sft["ours"], runs, "tokens_per_second"),
            f"{median(runs, 'memory_gib'):.1f}",
        )
        for name, runs in sft.items()
    ]
    said = {name: runs[0]["answers"] for name, runs in sampled.items()}
    for name, runs in sampled.items():
        same = sum(mine == theirs for mine, theirs in zip(said["ours"], said[name], strict=True))
        rate = f"{median(runs, 'tokens_per_second'):,.0f}"
        rows.append(
            (
                f"sampling, {name}",
                rate,
                ratio(sampled["ours"], runs, "tokens_per_second"),
                f"{same} of {size.prompts} equal",
            )
        )
    text = table(("", "tokens/s", "ours is faster by", "GiB, or answers as ours"), rows)
    publish("gpu", f"A 1B model on {_device()}, n = {repeats}", text, {"sft": sft, "sampling": sampled})


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "a CPU (toy size: says nothing about speed)"


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--toy", action="store_true", help="a toy model on the CPU, to see that the code runs")
    made.add_argument("--one")
    made.add_argument("--folder", type=Path)
    made.add_argument("--size", default="1B")
    made.add_argument("--batch", type=int, default=0)
    chosen = made.parse_args()
    if chosen.one:
        job, _, who = chosen.one.partition(" ")
        print(json.dumps(measured(job, who, chosen.folder, SIZES[chosen.size], chosen.batch)))
        return
    import torch

    if not chosen.toy and not torch.cuda.is_available():
        raise SystemExit("This benchmark needs a CUDA GPU; --toy runs the same code on a CPU at a toy size.")
    with tempfile.TemporaryDirectory() as folder:
        compare(SIZES["toy" if chosen.toy else "1B"], Path(folder), 1 if chosen.toy else chosen.repeats)


if __name__ == "__main__":
    main()
