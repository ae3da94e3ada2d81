"""Run a study from its config to its report: the function behind `cavesson run`."""

from __future__ import annotations

import hashlib
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cavesson.errors import CavessonError, ConfigError, Stopped, StoreError
from cavesson.findings.about import about
from cavesson.findings.result import StudyResult
from cavesson.lab import disk
from cavesson.lab.lab import Lab
from cavesson.lab.plan import Plan, duration
from cavesson.lab.progress import Display, Silent
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.show.trackers import Displays, tracker_named
from cavesson.lab.store import Store
from cavesson.stats import Estimate, spending
from cavesson.studies.config import Looks
from cavesson.studies.grid import recipes_of
from cavesson.studies.looks import MARGIN, Cost, at_the_look, cost, counted, left_over, schedule_note
from cavesson.studies.report import report as report_of
from cavesson.studies.resolve import Resolved
from cavesson.training.preflight import preflight


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


def schedule(resolved: Resolved, store: Store) -> list[str]:
    """The looks of a study with `seeds: auto` in words, with the time that each takes as far as it is known; else nothing."""
    looks = resolved.config.looks
    if looks is None or not _goes_on(resolved):
        return []
    lines, before = [], set[str]()
    with Lab(store) as lab:
        for look, seeds in enumerate(looks.at, 1):
            now = replace(resolved, config=resolved.config.at_look(look))
            stages = [
                one for one in lab.plan(resolved.study.recipes(now.config)).to_make if one.fingerprint not in before
            ]
            before |= {stage.fingerprint for stage in stages}
            known = [stage.seconds for stage in stages if stage.seconds is not None]
            time_for = f"about {duration(sum(known))} of work" if len(known) == len(stages) else "time not known yet"
            todo = f"{len(stages)} artifacts to make, {time_for}" if stages else "all there"
            lines.append(f"look {look} of {len(looks.at)}: {seeds} seeds, intervals at {looks.level}: {todo}")
    return [*lines, "It stops at the first look that leaves no statement undecided."]


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
    refuse_in_vain(resolved, budget)
    store = store or Store()
    out = _make_folder(out) if out is not None else None
    name = _report_name(resolved)
    trackers = {kind: tracker_named(kind)(out or store.report(name), name) for kind in track}
    displays = Displays(display or Silent(), trackers, _say)
    with Lab(store, workers, displays, executor) as lab:
        run = _Run(lab, name, command or _command(resolved))
        run.check(resolved.study.recipes(resolved.config))  # first of all: a refused study leaves no trace in the store
        for kind, tracker in trackers.items():
            _say(f"track  {kind}: {tracker.place}")
        finished = _until_decided(run, resolved, budget) if _goes_on(resolved) else run.finish(resolved)
        displays.found(_figures(finished.result))
    return finished if out is None else replace(finished, report=_copy(finished.report, out))


def refuse_in_vain(resolved: Resolved, budget: float | None) -> None:
    """Refuse what cannot do what it says.

    Raises:
        ConfigError: there is a budget and a fixed number of seeds; or seeds are to be added to a study without claims, or to a
            grid without seeds.
    """
    if not _goes_on(resolved):
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
    lacking = set(config.seeds) - {cell.seed for cell in study.cells(config)}
    if lacking:
        raise ConfigError(
            f"The grid of the study {study.name!r} has no cell for seed {min(lacking)}, so more seeds would add nothing.",
            "Let the grid give a Cell for each of `config.seeds`.",
        )


def _goes_on(resolved: Resolved) -> bool:
    """Whether seeds are to be added until the claims are decided."""
    return resolved.config.looks is not None and resolved.config.looks.look is None


class _Run:
    """A study under way in a lab."""

    def __init__(self, lab: Lab, name: str, command: str) -> None:
        self.lab = lab
        self.name = name
        self.command = command
        self.made: set[str] = set()

    def check(self, recipes: Sequence[Recipe]) -> set[str]:
        """Look at what is missing before any of it is made; the fingerprints of what is missing."""
        plan = self.lab.plan(recipes)
        to_make = plan.to_make
        if to_make:
            self.lab.check(plan)
            preflight([stage.recipe for stage in to_make], self.lab.workers)
        return {stage.fingerprint for stage in to_make}

    def make_artifacts(self, recipes: Sequence[Recipe]) -> None:
        """Make what is missing; an artifact depends on its recipe alone, not on the level of the analysis that asks for it."""
        with spending(1.0, ""):
            self.lab.make(recipes)

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished artifact; a damaged one is made first."""
        with spending(1.0, ""):
            return self.lab.path(recipe)

    def make(self, resolved: Resolved) -> Resolved:
        """Make everything that a study needs; the study as it has grown."""
        with at_the_look(resolved.config):
            recipes = resolved.study.recipes(resolved.config)
            missing = self.check(recipes)
            self.lab.store.keep(self.name, recipes)  # before making, so that `gc` keeps an interrupted study too
            if resolved.study.grow is not None:
                missing = set()  # some recipes of the config before `grow` are never made

                def make(wanted: Sequence[Recipe]) -> None:
                    missing.update(self.check(wanted))
                    self.make_artifacts(wanted)

                resolved = replace(resolved, config=resolved.study.grow(resolved.config, make, self.path))
                recipes = resolved.study.recipes(resolved.config)
                self.lab.store.keep(self.name, recipes)
                missing |= self.check(recipes)
            self.made |= missing
            self.make_artifacts(recipes)
        return resolved

    def found(self, resolved: Resolved) -> StudyResult:
        """What a study whose artifacts are made has found."""
        origin = about(
            resolved.view(),
            resolved.config.seeds,
            resolved.study.recipes(resolved.config),
            self.lab.store,
            made=frozenset(self.made),
            command=self.command,
        )
        return report_of(resolved, self.path, origin)

    def write(self, resolved: Resolved, result: StudyResult) -> Finished:
        """Write the report."""
        folder = self.lab.store.report(self.name)
        report, unwritten = folder / "report.html", None
        try:
            _write(result, resolved, folder)
        except StoreError as error:
            if self.made or not report.is_file():
                raise
            unwritten = error
        return Finished(result, report, len(self.made), unwritten)

    def cost(self, resolved: Resolved) -> Cost | None:
        """What the seeds of a study cost that are not finished; None if none is finished."""
        cells = resolved.study.cells(resolved.config)
        recipes = recipes_of(cells)
        missing = {stage.fingerprint for stage in self.lab.plan(recipes).to_make}
        return cost(cells, self.seconds_of(recipes), missing)

    def seconds_of(self, recipes: Sequence[Recipe]) -> dict[str, float]:
        """The time of making each artifact that is in the store, inputs included, by fingerprint."""
        store = self.lab.store
        found = [recipe for recipe in lineage(*recipes) if not recipe.virtual and store.has(recipe)]
        return {recipe.fingerprint: store.manifest(recipe).wall_seconds for recipe in found}

    def finish(self, resolved: Resolved) -> Finished:
        """Make, analyse and write."""
        resolved = self.make(resolved)
        return self.write(resolved, self.found(resolved))


# ----------------------------------------------------------------------------------------------- seeds until decided


def _until_decided(run: _Run, resolved: Resolved, budget: float | None) -> Finished:
    """Look after look, until nothing is left to decide or the budget does not reach the next look.

    Every look overwrites the report of the look before, so a run that is killed leaves the report of its last look.

    Raises:
        CavessonError: the budget does not reach the first look.
    """
    looks, clock = _looks(resolved), _Clock(run, budget)
    if budget is not None:
        _reach_the_first_look(clock, replace(resolved, config=resolved.config.at_look(1)))
    made, finished = resolved, None
    for look, seeds in enumerate(looks.at, 1):
        try:
            with clock.making():
                made = run.make(replace(resolved, config=resolved.config.at_look(look)))
        except Stopped:
            if not clock.is_up:
                raise
            late = f"the budget of {duration(clock.budget)} ended before all of {seeds} seeds were made"
            if finished is None:
                raise CavessonError(f"There was no look: {late}.", _NO_LOOK) from None
            return _stop(run, made, finished.result, late)
        result = run.found(made)
        why = left_over(result.claims) or _nothing_further(looks, look)
        ahead = None
        if why is None:
            more = looks.at[look] - seeds
            ahead = clock.foretold(replace(made, config=made.config.at_look(look + 1)))
            why = clock.refusal(ahead, f"{more} more seeds")
            following = f"{more} more seeds follow{'' if ahead is None else f', about {duration(ahead)}'}"
        said = following if why is None else f"stopped: {why}"
        _say(f"look {look} of {len(looks.at)}: {seeds} seeds; {counted(result.claims)}; {said}")
        if why is not None:
            return _stop(run, made, result, why)
        finished = run.write(made, result)
        clock.looked()
    raise AssertionError("the last look ends a study")


_NO_LOOK = (
    "Give a longer --budget, or a number of seeds (--seeds 5). The same command goes on with what is in the store."
)


def _reach_the_first_look(clock: _Clock, resolved: Resolved) -> None:
    """See whether the budget reaches the first look; where nothing is known of a seed's cost, the first seed shows it.

    Raises:
        CavessonError: the budget does not reach the first look.
    """
    looks, config = _looks(resolved), resolved.config
    ahead = clock.foretold(resolved)
    if ahead is None:
        one = config.model_copy(update={"seeds": config.seeds[:1], "looks": None})
        try:
            with clock.making():
                made = clock.run.make(replace(resolved, config=one))
        except Stopped:
            if not clock.is_up:
                raise
            raise CavessonError(
                f"The budget of {duration(clock.budget)} ended with the first seed.", _NO_LOOK
            ) from None
        all_seeds = {"seeds": config.seeds, "looks": config.looks}
        ahead = clock.foretold(replace(made, config=made.config.model_copy(update=all_seeds)))
    why = clock.refusal(ahead, f"the {looks.at[0]} seeds of the first look")
    if why is not None:
        raise CavessonError(f"There was no look: {why}.", _NO_LOOK)


def _looks(resolved: Resolved) -> Looks:
    assert resolved.config.looks is not None, "the seeds of this study are fixed"
    return resolved.config.looks


def _nothing_further(looks: Looks, look: int) -> str | None:
    return "no further look was planned" if look == len(looks.at) else None


def _stop(run: _Run, resolved: Resolved, result: StudyResult, why: str) -> Finished:
    """Write the report of the last look, with the reason for which it is the last; the stored study file has it too."""
    looks = _looks(resolved).model_copy(update={"why": why})
    resolved = replace(resolved, config=resolved.config.model_copy(update={"looks": looks}))
    note = schedule_note(looks)
    told = result.model_copy(update={"config": resolved.view(), "notes": [note, *result.notes[1:]]})
    return run.write(resolved, told)


class _Clock:
    """The time of a run that adds seeds, and what more seeds would take."""

    def __init__(self, run: _Run, budget: float | None) -> None:
        self.run = run
        self.budget = math.inf if budget is None else budget
        self._started = time.monotonic()
        self._making = self._work = 0.0  # seconds of making, and of the work on single cores that was done meanwhile
        self._made = self._started  # the end of the last making
        self._analysis = 0.0  # seconds of the last analysis

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.budget - (time.monotonic() - self._started)

    @property
    def is_up(self) -> bool:
        """Whether it is too late to make anything and report on it."""
        return self.left <= self._analysis

    @contextmanager
    def making(self) -> Iterator[None]:
        """Stops the lab when the budget is used, and measures how fast the lab works."""
        lab, before, start = self.run.lab, set(self.run.made), time.monotonic()
        lab.until = None if math.isinf(self.budget) else start + max(self.left - self._analysis, 0.0)
        try:
            yield
        finally:
            lab.until = None
        self._made = time.monotonic()
        self._making += self._made - start
        self._work += sum(self.run.lab.store.manifest(name).wall_seconds for name in self.run.made - before)

    def looked(self) -> None:
        """Note that the report of a look is written."""
        self._analysis = time.monotonic() - self._made

    def foretold(self, resolved: Resolved) -> float | None:
        """Seconds until the report on these seeds, from what the finished seeds took; None: no seed is finished."""
        found = self.run.cost(resolved)
        if found is None:
            return None
        rate = self._making / self._work if self._work > 1 else 1 / self.run.lab.workers
        return MARGIN * found.left * rate + max(self._analysis, time.monotonic() - self._made if self._making else 0.0)

    def refusal(self, ahead: float | None, what: str) -> str | None:
        """Why the budget does not reach that far; None if it does, as far as is known."""
        if ahead is None or ahead <= self.left:
            return None
        have = f"the budget of {duration(self.budget)} has {duration(max(self.left, 0.0))} left"
        return f"{what} would take about {duration(ahead)}, and {have}"


# ----------------------------------------------------------------------------------------------- words and files


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


def _report_name(resolved: Resolved) -> str:
    """The name of the report's folder: one for each study, preset and set of recipes, so a run overwrites only its own.

    All looks of one study have one folder, that of the first look's recipes.
    """
    config, looks = resolved.config, resolved.config.looks
    if looks is not None:
        config = config.at_look(1)
    recipes = resolved.study.recipes(config)
    digits = hashlib.sha256("".join(sorted(recipe.fingerprint for recipe in recipes)).encode()).hexdigest()[:8]
    return f"{resolved.study.name.lower()}-{resolved.preset}-{'' if looks is None else 'auto-'}{digits}"


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
