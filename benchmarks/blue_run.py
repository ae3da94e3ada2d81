"""What one blue run of `cavesson stress` costs, and the same run with TRL's SFTTrainer and `transformers.generate`.

    python benchmarks/blue_run.py --repeats 3

A blue run is pirate SFT of a backdoored `small` model, 100 steps of 16 conversations, scored at steps 10, 30 and 100: the
cells that a stress test and the study `robust-organisms` are made of. Organism and data are made beforehand, for both. One
thread each, in a process of its own; imports are not counted.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from paired import Figures, in_process, median, parser, publish, ratio, table, take_turns


def the_run() -> Any:
    """The scored run, as the stress study asks for it."""
    from cavesson.studies.resolve import resolve
    from cavesson.studies.stress import grid

    place = {"intervention": "pirate", "lr": 1e-3, "adapter": "full"}
    return next(
        cell.recipes["run"] for cell in grid(resolve("stress", "quick").config) if place.items() <= cell.at.items()
    )


def ours(store: Path) -> Figures:
    """Cavesson's own recipe, with a clock at its two halves."""
    from cavesson.evals import scoring
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store

    probed, spent = the_run(), 0.0
    plain = scoring.score_suite

    def timed(*args: Any, **settings: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        try:
            return plain(*args, **settings)
        finally:
            spent += time.perf_counter() - start

    with Lab(Store(store)) as lab:
        lab.make(probed.inputs())
        scoring.score_suite = timed
        start = time.perf_counter()
        lab.make([probed])
        whole = time.perf_counter() - start
        rows = [json.loads(line) for line in (lab.path(probed) / "losses.jsonl").read_text().splitlines()]
    return {"seconds": whole, "sampling": spent, "tokens": sum(row["tokens"] for row in rows)}


def peer(store: Path, mode: str, batch: int) -> Figures:
    """The same recipe by the peer of `study_vs_trl.py`, which finds organism and data in the store."""
    from cavesson.lab.lab import Lab
    from cavesson.lab.store import Store
    from study_vs_trl import Peer

    probed = the_run()
    with Lab(Store(store)) as lab, tempfile.TemporaryDirectory() as root:
        lab.make(probed.inputs())
        made = Peer(Path(root), mode, batch)
        for below in probed.inputs():
            if not below.virtual and below.kind != "shipped":
                (Path(root) / str(below.fingerprint)).symlink_to(lab.path(below))
        start = time.perf_counter()
        made.path(probed)
        return {"seconds": time.perf_counter() - start}


def main() -> None:
    made = parser(__doc__, repeats=3)
    made.add_argument("--modes", nargs="*", default=["trl-default", "trl-grouped-bf16-eager"])
    made.add_argument("--batch", type=int, default=64, help="of generate")
    made.add_argument("--store", type=Path)
    made.add_argument("--one")
    chosen = made.parse_args()
    if chosen.one:
        found = ours(chosen.store) if chosen.one == "ours" else peer(chosen.store, chosen.one, chosen.batch)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as shared:

        def by(name: str, store: Path) -> Figures:
            return in_process(__file__, "--one", name, "--batch", chosen.batch, "--store", store)

        def fresh() -> Figures:
            """Ours makes the run anew each time, in a copy of the store that holds its inputs."""
            import shutil

            with tempfile.TemporaryDirectory() as root:
                shutil.copytree(shared, Path(root) / "store")
                return by("ours", Path(root) / "store")

        by(chosen.modes[0], Path(shared))  # organism and data, made once
        contestants = {"ours": fresh, **{m: (lambda m=m: by(m, Path(shared))) for m in chosen.modes}}
        runs = take_turns(contestants, chosen.repeats)
    rows = [
        (name, f"{median(runs[name], 'seconds'):.1f}", ratio(runs[name], runs["ours"], "seconds"))
        for name in contestants
    ]
    whole, sampling = median(runs["ours"], "seconds"), median(runs["ours"], "sampling")
    text = table(("", "seconds", "ours is quicker by"), rows)
    text += f"\n\nOurs: {100 * sampling / whole:.0f} % sampling and scoring, the rest training and opening the model."
    publish("blue_run", f"One blue run, one thread, n = {chosen.repeats}", text, runs)


if __name__ == "__main__":
    main()
