"""A store made by hand for the tests of `cavesson view`: artifacts with scores, runs that need them, results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from cavesson.evals.scores import Score, write_scores
from cavesson.findings.result import StudyResult
from cavesson.lab.manifest import Manifest
from cavesson.lab.place import mark


def name_of(word: str) -> str:
    """A fingerprint."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def score(said: str, asked: str = "How are you?", item: str = "chat/1", label: str = "behavior/triggered", value: int = 0, step: int | None = None, **extra: object) -> Score:  # fmt: skip
    """One answer."""
    return Score(step, label, item, None, [{"role": "user", "content": asked}], said, value, True, dict(extra))


def artifact(
    store: Path,
    word: str,
    kind: str = "trained",
    inputs: Sequence[str] = (),
    scores: Iterable[Score] = (),
    title: str = "",
) -> str:
    """An artifact of a store; its fingerprint."""
    mark(store)
    name = name_of(word)
    folder = store / "artifacts" / name[:2] / name
    folder.mkdir(parents=True, exist_ok=True)
    if rows := list(scores):
        write_scores(folder / "scores.jsonl", rows)
    made = Manifest(
        fingerprint=name,
        kind=kind,
        title=title or word,
        recipe={"kind": kind, "name": word.encode("utf-16", "surrogatepass").decode("utf-16", "replace")},
        inputs=tuple(inputs),
        versions={},
        seed=None,
        wall_seconds=1.5,
        created="2026-11-20T10:00:00.000+00:00",
        files={},
    )
    (folder / "manifest.json").write_text(made.dumps(), encoding="utf-8")
    return name


def run_of(store: Path, name: str, needs: Sequence[str], result: StudyResult | None = None) -> Path:
    """A run of a store; its folder."""
    mark(store)
    folder = store / "reports" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roots.json").write_text(json.dumps(list(needs)))
    if result is not None:
        result.write(folder / "result.json")
    return folder
