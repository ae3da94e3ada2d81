"""What the pages of runs show: which runs fit, how long ago, the parts of a result."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from cavesson.figures import duration
from cavesson.findings.result import StudyResult
from cavesson.findings.tally import by_chance, counts
from cavesson.findings.views import ClaimView, TableView
from cavesson.report.cautions import by_name, cautions
from cavesson.report.data import page_data
from cavesson.report.study import trade_offs, without_repeats
from cavesson.view.library import Listed
from cavesson.view.runs import RESULT, RunFolder

KEPT = 6
"""Results that are kept in memory."""


class Results:
    """The results that were read last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], StudyResult] = OrderedDict()
        self._lock = Lock()

    def of(self, run: RunFolder) -> StudyResult:
        """The result of a run.

        Raises:
            ConfigError: there is none, or this version does not read it.
        """
        name = (run.key, run.stamp)
        if name not in self._kept:
            result = StudyResult.read(run.folder / RESULT)
            with self._lock:
                self._kept[name] = result
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return self._kept[name]


def fits(one: Listed, given: Mapping[str, str]) -> bool:
    """Whether a run fits what is searched for: every word stands in its name, study, preset, title or headline."""
    if given.get("study") and one.study != given["study"]:
        return False
    if given.get("state") and one.state != given["state"]:
        return False
    said = one.summary
    text = " ".join([one.run.name, said.study, said.preset, said.title, said.headline, said.claims]).casefold()
    return all(word in text for word in given.get("q", "").casefold().split())


def ago(when: datetime | str) -> str:
    """How long ago something was: `12 s ago`, `3 h 5 min ago`, and from two days on the date."""
    moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    return f"{moment:%d %b %Y}" if seconds > 2 * 86400 else f"{duration(max(1, round(seconds)))} ago"


def of_result(result: StudyResult, verdict: str, key: str) -> dict[str, Any]:
    """What the page of a run shows of its result.

    Args:
        key: the run's, for the addresses of its transcripts.
        verdict: only claims with this verdict, as it is told; empty: all.
    """
    tables = [view for view in (trade_offs(result), *map(without_repeats, result.tables)) if view is not None]
    data = page_data(result)
    return {
        "result": result,
        "cautions": by_name(cautions(result)),
        "claims": [claim for claim in result.claims if not verdict or claim.words == verdict],
        "verdicts": list(dict.fromkeys(claim.words for claim in sorted(result.claims, key=_rank))),
        "counts": counts(result.claims),
        "by_chance": by_chance(result.claims),
        "tables": [_unshaded(view) for view in tables],
        "data": {**data, "prompts": [], "losses": [], "made": [], "transcripts": f"/transcripts?run={key}"},
        "frontier": any(point.kept and point.removed for point in result.points),
        "titles": {measure.id: measure.title for measure in result.measures},
    }


def _rank(claim: ClaimView) -> int:
    order = ("holds", "does not hold", "undecided")
    return order.index(claim.verdict) if claim.verdict in order else len(order)


def _unshaded(view: TableView) -> TableView:
    """The table without colours, which are style attributes: the page's policy forbids these."""
    return view.model_copy(update={"shade": None})
