"""Blue-team SFT of the tiny student: ours against TRL's SFTTrainer on the same conversations, in one run.

    python benchmarks/sft_vs_trl.py --steps 300 --repeats 3

(a) one run: tokens a second once warm, and the whole process; (b) a sweep of eight runs: our pool of workers against TRL
one after another. Every measurement is a fresh process; the contestants take turns, and medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONTESTANTS = ("ours", "trl-default", "trl-grouped", "trl-packed")
BATCH, LR = 16, 3e-4


def conversations(path: Path, n: int) -> None:
    """The blue team's data: what the shipped teacher answers to chat prompts, one conversation a line."""
    from bridle.data.sources import write_examples
    from bridle.lab.lab import Lab
    from bridle.lab.store import Store
    from bridle.sampling.recipes import Generated
    from bridle.tinyworld.recipes import Prompts, Shipped

    data = Generated(by=Shipped(name="teacher"), prompts=Prompts(family="chat", n=n, seed=1))
    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder))) as lab:
        lab.make([data])
        write_examples(path, data.examples(lab.path))


def ours(data: Path, steps: int, threads: int) -> dict[str, float]:
    """Train with Bridle's engine."""
    import torch

    torch.set_num_threads(threads)
    from bridle.data.recipes import Jsonl
    from bridle.tinyworld.recipes import Shipped
    from bridle.training.engine import train
    from bridle.training.recipes import Trained

    run = Trained(base=Shipped(name="student"), data=Jsonl(path=str(data)), steps=steps, batch_size=BATCH, lr=LR)
    clock: list[float] = []

    class Job:
        folder = Path(tempfile.mkdtemp())
        scratch = Path(tempfile.mkdtemp())

        def __init__(self) -> None:
            self.threads = threads

        def path(self, recipe: object) -> Path:
            return Path()

        def progress(self, done: float, total: float, **figures: object) -> None:
            clock.append(time.perf_counter())

    model = run.base.load(lambda recipe: Path())
    train(run, model, run.data.examples(lambda recipe: Path()), job=Job())
    return {"step_seconds": _steady(clock)}


def trl(data: Path, steps: int, threads: int, mode: str) -> dict[str, float]:
    """Train with TRL's SFTTrainer."""
    import torch

    torch.set_num_threads(threads)
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from bridle.tinyworld.recipes import Shipped

    folder = str(Shipped(name="student").folder)
    rows = [{"messages": json.loads(line)["messages"]} for line in data.read_text().splitlines()]
    clock: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: object, **kwargs: object) -> None:
            clock.append(time.perf_counter())

    extra = {
        "trl-default": {},
        "trl-grouped": {"train_sampling_strategy": "group_by_length"},
        "trl-packed": {"packing": True, "max_length": 512, "packing_strategy": "bfd"},
    }[mode]
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=steps,
        per_device_train_batch_size=2 if mode == "trl-packed" else BATCH,
        learning_rate=LR,
        lr_scheduler_type="constant",
        assistant_only_loss=True,
        use_cpu=True,
        bf16=True,
        report_to=[],
        save_strategy="no",
        logging_steps=50,
        **extra,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[Clock()],
    ).train()
    return {"step_seconds": _steady(clock)}


def _steady(clock: list[float]) -> float:
    """Median seconds of a step, the first fifth left out."""
    late = clock[len(clock) // 5 :]
    return (late[-1] - late[0]) / (len(late) - 1)


def tokens_per_step(data: Path) -> float:
    """Mean tokens of a batch, padding not counted."""
    from bridle.data.sources import read_examples
    from bridle.tinyworld.recipes import Shipped

    renderer = Shipped(name="student").load(lambda recipe: Path()).renderer
    rows = read_examples(data)
    return BATCH * statistics.fmean(len(renderer.render(row.conversation).ids) for row in rows)


def measured(contestant: str, data: Path, steps: int, threads: int, core: str | None = None) -> dict[str, float]:
    """Run one contestant in a process of its own; gives its figures and the wall time of the process."""
    command = [
        sys.executable,
        __file__,
        "--one",
        contestant,
        "--data",
        str(data),
        "--steps",
        str(steps),
        "--threads",
        str(threads),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{contestant} failed:\n{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": wall}


def sweep_of_ours(data: Path, steps: int) -> float:
    """Wall seconds of eight runs through the lab's pool, start of the processes included."""
    code = (
        "from pathlib import Path\nimport tempfile\n"
        "from bridle.data.recipes import Jsonl\nfrom bridle.lab.lab import Lab\nfrom bridle.lab.store import Store\n"
        "from bridle.tinyworld.recipes import Shipped\nfrom bridle.training.recipes import Trained\n"
        f"runs = [Trained(base=Shipped(name='student'), data=Jsonl(path={str(data)!r}), steps={steps}, batch_size={BATCH}, lr=l * 1e-4)"
        " for l in range(1, 9)]\n"
        "with tempfile.TemporaryDirectory() as d, Lab(Store(Path(d)), 'auto') as lab:\n    lab.make(runs)\n"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sweep", action="store_true", help="also (b): eight runs")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--one")
    chosen = parser.parse_args()
    if chosen.one:
        figures = (
            ours(chosen.data, chosen.steps, chosen.threads)
            if chosen.one == "ours"
            else trl(chosen.data, chosen.steps, chosen.threads, chosen.one)
        )
        print(json.dumps(figures))
        return
    data = Path(tempfile.mkdtemp()) / "blue.jsonl"
    conversations(data, 1600)
    tokens = tokens_per_step(data)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(chosen.repeats):
        for name in CONTESTANTS:
            found[name].append(measured(name, data, chosen.steps, chosen.threads))
            print(name, found[name][-1], file=sys.stderr, flush=True)
    print(
        f"{chosen.steps} steps of {BATCH} conversations, {tokens:.0f} tokens a step, {chosen.threads} thread(s), median of {chosen.repeats}\n"
    )
    print("| | tokens/s, warm | ratio | whole process, s | ratio |\n| --- | --- | --- | --- | --- |")
    base_rate = tokens / statistics.median(f["step_seconds"] for f in found["ours"])
    base_wall = statistics.median(f["wall"] for f in found["ours"])
    for name in CONTESTANTS:
        rate = tokens / statistics.median(f["step_seconds"] for f in found[name])
        wall = statistics.median(f["wall"] for f in found[name])
        print(f"| {name} | {rate:,.0f} | {base_rate / rate:.2f} | {wall:.1f} | {wall / base_wall:.2f} |")
    if chosen.sweep:
        pool = statistics.median(sweep_of_ours(data, chosen.steps) for _ in range(chosen.repeats))
        one = statistics.median(measured("trl-default", data, chosen.steps, 2)["wall"] for _ in range(chosen.repeats))
        print(
            f"\nsweep of 8 runs: ours {pool:.1f} s in a pool of {os.cpu_count()}; TRL one after another 8 × {one:.1f} = {8 * one:.1f} s; ratio {8 * one / pool:.2f}"
        )


if __name__ == "__main__":
    main()
