"""A study under way in a lab: make its artifacts, analyse them, write the report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cavesson.errors import StoreError
from cavesson.findings.about import about
from cavesson.findings.result import StudyResult
from cavesson.findings.views import WarningView
from cavesson.lab import disk
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe, lineage
from cavesson.sampling.requests import lacking
from cavesson.stats import unspent
from cavesson.studies.grid import recipes_of
from cavesson.studies.looks import Cost, at_the_look, cost
from cavesson.studies.report import files_of
from cavesson.studies.report import report as report_of
from cavesson.studies.resolve import Resolved
from cavesson.studies.starts import Takes, bases_of, looked_at, starts_of, without
from cavesson.studies.titles import titles
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


class Run:
    """A study under way in a lab."""

    def __init__(self, lab: Lab, name: str, command: str) -> None:
        self.lab = lab
        self.name = name
        self.command = command
        self.made: set[str] = set()
        self.warnings: list[WarningView] = []

    def recipes(self, resolved: Resolved) -> list[Recipe]:
        """Everything that a study needs; from now on the lab knows what the study calls it."""
        cells = resolved.cells
        self.lab.called.update(titles(cells))
        return recipes_of(cells)

    def check(self, recipes: Sequence[Recipe]) -> set[str]:
        """Look at what is missing before any of it is made; the fingerprints of what is missing."""
        plan = self.lab.plan(recipes)
        to_make = plan.to_make
        if to_make:
            self.lab.check(plan)
            for error in lacking(stage.recipe for stage in to_make):
                raise error
            preflight([stage.recipe for stage in to_make], None if self.lab.elsewhere else self.lab.workers)
        return {stage.fingerprint for stage in to_make}

    def make_artifacts(self, recipes: Sequence[Recipe], ahead: Sequence[Recipe] = ()) -> None:
        """Make what is missing; an artifact depends on its recipe alone, not on the level of the analysis that asks for it."""
        with unspent():
            self.lab.make(recipes, ahead)

    def path(self, recipe: Recipe) -> Path:
        """Folder of a finished artifact; a damaged one is made first."""
        with unspent():
            return self.lab.path(recipe)

    def make(self, resolved: Resolved) -> Resolved:
        """Make everything that a study needs; the study as it has grown."""
        with at_the_look(resolved.config):
            recipes = self.recipes(resolved)
            missing = self.check(recipes)
            self.lab.store.keep(self.name, recipes)  # before making, so that `gc` keeps an interrupted study too
            if resolved.study.takes is not None:
                resolved = self.started(resolved, resolved.study.takes)
                recipes = self.recipes(resolved)
                self.lab.store.keep(self.name, recipes)
            if resolved.study.grow is not None:
                missing = set()  # some recipes of the config before `grow` are never made

                def make(wanted: Sequence[Recipe]) -> None:
                    missing.update(self.check(wanted))
                    self.make_artifacts(wanted)

                resolved = replace(resolved, config=resolved.study.grow(resolved.config, make, self.path))
                recipes = self.recipes(resolved)
                self.lab.store.keep(self.name, recipes)
                missing |= self.check(recipes)
            self.made |= missing
            self.make_artifacts(recipes)
        return resolved

    def started(self, resolved: Resolved, takes: Takes) -> Resolved:
        """The study without the organisms, or the seeds, that show no behaviour, which are scored first of all; says what it finds.

        Raises:
            CavessonError: no organism shows its behaviour.
        """
        cells = resolved.cells
        starts, bases = starts_of(cells), bases_of(cells)
        recipes = [*recipes_of(starts), *bases.values()]
        self.made |= self.check(recipes)
        self.make_artifacts(recipes, self.recipes(resolved))
        found = looked_at(starts, self.path, takes(resolved.config), bases)
        self.warnings = found.warnings
        for warning in self.warnings:
            say(f"warning: {warning.why}")
        return replace(
            resolved,
            config=resolved.config.without_seeds(found.seeds),
            study=replace(resolved.study, grid=without(resolved.study.grid, found.left_out)),
        )

    def found(self, resolved: Resolved) -> StudyResult:
        """What a study whose artifacts are made has found."""
        origin = about(
            resolved.view(),
            resolved.config.seeds,
            resolved.recipes,
            self.lab.store,
            made=frozenset(self.made),
            command=self.command,
            called=self.lab.called,
        )
        return report_of(resolved, self.path, replace(origin, warnings=[*self.warnings, *origin.warnings]))

    def write(self, resolved: Resolved, result: StudyResult) -> Finished:
        """Write the report."""
        folder = self.lab.store.report(self.name)
        report, unwritten = folder / "report.html", None
        try:
            _write(result, resolved, folder, files_of(resolved, self.path))
        except StoreError as error:
            if self.made or not report.is_file():
                raise
            unwritten = error
        return Finished(result, report, len(self.made), unwritten)

    def cost(self, resolved: Resolved) -> Cost | None:
        """What the seeds of a study cost that are not finished; None if none is finished."""
        cells = resolved.cells
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


def say(line: str) -> None:
    """Print a line to standard error, because standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def _write(result: StudyResult, resolved: Resolved, folder: Path, files: Mapping[str, str]) -> None:
    from cavesson.report import write

    result.write(folder / "result.json")
    with disk.writing(folder):
        for name, text in {"study.yaml": resolved.to_yaml(), **files}.items():
            disk.write_whole(folder / name, text)
    write(result, folder)
