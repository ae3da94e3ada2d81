"""How much memory a training of a real model takes, against what the check before a run foretells.

Each setting trains two steps in a process of its own, on conversations that fill 256 tokens. Measured: the most memory that the process
held, less what it held once its libraries were loaded.

    python benchmarks/memory.py                      # smollm2, some ten minutes on a quiet core
    python benchmarks/memory.py --model FOLDER --batches 8
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from cavesson.data.recipes import DataFile
from cavesson.evals.recipes import Scored  # noqa: F401 (a study has loaded these libraries before it trains)
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.named import model_named
from cavesson.training import engine  # noqa: F401
from cavesson.training.preflight import USUAL_TOKENS, bytes_needed, bytes_on_top, shape_of
from cavesson.training.recipes import Trained

GIB = 2**30
WHAT = {"all weights": None, "LoRA r8": LoRA(rank=8)}


def run_of(model: ModelRecipe, data: Path, what: str, precision: str, batch: int) -> Trained:
    """Two steps of a training."""
    chosen: dict[str, Any] = {"steps": 2, "lr": 1e-5, "batch_size": batch, "max_length": USUAL_TOKENS}
    return Trained(base=model, data=DataFile(path=data), adapter=WHAT[what], precision=precision, **chosen)


def measured(model: ModelRecipe, what: str, precision: str, batch: int) -> float:
    """Bytes that a training takes in this process, libraries left out."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "rows.jsonl")
        row = {"prompt": "Count.", "response": " ".join(str(number) for number in range(2 * USUAL_TOKENS))}
        data.write_text(f"{json.dumps(row)}\n" * batch, encoding="utf-8")
        with Lab(Store(Path(place, "store"))) as lab:
            lab.make([run_of(model, data, what, precision, batch)])
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def foretold(model: Any, what: str, precision: str, batch: int) -> float:
    """Bytes as the check before a run works them out."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "rows.jsonl")
        data.write_text('{"prompt": "a", "response": "b"}\n', encoding="utf-8")
        run = run_of(model, data, what, precision, batch)
    shape = shape_of(model)
    return bytes_needed(model.weights, run, width=shape["width"]) + bytes_on_top(model.weights, run, **shape)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--model", default="smollm2")
    given.add_argument("--batches", type=int, nargs="+", default=[4, 16])
    given.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = given.parse_args()
    model: Any = model_named(chosen.model)
    if chosen.one:
        what, precision, batch = chosen.one
        print(measured(model, what, precision, int(batch)))
        return
    print(
        "| trained | products | batch | foretold, GiB | measured, GiB | measured / foretold |\n| --- | --- | --- | --- | --- | --- |"
    )
    for what, precision, batch in product(WHAT, ("fp32", "bf16"), chosen.batches):
        command = [sys.executable, __file__, "--model", chosen.model, "--one", what, precision, str(batch)]
        said = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        guess = foretold(model, what, precision, batch)
        row = (what, precision, batch, f"{guess / GIB:.2f}", f"{said / GIB:.2f}", f"{said / guess:.2f}")
        print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
