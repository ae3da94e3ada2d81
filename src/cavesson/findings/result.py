"""What a study found, as plain data: the report, the terminal table and a user's notebook read nothing else.

A study fills a `StudyResult` and writes `result.json`; the result needs neither torch nor the store nor a recipe class.
All studies share this form: points and frontiers for games between red and blue, curves and tables for anything else,
claims for published statements, transcripts for the reader who wants to see answers. A part that a study lacks stays empty,
and the report leaves the section out.

The form enforces these rules:

- No bare number. Every measured figure is an `Estimate`: value, interval, n and the method of the interval.
- Every measured quantity has a `MeasureView` that explains the quantity in words and says whether high is good or bad.
- Ids are unique, and the organisms and measures that are referred to by id exist.
- Text from a model is data, stored unchanged (except that a lone surrogate, which no file can hold, becomes U+FFFD).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ValidationError, model_validator

from cavesson.errors import ConfigError
from cavesson.findings.card import CardView
from cavesson.findings.origin import Environment, RecipeView, StudyConfig
from cavesson.findings.views import (
    ClaimView,
    CurveView,
    FrontierView,
    MeasureView,
    ModelScores,
    OrganismView,
    PointView,
    ReversalView,
    StepRates,
    TableView,
    Text,
    Transcript,
    View,
    WarningView,
)
from cavesson.lab import disk
from cavesson.lab.documents import in_words
from cavesson.lab.recipe import Recipe
from cavesson.lines import parse_json


def _unique(what: str, keys: Iterable[str]) -> None:
    repeated = [key for key, count in Counter(keys).items() if count > 1]
    if repeated:
        raise ValueError(f"two {what} share the id {repeated[0]!r}")


def _headline(lines: list[str]) -> list[str]:
    if not lines:
        raise ValueError("a result without a headline: say in words what was found")
    return lines


class StudyResult(View):
    """All that a study found, and how.

    Attributes:
        format: version of this form.
        study, preset: their names.
        title: of the report.
        headline: the finding in words; the report prints the first sentence large and the others below.
            Put figures in with `str(rate)`, so that n and interval travel with them.
        cards: evidence cards of interventions.
        measures: what was measured; the keys of all `rates` are ids of measures.
        notes: what a reader must know to understand the result (limits, deviations), one paragraph each.
        warnings: what must be known before the first figure.
    """

    format: Literal[1] = 1
    study: str
    preset: str
    title: str
    headline: Annotated[list[Text], AfterValidator(_headline)]
    config: StudyConfig
    environment: Environment
    measures: list[MeasureView] = []
    organisms: list[OrganismView] = []
    points: list[PointView] = []
    frontiers: list[FrontierView] = []
    reversals: list[ReversalView] = []
    curves: list[CurveView] = []
    tables: list[TableView] = []
    claims: list[ClaimView] = []
    cards: list[CardView] = []
    transcripts: list[Transcript] = []
    recipes: list[RecipeView] = []
    notes: list[Text] = []
    warnings: list[WarningView] = []

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _unique("measures", (m.id for m in self.measures))
        _unique("organisms", (o.id for o in self.organisms))
        _unique("points", (p.id for p in self.points))
        _unique("claims", (c.id for c in self.claims))
        _unique("recipes", (r.fingerprint for r in self.recipes))
        organisms = {o.id for o in self.organisms}
        parts: list[PointView | FrontierView | ReversalView | Transcript]
        parts = [*self.points, *self.frontiers, *self.reversals, *self.transcripts]
        for part in parts:
            if part.organism is not None and part.organism not in organisms:
                raise ValueError(f"a {type(part).__name__} names the organism {part.organism!r}, which is not there")
        baselines = [s for o in self.organisms for s in (o.start, o.baseline) if s is not None]
        scores: list[ModelScores | StepRates] = [
            *baselines,
            *self.points,
            *(s for r in self.reversals for s in r.curve),
        ]
        unknown = {key for s in scores for key in s.rates} - {m.id for m in self.measures}
        if unknown:
            raise ValueError(f"the rates hold {min(unknown)!r}, which no measure explains")
        return self

    def write(self, path: Path) -> Path:
        """Write the result as JSON, whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        with disk.writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write_whole(path, self.model_dump_json(indent=1))
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a result that `write` wrote.

        Raises:
            ConfigError: there is no such file, or the file is not a result of this version.
        """
        try:
            data = parse_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(
                f"There is no {path}.", "Give the result.json in the folder of a report: cavesson store reports"
            ) from error
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a study's result: {error}", "Give the result.json that `cavesson run` wrote."
            ) from error
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise ConfigError(
                f"{path} is not a result that this version reads: {where}: {in_words(first)}.", "Run the study again."
            ) from error


def recipe_in(result: StudyResult, prefix: str, source: Path) -> Recipe:
    """The recipe in a result whose fingerprint begins with `prefix`.

    Args:
        source: the result's file, for messages.

    Raises:
        ConfigError: no recipe or several have such a fingerprint, or this version of Cavesson would make something else.
    """
    found = [view for view in result.recipes if prefix and view.fingerprint.startswith(prefix)]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found) or 'No'} recipes in {source} have a fingerprint that begins with {prefix!r}.",
            "Take the digits from the report's list of recipes.",
        )
    try:
        recipe = Recipe.parse(found[0].recipe)
    except ValueError as error:  # a field that this version does not have
        raise ConfigError(
            f"The recipe {found[0].fingerprint[:12]} cannot be read by this version of Cavesson.",
            "Install the version that the report names, or run the study again.",
        ) from error
    if recipe.fingerprint != found[0].fingerprint:
        raise ConfigError(
            f"The recipe {found[0].fingerprint[:12]} would make something else with this version of Cavesson.",
            "Install the version that the report names, or run the study again.",
        )
    return recipe
