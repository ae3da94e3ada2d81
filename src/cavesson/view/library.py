"""All runs of some folders: what is on disk, kept in step with the index by one thread in the background."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from cavesson.errors import CavessonError, ConfigError
from cavesson.findings.result import StudyResult
from cavesson.findings.tally import told
from cavesson.lab import manifest as manifests
from cavesson.lab.manifest import Damaged, Manifest
from cavesson.view.answers import answers_in_result, answers_in_scores, has_scores, model_named
from cavesson.view.index import VERSION, Index, Source
from cavesson.view.runs import (
    RESULT,
    Progress,
    RunFolder,
    State,
    StoreWatch,
    find_runs,
    needs_of,
    progress_of,
    state_of,
)

FRESH = 1.5
"""Seconds for which what was seen on disk is taken as it is."""
PAUSE = 4.0
"""Seconds between two looks of the thread in the background."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list says of a run's result; all empty: it was not read yet.

    Attributes:
        created: ISO 8601, with time zone.
        seeds: number of seeds.
        claims: how the claims came out, in words.
        problem: why the result cannot be read.
    """

    study: str = ""
    preset: str = ""
    title: str = ""
    headline: str = ""
    created: str = ""
    seeds: int = 0
    claims: str = ""
    problem: str = ""

    @classmethod
    def of(cls, result: StudyResult) -> Summary:
        """The summary of a result."""
        environment, claims = result.environment, told(result.claims) if result.claims else ""
        created, seeds = environment.created.isoformat(), len(environment.seeds)
        return cls(result.study, result.preset, result.title, result.headline[0], created, seeds, claims)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in the list.

    Attributes:
        summary: what the index knows of the run's result.
    """

    run: RunFolder
    state: State
    progress: Progress | None
    summary: Summary

    @property
    def study(self) -> str:
        """Name of the study; of a run without a result, what stands before the preset in the folder's name."""
        return self.summary.study or self.run.name.rsplit("-", 2)[0]


class Library:
    """The runs below some folders.

    Args:
        roots: the folders.
        cache: where the index is kept.
    """

    def __init__(self, roots: Sequence[Path], cache: Path) -> None:
        self.roots = tuple(roots)
        name = hashlib.sha256(b"\0".join(map(os.fsencode, self.roots))).hexdigest()[:16]
        self.index = Index(cache / f"{name}-{VERSION}.sqlite")
        self.watches: dict[Path, StoreWatch] = {}
        self.left = 0
        """Sources that are still to be read."""
        self._lock, self._stopping = Lock(), Event()
        self._seen, self._runs = 0.0, list[RunFolder]()
        self._needs: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._scored: dict[Path, bool] = {}

    # --- what there is

    def runs(self) -> list[RunFolder]:
        """All runs, as they were on disk at most `FRESH` seconds ago."""
        with self._lock:
            if time.monotonic() - self._seen > FRESH:
                self._runs = find_runs(self.roots)
                stores = {run.store for run in self._runs if run.store is not None} | set(self._stores_given())
                self.watches = {root: self.watches.get(root) or StoreWatch(root) for root in stores}
                for watch in self.watches.values():
                    watch.look()
                self._seen = time.monotonic()
            return self._runs

    def listed(self) -> list[Listed]:
        """All runs with state and summary: those under way first, then the newest first."""
        runs, summaries = self.runs(), self.index.summaries()
        in_use = {root: watch.in_use() for root, watch in self.watches.items()}
        found = [self._listed(run, in_use.get(run.store, {}) if run.store else {}, summaries) for run in runs]
        return sorted(found, key=lambda one: (one.state == "under way", _newest(one.run)), reverse=True)

    def one(self, key: str) -> Listed | None:
        """The run of a key; None: there is no such run."""
        return next((one for one in self.listed() if one.run.key == key), None)

    def needs(self, run: RunFolder) -> tuple[str, ...]:
        """The fingerprints that a run needs."""
        stamp, needs = self._needs.get(run.key, ("", ()))
        if stamp != run.stamp:
            needs = needs_of(run)
            self._needs[run.key] = (run.stamp, needs)
        return needs

    def manifest(self, fingerprint: str) -> Manifest | None:
        """The manifest of an artifact in one of the stores; None: no store has it, or it cannot be read."""
        for watch in self.watches.values():
            try:
                return manifests.read(watch.path(fingerprint))
            except (OSError, Damaged, CavessonError):
                continue
        return None

    # --- keeping the index in step

    def begin(self) -> None:
        """Read what is new, again and again, in the background."""
        Thread(target=self._keep_on, daemon=True, name="index").start()

    def end(self) -> None:
        """Stop reading."""
        self._stopping.set()

    def refresh(self) -> None:
        """Bring the index in step with what is on disk; what is read is searchable at once."""
        if not self.index.path.exists():  # the cache of the store was emptied
            self.index.ensure()
        runs = sorted(self.runs(), key=_newest, reverse=True)
        summaries, held = self.index.summaries(), self.index.held()
        wanted: dict[str, tuple[Source, RunFolder]] = {}
        of_run: dict[str, frozenset[str]] = {}
        for run in runs:
            sources = self._sources(run)
            wanted.update({source.path: (source, run) for source in sources if source.path not in wanted})
            of_run[run.key] = frozenset(source.path for source in sources)
        stamps = self.index.stamps()
        if gone := stamps.keys() - wanted.keys():
            self.index.drop(gone)
        todo = {path for path, (source, _) in wanted.items() if stamps.get(path) != source.stamp}
        self.left = len(todo)
        for run in runs:
            if self._stopping.is_set():
                return
            result, problem = self._summarised(run, summaries)
            called = called_in(result) if result is not None else {}
            for path in sorted(of_run[run.key] & todo):
                self._read(wanted[path][0], run, result, called, problem)
                todo.discard(path)
                self.left = len(todo)
            if held.get(run.key, frozenset()) != of_run[run.key]:
                self.index.hold(run.key, of_run[run.key])
            if called:
                self._name(run, of_run[run.key], called)

    # --- within

    def _keep_on(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh()
            except (
                OSError,
                CavessonError,
                sqlite3.Error,
            ):  # a folder that went away, a disk that is full: look again later
                self.left = 0
            self._stopping.wait(PAUSE)

    def _stores_given(self) -> Iterable[Path]:
        return (root for root in self.roots if (root / "artifacts").is_dir())

    def _listed(
        self, run: RunFolder, in_use: dict[str, str], summaries: Mapping[str, tuple[str, dict[str, Any]]]
    ) -> Listed:
        stamp, kept = summaries.get(run.key, ("", {}))
        summary, progress = Summary(**kept) if stamp == run.stamp else Summary(), None
        if run.store is not None and (watch := self.watches.get(run.store)) is not None:
            progress = progress_of(run, self.needs(run), watch, in_use)
        return Listed(run, state_of(run, progress, not summary.problem), progress, summary)

    def _sources(self, run: RunFolder) -> list[Source]:
        """Where the answers of a run are: the scores in its store, else the transcripts of its result."""
        watch = self.watches.get(run.store) if run.store is not None else None
        if watch is not None:
            folders = [(watch.path(name), watch.there[name]) for name in self.needs(run) if name in watch.there]
            if scored := [Source(str(folder), str(stamp)) for folder, stamp in folders if self._has_scores(folder)]:
                return scored
        return [Source(str(run.folder / RESULT), run.stamp)] if run.has_result else []

    def _has_scores(self, folder: Path) -> bool:
        if folder not in self._scored:
            self._scored[folder] = has_scores(folder)
        return self._scored[folder]

    def _summarised(
        self, run: RunFolder, summaries: Mapping[str, tuple[str, dict[str, Any]]]
    ) -> tuple[StudyResult | None, str | None]:
        """The result of a run whose summary is older than it, and what is wrong with it; neither if the summary is up to date."""
        if not run.has_result or summaries.get(run.key, ("", {}))[0] == run.stamp:
            return None, None
        try:
            result = StudyResult.read(run.folder / RESULT)
        except ConfigError as error:
            self.index.summarise(run.key, run.stamp, asdict(Summary(problem=error.problem)), {})
            return None, error.problem
        self.index.summarise(run.key, run.stamp, asdict(Summary.of(result)), called_in(result))
        return result, None

    def _read(
        self, source: Source, run: RunFolder, result: StudyResult | None, called: Mapping[str, str], problem: str | None
    ) -> None:
        path = Path(source.path)
        try:
            if path.name == RESULT:
                shown = result if result is not None or problem else StudyResult.read(path)
                self.index.put(source, answers_in_result(shown) if shown is not None else (), problem)
            else:
                self.index.put(source, answers_in_scores(path, model_named(manifests.read(path), called)))
        except (OSError, Damaged, CavessonError) as error:
            self.index.put(source, (), getattr(error, "problem", str(error)))

    def _name(self, run: RunFolder, paths: Iterable[str], called: Mapping[str, str]) -> None:
        """Call the models of a run as its study calls them."""
        found = {path: self.manifest(Path(path).name) for path in paths if called.get(Path(path).name)}
        self.index.rename({path: model_named(one, called) for path, one in found.items() if one is not None})


def called_in(result: StudyResult) -> dict[str, str]:
    """What a study calls its artifacts, by fingerprint."""
    return {view.fingerprint: view.called for view in result.recipes if view.called}


def _newest(run: RunFolder) -> int:
    return max(int(stamp) for stamp in run.stamp.split("-"))
