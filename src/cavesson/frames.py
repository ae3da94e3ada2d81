"""A study's result for a notebook: frames of pandas and polars, plots, claims, each shown in words or as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from cavesson.errors import ConfigError, optional
from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.findings.result import StudyResult
from cavesson.findings.views import ClaimView, FrontierView, PointView
from cavesson.lines import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame
    from polars import DataFrame as PolarsFrame


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
        first, *others = map(escaped, self.headline)
        rows = "".join(f"<li>{line}</li>" for line in others)
        return f"<p><b>{first}</b></p><ul>{rows}</ul><p>report: <code>{escaped(str(self.report))}</code></p>"


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
            axis.set_major_formatter(lambda share, _: percent(share, 0))
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


def escaped(text: str) -> str:
    """Text as HTML in which nothing acts and nothing hides."""
    return html.escape(printable(text))


def _axes() -> Axes:
    with optional("matplotlib", "notebook"):
        from matplotlib import pyplot
    return pyplot.subplots(figsize=(6, 4.5), layout="constrained")[1]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table for a notebook."""
    cells = (("th", head), *(("td", row) for row in rows))
    lines = ("".join(f"<{tag} style='text-align:left'>{escaped(cell)}</{tag}>" for cell in row) for tag, row in cells)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
