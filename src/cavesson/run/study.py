"""Run a study from its config to its report."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cavesson.errors import ConfigError, StoreError
from cavesson.estimate import Estimate
from cavesson.findings.result import StudyResult
from cavesson.lab import disk
from cavesson.lab.executors import executor_named
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan
from cavesson.lab.progress import Display, Silent
from cavesson.lab.show.trackers import Displays, tracker_named
from cavesson.lab.show.written import NAME, Written
from cavesson.lab.store import Store
from cavesson.run.under_way import Finished, Run, say
from cavesson.run.until_decided import goes_on, until_decided
from cavesson.studies.grid import recipes_of
from cavesson.studies.resolve import Resolved
from cavesson.studies.starts import starts_of
from cavesson.studies.titles import titles


def plan_study(resolved: Resolved, store: Store) -> Plan:
    """The plan of a study: the artifacts that a run would make, and those in the store already. Makes nothing."""
    with Lab(store) as lab:
        cells = resolved.cells
        lab.called.update(titles(cells))
        first = starts_of(cells) if resolved.study.takes is not None else []
        return lab.plan(recipes_of([*first, *cells]))


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
    budget: float | None = None,
) -> Finished:
    """Make the artifacts of a study, analyse them and write the report.

    The report is in the store (`reports/<study>-<preset>-<digits>/`) together with `result.json` and the resolved
    `study.yaml`; garbage collection keeps all artifacts of the report. An interrupted run goes on where it was.

    With `seeds: auto`, seeds are added until all claims are decided, the budget is used, or the last look has been taken.

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
        budget: seconds that this call may take, for `seeds: auto`; None: no limit.

    Raises:
        CavessonError: something is wrong that the user can repair; the message says how.
        Stopped: the user asked to stop; the same call goes on where it was.
    """
    refuse_in_vain(resolved, budget, executor, track)
    store = store or Store()
    if out is not None:
        check_out(out, make=True)
    name = _report_name(resolved)
    trackers = {kind: tracker_named(kind)(out or store.report(name), name) for kind in track}
    displays = Displays(display or Silent(), {**trackers, NAME: Written(store.report(name))}, say)
    with Lab(store, workers, displays, executor) as lab:
        run = Run(lab, name, command or _command(resolved))
        run.check(run.recipes(resolved))  # first of all: a refused study leaves no trace in the store
        for kind, tracker in trackers.items():
            say(f"track  {kind}: {tracker.place}")
        finished = until_decided(run, resolved, budget) if goes_on(resolved) else run.finish(resolved)
        displays.found(_figures(finished.result))
    return finished if out is None else replace(finished, report=_copy(finished.report, out))


def refuse_in_vain(
    resolved: Resolved, budget: float | None, executor: str = "local", track: Sequence[str] = ()
) -> None:
    """Refuse what cannot do what it says.

    Raises:
        ConfigError: there is no such executor or tracker; or there is a budget and a fixed number of seeds; or seeds are to be
            added to a study without claims, or to a grid without seeds.
    """
    executor_named(executor)
    for kind in track:
        tracker_named(kind)
    if not goes_on(resolved):
        if budget is not None:
            raise ConfigError(
                "--budget limits how many seeds are added, so it goes with --seeds auto alone.", "Add --seeds auto."
            )
        return
    study, config = resolved.study, resolved.config
    if not study.claims:
        raise ConfigError(
            f"The study {study.name!r} has no claims that seeds could decide.", "Give a number of seeds: --seeds 5."
        )
    lacking = set(config.seeds) - {cell.seed for cell in resolved.cells}
    if lacking:
        raise ConfigError(
            f"The grid of the study {study.name!r} has no cell for seed {min(lacking)}, so more seeds would add nothing.",
            "Let the grid give a Cell for each of `config.seeds`.",
        )


# ----------------------------------------------------------------------------------------------- names, figures and copies


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


def _report_name(resolved: Resolved) -> str:
    """The name of the report's folder: one for each study, preset and set of recipes, so a run overwrites only its own.

    All looks of one study have one folder, that of the first look's recipes.
    """
    looks = resolved.config.looks
    if looks is not None:
        resolved = replace(resolved, config=resolved.config.at_look(1))
    digits = hashlib.sha256("".join(sorted(recipe.fingerprint for recipe in resolved.recipes)).encode()).hexdigest()[:8]
    return f"{resolved.study.name.lower()}-{resolved.preset}-{'' if looks is None else 'auto-'}{digits}"


def _command(resolved: Resolved) -> str:
    return f"cavesson run {resolved.named} --preset {resolved.preset}"


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


def check_out(folder: Path, *, make: bool = False) -> None:
    """Refuse a folder for the copy that cannot be written now rather than after an hour's work; `make`: make it as well.

    Raises:
        ConfigError: it cannot.
    """
    try:
        disk.check_writable(folder)
        if make:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".cavesson-probe"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"--out {folder} cannot be written: {error.strerror}.", "Name a folder of your own."
        ) from error
