"""Sampling and SFT of a real model, on one core, against `transformers.generate` and TRL.

    python benchmarks/real_model.py smollm2 --repeats 5
    python benchmarks/real_model.py smollm2 --sft --steps 6 --repeats 3

The model is `smollm2`, a folder or a GGUF file.

Sampling: 64 new tokens for 32 and for 64 prompts of 30 to 180 tokens, pieces of this project's documents; greedy, greedy with a
LoRA adapter, and at top-p 0.9. The peer has its weights in float32 and in bfloat16, prompts sorted by length, and batches of 16, 32
and all; its adapter is merged beforehand, ours is merged inside the clock, as is the preparation of our matrices. What decides is the
peer's quickest. The script says how many of our greedy float32 answers differ from those of `generate` in float32.

SFT: 8 conversations of about 128 tokens a step, LoRA of rank 8 on all linear layers, and all weights. Every measurement is a
fresh process on one thread. TRL multiplies in float32 and in bfloat16 (autocast, and with weights in bfloat16), without checkpointing,
padded and padding-free.

Rates are tokens in a second of processor time, since other work on the machine changes these less than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from cavesson.errors import ConfigError
from cavesson.models.adapters import attach
from cavesson.models.loading import open_folder
from cavesson.models.model import Model, merged
from cavesson.models.recipes import HFModel, LoRA
from cavesson.named import model_named
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Params
from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOP_P = 0.9
DOCUMENTS = Path(__file__).parents[1] / "docs"
TRL: dict[str, dict[str, Any]] = {
    "trl fp32": {"bf16": False},
    "trl bf16 autocast": {"bf16": True},
    "trl bf16 autocast, eager": {"bf16": True, "attention": "eager"},
    "trl bf16 weights": {"bf16": True, "dtype": "bf16"},
    "trl bf16 weights, eager": {"bf16": True, "dtype": "bf16", "attention": "eager"},
    "trl bf16 weights, padding-free": {"bf16": True, "dtype": "bf16", "padding_free": True, "max_length": None},
    "trl bf16 autocast, padding-free": {"bf16": True, "padding_free": True, "max_length": None},
}


def pieces(tokenizer: Any, n: int, least: int, most: int, seed: int) -> list[str]:
    """Pieces of the documents, of a random number of tokens each."""
    ids = tokenizer("\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCUMENTS.glob("*.md"))))["input_ids"]
    draw = np.random.default_rng(seed)
    lengths = draw.integers(least, most, n)
    return [tokenizer.decode(ids[s : s + k]) for k in lengths for s in [int(draw.integers(0, len(ids) - k))]]


def prompts(model: Model, n: int, seed: int) -> list[list[int]]:
    from cavesson.chat import Conversation

    asked = pieces(model.tokenizer, n, 8, 160, seed)
    return model.renderer.prompt_many([Conversation.of(f"Explain: {piece}") for piece in asked])


def generated(
    net: Any, stop: Sequence[int], asked: list[list[int]], tokens: int, batch: int, **how: Any
) -> list[list[int]]:
    """Answers by `transformers.generate`, prompts sorted by length and padded on the left."""
    order = sorted(range(len(asked)), key=lambda i: len(asked[i]))
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        width = max(len(asked[i]) for i in rows)
        ids = torch.tensor([[stop[0]] * (width - len(asked[i])) + asked[i] for i in rows])
        mask = torch.tensor([[0] * (width - len(asked[i])) + [1] * len(asked[i]) for i in rows])
        out = net.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            eos_token_id=list(stop),
            pad_token_id=stop[0],
            **how,
        )
        for i, row in zip(rows, out[:, width:].tolist(), strict=True):
            found[i] = row[: next((k + 1 for k, token in enumerate(row) if token in stop), len(row))]
    return [found[i] for i in range(len(asked))]


class Sampling:
    """The contestants of sampling. Each call asks the prompts of its next seed."""

    def __init__(self, folder: str, tokens: int) -> None:
        self.tokens = tokens
        self.ours = {name: open_folder(folder, key=name, dtype=str(kind)[6:]) for name, kind in TYPES.items()}
        self.adapted = {
            name: self._with_adapter(open_folder(folder, key=f"adapted {name}", dtype=str(kind)[6:]))
            for name, kind in TYPES.items()
        }
        plain = {k: AutoModelForCausalLM.from_pretrained(folder, dtype=t).eval() for k, t in TYPES.items()}
        whole = merged(self.adapted["fp32"]).net
        whole.set_attn_implementation("sdpa")
        merged_ = {"fp32": whole, "bf16": AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()}
        merged_["bf16"].load_state_dict(whole.state_dict())
        self.nets = {"plain": plain, "adapter": merged_}
        self.stop = sorted(sampler_for(self.ours["fp32"]).stop_ids)  # type: ignore[attr-defined]
        self.calls: dict[str, int] = {}
        self.said: dict[tuple[str, int, int], list[list[int]]] = {}

    @staticmethod
    def _with_adapter(model: Model) -> Model:
        adapted = attach(model, LoRA(rank=8), seed=0)
        torch.manual_seed(0)
        with torch.no_grad():
            for name, weight in adapted.net.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.01)
        return adapted

    def timed(
        self, name: str, n: int, answer: Callable[[list[list[int]], int], list[list[int]]], like: str = ""
    ) -> Figures:
        """One contestant on its next prompts; `like`: whose answers are compared."""
        seed = self.calls[name] = self.calls.get(name, -1) + 1
        asked = prompts(self.ours["fp32"], n, seed)
        start, used = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            said = answer(asked, seed)
        used, seconds = time.process_time() - used, time.perf_counter() - start
        count = sum(map(len, said))
        first = self.said.setdefault((like or name, n, seed), said)
        return {
            "rate": count / used,
            "processor": used,
            "seconds": seconds,
            "tokens": count,
            "different": sum(a != b for a, b in zip(said, first, strict=True)),
        }

    def contestants(self, n: int, task: str, batches: Sequence[int]) -> dict[str, Callable[[], Figures]]:
        drawn = task == "top-p"
        params = {"temperature": 1.0, "top_p": TOP_P} if drawn else {}
        how = {"do_sample": True, "top_k": 0, "temperature": 1.0, "top_p": TOP_P} if drawn else {"do_sample": False}

        def ours(model: Model, asked: list[list[int]], seed: int) -> list[list[int]]:
            found = sampler_for(model).continue_ids(asked, Params(max_tokens=self.tokens, seed=seed, **params))
            return [list(completion.ids) for [completion] in found]

        def theirs(net: Any, batch: int, asked: list[list[int]], seed: int) -> list[list[int]]:
            torch.manual_seed(seed)
            return generated(net, self.stop, asked, self.tokens, batch, **how)

        models = {f"ours {k}": m for k, m in (self.adapted if task == "adapter" else self.ours).items()}
        found = {
            name: partial(
                self.timed,
                f"{name} {task} {n}",
                n,
                partial(ours, model),
                f"{task} fp32" if name.endswith("32") and not drawn else "",
            )
            for name, model in models.items()
        }
        for kind, net in self.nets["adapter" if task == "adapter" else "plain"].items():
            for batch in sorted({min(batch, n) for batch in batches}):
                name, like = f"generate {kind}, batch {batch}", f"{task} fp32" if kind == "fp32" and not drawn else ""
                found[name] = partial(self.timed, f"{name} {task} {n}", n, partial(theirs, net, batch), like)
        return found


def sampling(chosen: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    bench, rows, runs = Sampling(chosen.folder, chosen.tokens), [], {}
    for task in chosen.tasks:
        for n in chosen.prompts:
            some = take_turns(bench.contestants(n, task, chosen.batches), chosen.repeats)
            runs[f"{task}, {n}"] = some
            peer = max(
                (name for name in some if name.startswith("generate")), key=lambda name: median(some[name], "rate")
            )
            for name, figures in some.items():
                same = (
                    f"{sum(run['different'] for run in figures)} of {n * len(figures)}"
                    if "fp32" in name and task != "top-p"
                    else ""
                )
                rows.append((task, n, name, f"{median(figures, 'rate'):.0f}", ratio(figures, some[peer], "rate"), same))
    columns = ("", "prompts", "", "tokens a second", "of the peer's quickest", "answers that differ in fp32")
    title = f"Sampling a real model, {chosen.tokens} tokens, one core, n = {chosen.repeats}"
    publish("real_model_sampling", title, table(columns, rows), runs)


def conversations(folder: str, n: int) -> list[dict[str, str]]:
    """Prompts and answers of 40 to 200 tokens together."""
    tokenizer = open_folder(folder, key="t").tokenizer
    asked, said = pieces(tokenizer, n, 8, 40, 1), pieces(tokenizer, n, 30, 150, 2)
    return [{"prompt": a, "completion": b} for a, b in zip(asked, said, strict=True)]


def messages(row: dict[str, str]) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]


def train_ours(
    folder: str, rows: list[dict[str, str]], steps: int, precision: str, lora: bool, clock: list[float]
) -> list[float]:
    from cavesson.data.recipes import Jsonl
    from cavesson.lab.lab import Lab
    from cavesson.lab.progress import Silent
    from cavesson.lab.store import Store
    from cavesson.training.recipes import Trained

    class Clock(Silent):
        def progress(self, *_: object) -> None:
            clock.append(time.process_time())

    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.jsonl"
        data.write_text("".join(json.dumps({"messages": messages(row)}) + "\n" for row in rows), encoding="utf-8")
        run = Trained(
            base=HFModel(path=folder),
            data=Jsonl(path=str(data)),
            steps=steps,
            batch_size=8,
            lr=1e-4,
            adapter=LoRA(rank=8) if lora else None,
            precision=precision,
        )
        with Lab(Store(Path(place) / "store"), display=Clock()) as lab:
            lab.make([run])
            losses = (lab.path(run) / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in losses]


def train_trl(
    folder: str, rows: list[dict[str, str]], steps: int, mode: str, lora: bool, clock: list[float]
) -> list[float]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *_: object, **__: object) -> None:
            clock.append(time.process_time())

    settings = dict(TRL[mode])
    kind, attention = TYPES[settings.pop("dtype", "fp32")], settings.pop("attention", "sdpa")
    data = [{"prompt": messages(row)[:1], "completion": messages(row)[1:]} for row in rows]
    with tempfile.TemporaryDirectory() as place:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=kind, attn_implementation=attention),
            args=SFTConfig(
                output_dir=place, max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-4, lr_scheduler_type="constant",
                gradient_checkpointing=False, use_cpu=True, report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True,
                dataloader_pin_memory=False, **settings,
            ),
            train_dataset=Dataset.from_list(data),
            processing_class=AutoTokenizer.from_pretrained(folder),
            callbacks=[Clock()],
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM") if lora else None,
        )  # fmt: skip
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def one(chosen: argparse.Namespace) -> None:
    """One training in this process; every step has the same eight conversations, so that steps can be compared."""
    clock: list[float] = []
    rows = conversations(chosen.folder, 8)
    kind, _, mode = chosen.one.partition(": ")
    lora = kind == "LoRA"
    train, how = (train_ours, mode.split()[1]) if mode.startswith("ours") else (train_trl, mode)
    losses = train(chosen.folder, rows, chosen.steps, how, lora, clock)
    model = open_folder(chosen.folder, key="t")
    tokens = sum(len(ids) for ids in model.renderer.prompt_many([_talk(row) for row in rows]))
    used = float(np.median(np.diff(clock[1:])))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"rate": tokens / used, "step": used, "gib": peak, "first": losses[0], "last": losses[-1]}))


def _talk(row: dict[str, str]) -> Any:
    from cavesson.chat import Conversation

    return Conversation.of(row["prompt"] + row["completion"])


def sft(chosen: argparse.Namespace) -> None:
    rows, runs = [], {}
    for kind in chosen.kinds:
        names = ["ours fp32", "ours bf16", *chosen.trl]
        some = take_turns(
            {
                n: partial(in_process, __file__, chosen.folder, "--one", f"{kind}: {n}", "--steps", chosen.steps)
                for n in names
            },
            chosen.repeats,
        )
        runs[kind] = some
        peer = max(chosen.trl, key=lambda name: median(some[name], "rate"))
        for name, figures in some.items():
            rate, of_peer = f"{median(figures, 'rate'):.0f}", ratio(figures, some[peer], "rate")
            loss = (f"{figures[0][key]:.3f}" for key in ("first", "last"))
            rows.append((kind, name, rate, of_peer, f"{median(figures, 'gib'):.2f}", *loss))
    columns = ("", "", "tokens a second", "of the peer's quickest", "most memory, GiB", "loss, first step", "last step")
    publish("real_model_sft", f"SFT of a real model, one core, n = {chosen.repeats}", table(columns, rows), runs)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("folder", metavar="MODEL")
    made.add_argument("--tokens", type=int, default=64)
    made.add_argument("--prompts", type=int, nargs="*", default=[32, 64])
    made.add_argument(
        "--tasks", nargs="*", default=["greedy", "adapter", "top-p"], choices=["greedy", "adapter", "top-p"]
    )
    made.add_argument("--batches", type=int, nargs="*", default=[16, 32, 64])
    made.add_argument("--sft", action="store_true", help="training instead of sampling")
    made.add_argument("--kinds", nargs="*", default=["LoRA", "all weights"], choices=["LoRA", "all weights"])
    made.add_argument("--trl", nargs="*", default=list(TRL), choices=list(TRL))
    made.add_argument("--steps", type=int, default=6)
    made.add_argument("--one", help=argparse.SUPPRESS)
    chosen = made.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        folder = model_named(chosen.folder).folder
    except ConfigError as error:
        made.error(str(error))
    if folder is None:
        made.error(
            f"{chosen.folder} is on the hub, and a folder is timed: name the one that `hf download {chosen.folder}` prints"
        )
    chosen.folder = str(folder)
    if chosen.one:
        one(chosen)
    else:
        (sft if chosen.sft else sampling)(chosen)


if __name__ == "__main__":
    main()
