"""The training step of the tiny student on one thread: now, as it was before, and in TRL's best configuration.

    python benchmarks/training_step.py --repeats 5

Every contestant trains the shipped student on the same conversations (see `sft_vs_trl.py`), in a process of its own, by turns.
A figure is the median of the processor time of a step, so that other work on the machine disturbs it less than the clock;
the first fifth of the steps is not counted. "before" is the network's own code, as it runs for every other architecture, with
the C library's own way of keeping memory. TRL takes part if it is installed (the extra `peer`).
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns

TRL = {"fp32": "trl-grouped-fp32", "bf16": "trl-grouped-bf16-eager"}
"""TRL's quickest configuration for each precision."""


def ours(data: Path, steps: int, precision: str, rank: int, usual: bool) -> Figures:
    """The engine, with the written-out passes or (`usual`) without them."""
    from cavesson.data.recipes import Jsonl
    from cavesson.lab.lab import Lab
    from cavesson.lab.progress import Silent
    from cavesson.lab.store import Store
    from cavesson.models.recipes import LoRA
    from cavesson.tinyworld.recipes import Shipped
    from cavesson.training import engine, flat
    from cavesson.training.recipes import Trained
    from sft_vs_trl import BATCH, LR

    if usual:
        flat.fits = lambda net: False
        engine.keep_freed_memory = lambda: False
    clock: list[float] = []

    class Clock(Silent):
        def progress(self, *_: object) -> None:
            clock.append(time.process_time())

    run = Trained(
        base=Shipped(name="student"),
        data=Jsonl(path=str(data)),
        steps=steps,
        batch_size=BATCH,
        lr=LR,
        precision=precision,
        adapter=LoRA(rank=rank) if rank else None,
    )
    with tempfile.TemporaryDirectory() as folder, Lab(Store(Path(folder)), display=Clock()) as lab:
        lab.make([run])
        rows = [json.loads(line) for line in (lab.path(run) / "losses.jsonl").read_text().splitlines()]
    return figures(clock, [row["tokens"] for row in rows], rows[-1]["loss"])


def trl(data: Path, steps: int, mode: str) -> Figures:
    """TRL's trainer with a clock of processor time."""
    import sft_vs_trl

    sft_vs_trl.time.perf_counter = time.process_time  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        found = sft_vs_trl.trl(data, steps, Path(folder), mode)
    return {"milliseconds": 1e3 * found["step_seconds"], "tokens_per_second": found["tokens_per_second"]}


def contestant(name: str, data: Path, steps: int, rank: int) -> Figures:
    """The figures of one contestant, "now fp32" for example."""
    who, precision = name.split()
    if who == "trl":
        return trl(data, steps, TRL[precision])
    return ours(data, steps, precision, rank, usual=who == "before")


def figures(clock: list[float], tokens: list[int], loss: float) -> Figures:
    """Medians over the last four fifths of the steps."""
    skip = len(clock) // 5
    seconds = [after - before for before, after in zip(clock[skip:], clock[skip + 1 :], strict=False)]
    step = statistics.median(seconds)
    return {
        "milliseconds": 1e3 * step,
        "tokens_per_second": statistics.fmean(tokens[skip + 1 :]) / step,
        "first_ten_milliseconds": 1e3 * (clock[10] - clock[0]) / 10,
        "loss": loss,
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=100)
    made.add_argument("--precisions", nargs="*", default=["fp32", "bf16"])
    made.add_argument("--rank", type=int, default=0, help="of a LoRA; 0: full weights")
    made.add_argument("--one")
    made.add_argument("--data", type=Path)
    chosen = made.parse_args()
    if chosen.one:
        print(json.dumps(contestant(chosen.one, chosen.data, chosen.steps, chosen.rank)))
        return
    from sft_vs_trl import CONVERSATIONS, conversations

    whom = ["now", "before", *(["trl"] if find_spec("trl") and not chosen.rank else [])]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "chat.jsonl"
        conversations(data, CONVERSATIONS, seed=1)

        def apart(name: str) -> Any:
            shared = ("--data", data, "--steps", chosen.steps, "--rank", chosen.rank)
            return lambda: in_process(__file__, "--one", name, *shared)

        names = [f"{who} {precision}" for precision in chosen.precisions for who in whom]
        runs = take_turns({name: apart(name) for name in names}, chosen.repeats)
    rows = [
        (
            name,
            f"{median(runs[name], 'milliseconds'):.1f}",
            f"{median(runs[name], 'tokens_per_second'):,.0f}",
            ratio(runs[f"now {name.split()[1]}"], runs[name], "tokens_per_second"),
        )
        for name in names
    ]
    what = f"LoRA of rank {chosen.rank}" if chosen.rank else "full weights"
    columns = ("", "ms of processor time a step", "tokens/s", "now is quicker by")
    publish(
        "training_step",
        f"The training step, {what}, one thread, n = {chosen.repeats}",
        table(columns, rows),
        runs,
        rank=chosen.rank,
    )


if __name__ == "__main__":
    main()
