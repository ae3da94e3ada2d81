"""What the benchmarks share: contestants take turns, ratios are taken within a turn, and results become a file and a table.

A ratio of two medians hides that a machine was busy during one of them. So every repetition lets all contestants run, in
an order that alternates, the ratio is formed within the repetition, and what is reported is the median of these ratios
with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Figures = dict[str, Any]
"""What one run of a contestant measured."""
Runs = dict[str, list[Figures]]
"""By contestant, one entry per repetition."""


def take_turns(contestants: Mapping[str, Callable[[], Figures]], repeats: int) -> Runs:
    """Run all contestants `repeats` times, forwards and backwards by turns."""
    runs: Runs = {name: [] for name in contestants}
    for repetition in range(repeats):
        for name in list(contestants)[:: 1 if repetition % 2 == 0 else -1]:
            runs[name].append(contestants[name]())
            shown = {key: value for key, value in runs[name][-1].items() if isinstance(value, (int, float, str))}
            print(f"[{repetition + 1}/{repeats}] {name}: {shown}", file=sys.stderr, flush=True)
    return runs


def median(runs: Sequence[Figures], key: str) -> float:
    """Median of one figure over the repetitions."""
    return statistics.median(run[key] for run in runs)


def ratio(above: Sequence[Figures], below: Sequence[Figures], key: str) -> str:
    """Median of the ratios within a repetition, with their range: "3.1 (2.9 to 3.3)"."""
    ratios = ratios_of(above, below, key)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def ratios_of(above: Sequence[Figures], below: Sequence[Figures], key: str) -> list[float]:
    """The ratio of one figure in every repetition."""
    return [a[key] / b[key] for a, b in zip(above, below, strict=True)]


def in_process(script: str, *arguments: object, threads: int = 1) -> Figures:
    """Run a script in a fresh interpreter; the JSON in its last line, and `wall`: seconds from start to end of the process."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONWARNINGS": "ignore",
    }
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, script, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=errors
        )
        wall = time.perf_counter() - start
        if done.returncode:
            errors.seek(0)
            raise SystemExit(f"{script} {' '.join(map(str, arguments))} failed:\n{errors.read()[-3000:]}")
    return {**json.loads(done.stdout.decode().strip().splitlines()[-1]), "wall": wall}


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine() -> dict[str, str]:
    """Processor, cores and versions."""
    packages = ("cavesson", "torch", "transformers", "trl", "accelerate", "datasets")
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def publish(name: str, title: str, text: str, runs: Mapping[str, Any], **settings: Any) -> None:
    """Print the result, and write it to `results/NAME.md` and, with every single measurement, `results/NAME.json`."""
    about = machine()
    command = " ".join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    page = f"## {title}\n\n`{command}`, {time.strftime('%Y-%m-%d')}: {', '.join(f'{k} {v}' for k, v in about.items())}\n\n{text}\n"
    print(page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    content = {"title": title, "command": command, "machine": about, **settings, "runs": runs}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def parser(text: str | None, repeats: int = 5) -> argparse.ArgumentParser:
    """A command line with what all benchmarks have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=int, default=repeats)
    return made


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's model, family included where its name alone says little."""
    try:
        lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, value in reversed(lines)}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} (family {facts.get('cpu family', '?')}; {' '.join(flags)})"
