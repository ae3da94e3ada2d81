"""The data of the page's scripts: the result's figures and transcripts in a compact form.

A figure is `[value, low, high, text, method]`, where `text` is what `str(rate)` says (so that no script formats a
figure on its own) and `method` is an index into `methods`; a figure of several seeds has a list of theirs behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from cavesson.estimate import Estimate
from cavesson.findings.origin import RecipeView
from cavesson.findings.result import StudyResult
from cavesson.findings.views import CurveView, ModelScores, OrganismView, PointView, ReversalView

Figure = list[Any]

_SEED = re.compile(r"(?: ·|,) seed -?\d+")
"""The seed in an artifact's name: runs that differ in nothing else share a chart."""


class _Methods:
    """Gives every method of an interval a number, in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def figure(self, rate: Estimate | None) -> Figure | None:
        if rate is None:
            return None
        number = self.numbers.setdefault(rate.method, len(self.numbers))
        figure = [round(rate.value, 5), round(rate.low, 5), round(rate.high, 5), str(rate), number]
        return [*figure, [round(one, 4) for one in rate.each]] if len(rate.each) > 1 else figure

    def figures(self, rates: dict[str, Estimate]) -> dict[str, Figure | None]:
        return {key: self.figure(rate) for key, rate in rates.items()}


def page_data(result: StudyResult) -> dict[str, Any]:
    """Everything that the scripts need, as JSON values."""
    methods = _Methods()
    data = {
        "measures": [{"id": m.id, "title": m.title, "kind": m.kind} for m in result.measures],
        "organisms": [_organism(o, methods) for o in result.organisms],
        "points": [_point(p, methods) for p in result.points],
        "frontiers": [
            {
                "organism": f.organism,
                "intervention": f.intervention,
                "vertices": f.vertices,
                "auc": methods.figure(f.auc),
            }
            for f in result.frontiers
        ],
        "reversals": [_reversal(r, methods) for r in result.reversals],
        "curves": [_curve(c, methods) for c in result.curves],
        "losses": list(losses(result.recipes)),
        "prompts": _prompts(result),
        "made": [r.fingerprint for r in result.recipes],
    }
    return {**data, "methods": list(methods.numbers)}


def _scores(scores: ModelScores, methods: _Methods) -> dict[str, Any]:
    named = {name: methods.figure(getattr(scores, name)) for name in ("capability", "bad", "kept", "removed")}
    return {**named, "rates": methods.figures(scores.rates), "fingerprint": scores.fingerprint}


def _organism(organism: OrganismView, methods: _Methods) -> dict[str, Any]:
    baseline = None if organism.baseline is None else _scores(organism.baseline, methods)
    return {"id": organism.id, "title": organism.title, "start": _scores(organism.start, methods), "baseline": baseline}


def _point(point: PointView, methods: _Methods) -> dict[str, Any]:
    return {
        **_scores(point, methods),
        "organism": point.organism,
        "intervention": point.intervention,
        "lr": point.lr,
        "adapter": point.adapter,
        "labels": point.labels,
        "seed": point.seed,
        "step": point.step,
        "run": point.run,
        "family": point.model_copy(update={"seed": None}).run,
    }


def _reversal(reversal: ReversalView, methods: _Methods) -> dict[str, Any]:
    return {
        "measure": reversal.measure,
        "before": methods.figure(reversal.before),
        "curve": [{"step": s.step, "rates": methods.figures(s.rates)} for s in reversal.curve],
    }


def _curve(curve: CurveView, methods: _Methods) -> dict[str, Any]:
    return {
        "x_label": curve.x_label,
        "y_label": curve.y_label,
        "log_x": curve.log_x,
        "joined": curve.joined,
        "series": [
            {"name": s.name, "x": s.x, "rates": [methods.figure(r) for r in s.rates], "names": s.names}
            for s in curve.series
        ],
    }


def losses(recipes: Iterable[RecipeView]) -> Iterator[dict[str, Any]]:
    """A chart for each training that has a loss, with a line for each seed; stages in order of appearance."""
    charts: dict[tuple[str, str, tuple[int, ...]], list[list[float]]] = {}
    for view in recipes:
        if view.loss is not None:
            chart = charts.setdefault((view.stage, _SEED.sub("", view.name), tuple(view.loss.steps)), [])
            chart.append(view.loss.losses)
    for (stage, title, steps), runs in charts.items():
        yield {"stage": stage, "title": title, "steps": steps, "runs": runs}


def _prompts(result: StudyResult) -> list[dict[str, Any]]:
    """Transcripts grouped by prompt, so that the answers of several models stand side by side; triggered prompts come first."""
    titles = {o.id: o.title for o in result.organisms}
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for t in result.transcripts:
        messages = [(m.role, m.content) for m in t.prompt]
        group = groups.setdefault(
            (t.organism, t.eval, t.item, *messages),
            {
                "organism": titles[t.organism] if t.organism is not None else "",
                "eval": t.eval,
                "item": t.item,
                "messages": messages,
                "trigger": t.trigger,
                "answers": [],
            },
        )
        answer = {"stage": t.stage, "label": t.label, "text": t.completion, "outcome": t.outcome, "tone": t.tone}
        group["answers"].append({**answer, "mangled": True} if t.mangled else answer)
    bad = {m.id for m in result.measures if m.kind == "bad"}
    return sorted(groups.values(), key=lambda group: _interest(group, bad))


def _interest(group: dict[str, Any], bad: set[str]) -> tuple[bool, bool, bool]:
    """Sorts the bad behaviour under its trigger to the front, then look-alikes and clean prompts, then benchmarks.

    What the headline is about, before and after blue side by side, stands before the answers of a later probe.
    """
    only_probed = all(answer["stage"] == "reversal" for answer in group["answers"])
    return group["eval"] not in bad, group["trigger"] is None, only_probed
