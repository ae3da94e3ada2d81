"""Which share of the machine's plain matrix-product rate the training step reaches, alone and with a worker on each core.

    python benchmarks/share_of_peak.py --repeats 5

The step's work is counted, not measured. With T tokens in a step (padding not counted), K of them trained, P weights in the
linear layers inside the model, hidden size d, vocabulary V, L layers, and documents of n tokens each:

    6 T P  +  6 K d V  +  6 L d Σ n²        floating-point operations

two for each weight and token forward and four backward; the output head at trained positions only; attention's two products,
of which the causal half counts. Norms, softmax, the optimizer and the like do work too but count as nothing, as is usual.

The plain rate is that of the quicker of `torch.mm` and oneDNN (in fp32 on AMD processors oneDNN is twice as quick), in the
precision that training multiplies in, on one thread, warm: for square matrices of several sizes, and at the shapes that the
step itself has, forward and backward (time-weighted). Both are measured alone and
with as many processes at once as there are cores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from paired import Figures, median, parser, publish, ratios_of, table, take_turns

SIZES = (512, 1024, 2048, 4096)
BATCH, STEPS, LR = 16, 300, 3e-4
SECONDS = 0.5


def step_work(data: Path) -> Figures:
    """What a mean step of `BATCH` conversations has to do."""
    from cavesson.data.sources import read_examples
    from cavesson.tinyworld.recipes import Shipped

    model = Shipped(name="student").load(lambda recipe: Path())
    rendered = [model.renderer.render(example.conversation) for example in read_examples(data)]
    tokens = BATCH * statistics.fmean(len(one.ids) for one in rendered)
    trained = BATCH * statistics.fmean(sum(one.mask[1:]) for one in rendered)
    squares = BATCH * statistics.fmean(len(one.ids) ** 2 for one in rendered)
    config: Any = model.net.config
    d, vocabulary, layers = config.hidden_size, config.vocab_size, config.num_hidden_layers
    linear = {name: m.weight for name, m in model.net.named_modules() if name.endswith("_proj")}
    inside = sum(weight.numel() for weight in linear.values())
    work = 6 * tokens * inside + 6 * trained * d * vocabulary + 6 * layers * d * squares
    shapes = [(round(tokens), *reversed(weight.shape)) for weight in linear.values()] + [
        (round(trained), d, vocabulary)
    ]
    return {"flop": work, "tokens": tokens, "trained": trained, "shapes": shapes}


def plain_rates(shapes: list[tuple[int, int, int]]) -> Figures:
    """GFLOP/s of plain products: square matrices, and the step's own products."""
    import torch

    from cavesson.lab.numerics import here, precision_of
    from cavesson.models.products import times as product

    precision = precision_of(here())
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]

    def seconds(rows: int, inner: int, columns: int, layout: str) -> float:
        """Median seconds of a product; `layout` says which factor is stored transposed, as in a linear layer's passes."""
        a = torch.randn(inner, rows).to(dtype).T if layout == "weight" else torch.randn(rows, inner).to(dtype)
        b = torch.randn(columns, inner).to(dtype).T if layout == "forward" else torch.randn(inner, columns).to(dtype)
        return min(median_seconds(product, a, b) for product in (torch.mm, onednn))

    def onednn(a: Any, b: Any) -> Any:
        return product(a, b.t())

    def median_seconds(multiply: Any, a: Any, b: Any) -> float:
        for _ in range(5):
            multiply(a, b)
        times: list[float] = []
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until or len(times) < 5:
            start = time.perf_counter()
            multiply(a, b)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    squares = {str(n): 2 * n**3 / seconds(n, n, n, "plain") / 1e9 for n in SIZES}
    spent = {}
    for tokens, inner, out in set(map(tuple, shapes)):
        spent[tokens, inner, out] = (
            seconds(tokens, inner, out, "forward")
            + seconds(tokens, out, inner, "plain")
            + seconds(out, tokens, inner, "weight")
        )
    work = sum(6 * t * i * o for t, i, o in shapes)
    own = sum(spent[tuple(shape)] for shape in shapes)
    return {"precision": precision, "squares": squares, "best": max(squares.values()), "own": work / own / 1e9}


def step_rate(data: Path, work: float, tokens: float) -> Figures:
    """GFLOP/s of the training step."""
    from sft_vs_trl import ours

    with tempfile.TemporaryDirectory() as out:
        rate = ours(data, STEPS, Path(out))["tokens_per_second"]
    return {"step": rate / tokens * work / 1e9}


def together(processes: int, *arguments: str) -> Figures:
    """Run so many processes at once, each on a core of its own; the mean of their figures."""
    cores = sorted(os.sched_getaffinity(0))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            ["taskset", "-c", str(cores[-1 - k]), sys.executable, __file__, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for k in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{' '.join(arguments)} failed; run it by itself to see why")
    found = [json.loads(text.strip().splitlines()[-1]) for text in said]
    return {key: statistics.fmean(one[key] for one in found) for key in found[0] if isinstance(found[0][key], float)}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--one", choices=["plain", "step"])
    made.add_argument("--data", type=Path)
    made.add_argument("--work", type=json.loads)
    chosen = made.parse_args()
    if chosen.one == "plain":
        print(json.dumps(plain_rates(chosen.work["shapes"])))
        return
    if chosen.one == "step":
        print(json.dumps(step_rate(chosen.data, chosen.work["flop"], chosen.work["tokens"])))
        return
    from sft_vs_trl import conversations

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "blue.jsonl"
        conversations(data, 1600, seed=1)
        work = step_work(data)
        cores = len(os.sched_getaffinity(0))
        contestants = {
            f"{what}, {'alone' if n == 1 else f'pool of {n}'}": (
                lambda what=what, n=n: together(n, "--one", what, "--data", str(data), "--work", json.dumps(work))
            )
            for n in dict.fromkeys((1, cores))
            for what in ("plain", "step")
        }
        runs = take_turns(contestants, chosen.repeats)
    rows = []
    for where in [name.partition(", ")[2] for name in contestants if name.startswith("step")]:
        plain, step = runs[f"plain, {where}"], runs[f"step, {where}"]
        joined = [{**p, **s} for p, s in zip(plain, step, strict=True)]
        shares = {k: ratios_of([{k: j["step"]} for j in joined], plain, k) for k in ("best", "own")}
        rows.append(
            (
                where,
                f"{median(plain, 'best'):.0f}",
                f"{median(plain, 'own'):.0f}",
                f"{median(step, 'step'):.0f}",
                *(
                    f"{100 * statistics.median(s):.0f} % ({100 * min(s):.0f} % to {100 * max(s):.0f} %)"
                    for s in shares.values()
                ),
            )
        )
    columns = (
        "",
        "plain, best square",
        "plain, own shapes",
        "training step",
        "share of best square",
        "share of own shapes",
    )
    text = f"GFLOP/s of one process; a step is {work['flop'] / 1e9:.2f} GFLOP ({work['tokens']:.0f} tokens, {work['trained']:.0f} trained).\n\n"
    title = f"Share of the plain matrix-product rate, n = {chosen.repeats}"
    publish("share_of_peak", title, text + table(columns, rows), runs, work=work)


if __name__ == "__main__":
    main()
