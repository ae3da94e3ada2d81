"""Run a study from its config to its report: the function behind `cavesson run`."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cavesson.errors import ConfigError, StoreError
from cavesson.findings.about import about
from cavesson.findings.result import StudyResult
from cavesson.lab import disk
from cavesson.lab.lab import Lab
from cavesson.lab.progress import Display, Silent
from cavesson.lab.recipe import Recipe
from cavesson.lab.show.trackers import Displays, tracker_named
from cavesson.lab.store import Store
from cavesson.stats import Estimate
from cavesson.studies.report import report as report_of
from cavesson.studies.resolve import Resolved
from cavesson.training.preflight import preflight

if TYPE_CHECKING:
    from cavesson.lab.plan import Plan


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished study.

    Attributes:
        result: what the study found.
        report: path of the report.
        made: number of artifacts that this run had to make.
        unwritten: why the report could not be written; `report` is then the report of an earlier run. This happens only if no
            artifact had to be made.
    """

    result: StudyResult
    report: Path
    made: int
    unwritten: StoreError | None = None


def plan_study(resolved: Resolved, store: Store) -> Plan:
    """The plan of a study: the artifacts that a run would make, and those in the store already. Makes nothing."""
    with Lab(store) as lab:
        return lab.plan(resolved.study.recipes(resolved.config))


def run_study(
    resolved: Resolved,
    store: Store | None = None,
    *,
    workers: int | Literal["auto"] = "auto",
    display: Display | None = None,
    executor: str = "local",
    track: Sequence[str] = (),
    out: Path | None = None,
    command: str | None = None,
) -> Finished:
    """Make the artifacts of a study, analyse them and write the report.

    The report is in the store (`reports/<study>-<preset>-<digits>/`) together with `result.json` and the resolved
    `study.yaml`; garbage collection keeps all artifacts of the report. An interrupted run goes on where it was.

    Args:
        resolved: the config, from `cavesson.studies.resolve.resolve`.
        store: the store of the artifacts; None: the default store.
        workers: number of processes that make artifacts.
        display: shows progress; None shows nothing.
        executor: makes the artifacts: a name in `cavesson.lab.executors.EXECUTORS`, or a user's own (`file.py:NAME`).
        track: trackers, by their names in `cavesson.lab.show.trackers.TRACKERS` or a user's own. They write into `out`, or else
            into the report's folder. A tracker that fails does not stop the run.
        out: a further folder for a copy of the report; if copying fails, the report is still in the store.
        command: the command line that the report shows for running the study again.

    Raises:
        CavessonError: something is wrong that the user can repair; the message says how.
        Stopped: the user asked to stop; the same call goes on where it was.
    """
    store = store or Store()
    out = _make_folder(out) if out is not None else None
    recipes = resolved.study.recipes(resolved.config)
    name = _report_name(resolved, recipes)
    trackers = {kind: tracker_named(kind)(out or store.report(name), name) for kind in track}
    displays = Displays(display or Silent(), trackers, _say)
    with Lab(store, workers, displays, executor) as lab:

        def checked(wanted: Sequence[Recipe]) -> set[str]:
            plan = lab.plan(wanted)
            to_make = plan.to_make
            if to_make:
                lab.check(plan)
                preflight([stage.recipe for stage in to_make], lab.workers)
            return {stage.fingerprint for stage in to_make}

        missing = checked(recipes)  # first of all: a refused study leaves no trace in the store
        folder = store.keep(name, recipes)  # before making anything, so that `gc` keeps an interrupted study too
        for kind, tracker in trackers.items():
            _say(f"track  {kind}: {tracker.place}")
        if resolved.study.grow is not None:
            missing = set()  # some recipes of the config before `grow` are never made

            def make(wanted: Sequence[Recipe]) -> None:
                missing.update(checked(wanted))
                lab.make(wanted)

            resolved = replace(resolved, config=resolved.study.grow(resolved.config, make, lab.path))
            recipes = resolved.study.recipes(resolved.config)
            store.keep(name, recipes)
            missing |= checked(recipes)
        lab.make(recipes)
        origin = about(
            resolved.view(),
            resolved.config.seeds,
            recipes,
            store,
            made=frozenset(missing),
            command=command or _command(resolved),
        )
        result = report_of(resolved, lab.path, origin)
        displays.found(_figures(result))
    report, unwritten = folder / "report.html", None
    try:
        _write(result, resolved, folder)
    except StoreError as error:
        if missing or not report.is_file():
            raise
        unwritten = error
    if out is not None:
        report = _copy(report, out)
    return Finished(result, report, len(missing), unwritten)


def _say(line: str) -> None:
    """Print a line to standard error, because standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def _figures(result: StudyResult) -> dict[str, Estimate]:
    """The headline figures for trackers: the figures of the first table, and our figure for each published statement."""
    table = {
        f"{row[0]}: {column}": cell
        for table in result.tables[:1]
        for row in table.rows
        for column, cell in zip(table.columns, row, strict=True)
        if isinstance(cell, Estimate)
    }
    return table | {claim.id: claim.ours for claim in result.claims if claim.ours is not None}


def _report_name(resolved: Resolved, recipes: Sequence[Recipe]) -> str:
    """The name of the report's folder: one for each study, preset and set of recipes, so a run overwrites only its own."""
    digits = hashlib.sha256("".join(sorted(recipe.fingerprint for recipe in recipes)).encode()).hexdigest()[:8]
    return f"{resolved.study.name.lower()}-{resolved.preset}-{digits}"


def _command(resolved: Resolved) -> str:
    return f"cavesson run {resolved.named} --preset {resolved.preset}"


def _write(result: StudyResult, resolved: Resolved, folder: Path) -> None:
    from cavesson.report import write

    result.write(folder / "result.json")
    with disk.writing(folder):
        disk.write_whole(folder / "study.yaml", resolved.to_yaml())
    write(result, folder)


def _copy(report: Path, out: Path) -> Path:
    """Copy the report, with all files beside it, to another folder; returns the path of the copy."""
    try:
        shutil.copytree(report.parent, out, dirs_exist_ok=True)
    except OSError as error:  # shutil.Error lists what failed: (from, to, why)
        failed = error.args[0] if isinstance(error, shutil.Error) else None
        reason = failed[0][2] if isinstance(failed, list) and failed else error.strerror or error
        raise StoreError(
            f"The report cannot be copied to {out}: {reason}.",
            f"The report is finished, and in the store: {report}. Free some space and copy it, or name another --out.",
        ) from error
    return out / report.name


def _make_folder(folder: Path) -> Path:
    """Make the folder for the copy, and refuse an unwritable folder now rather than after an hour's work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".cavesson-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"--out {folder} cannot be written: {error.strerror}.", "Name a folder of your own."
        ) from error
    return folder
