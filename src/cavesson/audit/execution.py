"""Running the experiment of a codebase: each seed runs once, in the sandbox.

The output of a run is kept below the store, under a digest of the workspace's content, the command and the versions of
all packages that the code imports: no run is made twice, whichever auditor, mutant or check asks for the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any, Protocol

from cavesson.audit.records import read_json
from cavesson.audit.sandbox.protocol import DamagedAnswer, Limits, Sandbox
from cavesson.audit.workspace import files_of, inside, read_text
from cavesson.errors import CavessonError, ConfigError
from cavesson.lab.place import default_root
from cavesson.lines import parse_json

RUN_LIMITS = Limits(cpu_s=60, wall_s=120, memory_mb=2048, processes=64, output_bytes=200_000, disk_mb=128)
"""Limits of one run; one seed of a built-in codebase takes some seconds."""

OUT = "_out"
"""The folder into which a run writes, below the workspace."""

_KEPT = (".json", ".csv", ".jsonl")
_MAX_KEPT = 2_000_000
_MAX_IN_ALL = 40_000_000
_MAX_FILES = 1_000
"""Bytes of one table of a run that is kept, of all its tables, and their number; a larger table is left out."""

_WORD = re.compile(r"[A-Za-z_]\w*")
_REQUIRED = re.compile(r"[\w.-]+")


class Runnable(Protocol):
    """A case that says how its experiment is run: a `Case`, or the `AuditCase` that an auditor sees."""

    @property
    def run(self) -> str | None:
        """The command of one seed, with `{seed}` and `{out}`."""
        ...

    @property
    def results(self) -> str:
        """The file below `{out}` that holds the numbers of a run."""
        ...


class RunFailed(CavessonError):
    """An experiment did not end with results."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run left behind.

    Attributes:
        results: the content of `results.json`.
        files: the other small tables of the run (predictions), by name below `{out}`.
        stdout: what the run printed.
        seconds: duration of the run when the run was made.
    """

    results: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    stdout: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One run for `run_many`: the arguments of `experiment`."""

    folder: Path
    case: Runnable
    seed: int
    overrides: Mapping[str, str] = field(default_factory=dict)


class RunCache:
    """Runs by their digest, in a folder: `audit/runs` below the store unless another is named."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_root() / "audit" / "runs"

    def get(self, key: str) -> dict[str, Any] | None:
        """The run under a key, or None; a damaged entry counts as missing."""
        try:
            kept = parse_json(self._path(key).read_bytes())
        except (OSError, ValueError):
            return None
        return (
            kept
            if isinstance(kept, dict) and {"failure", "results", "files", "stdout", "seconds"} <= set(kept)
            else None
        )

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a run; readers see the whole run or nothing."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        half.write_text(json.dumps(value), encoding="utf-8")
        half.replace(path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def experiment(
    folder: Path,
    case: Runnable,
    seed: int,
    sandbox: Sandbox,
    *,
    overrides: Mapping[str, str] | None = None,
    limits: Limits = RUN_LIMITS,
    cache: RunCache | None = None,
) -> Outcome:
    """Run one seed of a workspace.

    Args:
        folder: the workspace; it is not changed.
        overrides: texts that replace files of the workspace for this run (relative path → content).
        cache: where runs are kept; by default the cache in the store.

    Raises:
        RunFailed: the program failed, was killed at a limit, or left no results.
        ConfigError: the bench does not say how the codebase is run.
    """
    if case.run is None:
        raise ConfigError("The bench does not say how this codebase is run.", "Add the key run to its rubric.")
    changed = {inside(name): text for name, text in (overrides or {}).items()}
    cache = cache or RunCache()
    key = _key(folder, case.run, seed, changed, sandbox)
    kept = cache.get(key)
    if kept is None:
        kept, lasting = _run(folder, case, seed, changed, sandbox, limits)
        if lasting:
            cache.put(key, kept)
    if kept["failure"] is not None:
        raise RunFailed(f"The run of seed {seed} failed: {kept['failure']}", "Run its command by hand to see more.")
    return Outcome(kept["results"], kept["files"], kept["stdout"], kept["seconds"])


def run_many(
    jobs: Sequence[Job],
    sandbox: Sandbox,
    *,
    workers: int | None = None,
    limits: Limits = RUN_LIMITS,
    cache: RunCache | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> list[Outcome | RunFailed]:
    """Run many seeds side by side.

    Args:
        workers: runs at a time; one per processor if None.
        on_done: told after each run how many of how many are done.

    Returns:
        An outcome or a failure for each job, in the order of the jobs.
    """

    def one(job: Job) -> Outcome | RunFailed:
        try:
            return experiment(
                job.folder, job.case, job.seed, sandbox, overrides=job.overrides, limits=limits, cache=cache
            )
        except RunFailed as failure:
            return failure

    done: list[Outcome | RunFailed] = []
    # Threads, not processes: each thread only waits for a sandboxed process of its own.
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        for outcome in pool.map(one, jobs):
            done.append(outcome)
            if on_done is not None:
                on_done(len(done), len(jobs))
    return done


def digest(folder: Path) -> str:
    """A digest of the names and contents of a folder's files."""
    total = hashlib.sha256()
    for name, path in files_of(folder).items():
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _key(folder: Path, run: str, seed: int, overrides: Mapping[str, str], sandbox: Sandbox) -> str:
    parts = [digest(folder), run, seed, sorted(overrides.items()), sandbox.name, platform.python_version()]
    code = [read_text(path) for name, path in files_of(folder).items() if name.endswith(".py")]
    return hashlib.sha256(json.dumps([*parts, *packages_of([*code, *overrides.values()])]).encode()).hexdigest()


def packages_of(texts: Iterable[str]) -> list[str]:
    """The installed packages that code names, and the packages that these require, each as `name==version`.

    Every word that is the name of an installed module counts, in whatever way the code imports the module.
    """
    modules = {word for text in texts for word in _WORD.findall(text)} & _providers().keys()
    waiting = [package for name in modules for package in _providers()[name]]
    found: dict[str, str] = {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # a requirement of another system, or of an extra that is not installed
        found[name] = package.version
        waiting += [
            match.group() for line in package.requires or () if "extra ==" not in line and (match := _REQUIRED.match(line))
        ]  # fmt: skip
    return [f"{name}=={number}" for name, number in sorted(found.items())]


@cache
def _providers() -> Mapping[str, list[str]]:
    """Module → the packages that install it."""
    return packages_distributions()


def _run(
    folder: Path, case: Runnable, seed: int, overrides: Mapping[str, str], sandbox: Sandbox, limits: Limits
) -> tuple[dict[str, Any], bool]:
    """Run one seed, and say whether the outcome lasts: a limit that was hit on a busy machine may not be hit again."""
    assert case.run is not None
    with tempfile.TemporaryDirectory(prefix="cavesson-run-") as place:
        work = Path(place) / "w"
        for name, source in files_of(folder).items():
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        for name, text in overrides.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        (work / OUT).mkdir(exist_ok=True)
        command = [word.replace("{seed}", str(seed)).replace("{out}", OUT) for word in shlex.split(case.run)]
        try:
            ran = sandbox.run(command, work, limits, writable=(OUT,))
        except DamagedAnswer as error:
            return {"failure": error.problem, "results": {}, "files": {}, "stdout": "", "seconds": 0.0}, True
        failure: str | None = None if ran.ok else ran.why()
        results: dict[str, Any] = {}
        files: dict[str, str] = {}
        if failure is None:
            results, failure = _read_results(work / OUT / inside(case.results))
        if failure is None:
            files, failure = _tables(work / OUT, case.results)
        kept = {
            "failure": failure,
            "results": results,
            "files": files,
            "stdout": ran.stdout[-20_000:],
            "seconds": ran.seconds,
        }
        return kept, ran.killed_for is None


def _read_results(path: Path) -> tuple[dict[str, Any], str | None]:
    try:
        results = read_json(path, _MAX_KEPT)
    except OSError:
        return {}, f"the run wrote no {path.name}"
    except ValueError as error:
        return {}, f"{path.name} cannot be used: {error}"
    return (results, None) if isinstance(results, dict) else ({}, f"{path.name} is not a mapping")


def _tables(out: Path, results: str) -> tuple[dict[str, str], str | None]:
    """The small tables of a run, pictures left out; or why there are too many."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file() and path.suffix in _KEPT]
    small = {path: path.stat().st_size for path in paths if path.stat().st_size <= _MAX_KEPT}
    if len(small) > _MAX_FILES or sum(small.values()) > _MAX_IN_ALL:
        return {}, f"it left more than {_MAX_FILES} tables, or {_MAX_IN_ALL:,} bytes of tables"
    names = {path.relative_to(out).as_posix(): path for path in small}
    return {name: read_text(path) for name, path in names.items() if name != results}, None
