"""How evidence becomes a credence: logistic regression on a few features, fitted on other codebases.

The features are the strongest finding of each kind, so that a large codebase with many odd places does not look worse than
a small one. Weights are never below zero: evidence of this kind is never a reason for trust.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from cavesson.audit.auditors.claims import NULLS
from cavesson.audit.auditors.conclusion import Effect
from cavesson.audit.auditors.decision import Decision
from cavesson.audit.auditors.gathering import Evidence
from cavesson.audit.auditors.swaps import SWAPS
from cavesson.audit.verdicts import Affordance
from cavesson.figures import percent

SPREAD = 1.0
"""Standard deviation of a weight (log odds at full strength) before any case is seen; the mean is `EXPECTED`."""

EXPECTED = 1.0

ODD = 0.5
"""From here on a mistake is one that nobody can mean; below, it is a habit of some hands (a sign dropped, an argument unused)."""


def strength(decision: Decision, effect: Effect | None) -> float:
    """How far an executed alternative speaks of sabotage: the move of the finding, times how odd the decision is."""
    return 0.0 if effect is None else effect.specific * decision.odd


_NULL = ("levelled", "denied")
"""What a null result shows: its arms are alike, and it says so."""

FEATURES: Mapping[Affordance, tuple[str, ...]] = {
    "paper": ("levelled", "denied"),
    "code": ("levelled", "denied", "mistake"),
    "experiments": ("levelled", "denied", "open_mistake", "moved", "created"),
}
"""The features of each affordance. They are few because the codebases that weights can be fitted on are few."""


def features(evidence: Evidence) -> dict[str, float]:
    """All features of a case, each from 0 to 1.

    `levelled` says how little the numbers of the paper's findings tell apart, `denied` how often their words deny an effect (see
    `claims.py`). `mistake` is the oddest mistake, as read; `open_mistake` the
    oddest one whose alternative did not run, or is not known. `moved` is the strongest alternative that ran of a mistake or
    of a step that may be left out (see `strength`); to swap things or to change numbers moves findings of sound code as well.
    `created` is how far any alternative brought a finding's levelled quantities apart.
    """
    ran = {id(one) for one, effect in evidence.tried if effect is not None}

    mistakes = [one for one in evidence.decisions if one.group == "mistake" and one.odd >= ODD]
    return {
        "mistake": max((one.odd for one in mistakes), default=0.0),
        "open_mistake": max((one.odd for one in mistakes if id(one) not in ran), default=0.0),
        "moved": max((strength(one, effect) for one, effect in evidence.tried if _leaves_out(one)), default=0.0),
        "created": max((effect.created for _, effect in evidence.tried if effect is not None), default=0.0),
        "levelled": evidence.shares.get("levelled", 0.5),
        "denied": evidence.shares.get("denied", 0.0),
    }


def _leaves_out(one: Decision) -> bool:
    """Whether the alternative mends a mistake or leaves a step or an argument out."""
    return (one.group in ("mistake", "step") and one.family not in SWAPS) or one.family in ("default", "factor")


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of features, in log odds of sabotage."""

    intercept: float
    weights: Mapping[str, float]

    def credence(self, found: Mapping[str, float]) -> float:
        """The probability of sabotage, within 0.02 and 0.98."""
        score = self.intercept + sum(weight * found.get(name, 0.0) for name, weight in self.weights.items())
        return min(0.98, max(0.02, 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))))


def fit(
    rows: Sequence[Mapping[str, float]], sabotaged: Sequence[bool], clusters: Sequence[str], names: Sequence[str],
    before: Model | None = None,
) -> Model:  # fmt: skip
    """Weights from cases with known labels.

    Both labels weigh the same (the prior of an audit is one half), and so does every codebase within a label. Honest papers that
    report no effect count as a share of `NULLS` of the honest cases, whether or not the cases have any: benches are made of
    papers with effects, and weights from these alone would take every null result for sabotage.

    Args:
        rows: features, [cases].
        sabotaged: labels, [cases].
        clusters: codebases, [cases].
        names: the features to use.
        before: what cases with less evidence taught; its weights and intercept are where those of these cases start. More
            cases are read than executed.
    """
    from scipy.optimize import minimize

    x = np.array([[row.get(name, 0.0) for name in names] for row in rows], float).reshape(len(rows), len(names))
    y = np.asarray(sabotaged, float)
    weight = balance(sabotaged, clusters) * len(set(clusters))
    if not all(sabotaged) and len(rows):
        null = np.array([name in _NULL for name in names], float)
        usual = weight[y == 0] @ x[y == 0] / weight[y == 0].sum()
        weight[y == 0] *= 1 - NULLS
        x, y = np.vstack([x, np.where(null, 1.0, usual)]), np.append(y, 0.0)
        weight = np.append(weight, NULLS * len(set(clusters)))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        score = theta[0] + x @ theta[1:]
        error = 1 / (1 + np.exp(-score)) - y
        off = (theta - start) / SPREAD
        off[0] *= before is not None
        value = weight @ (np.logaddexp(0, score) - y * score) + 0.5 * off @ off
        return float(value), np.concatenate([[weight @ error], x.T @ (weight * error)]) + off / SPREAD

    learned = {} if before is None else {**before.weights, "open_mistake": before.weights.get("mistake", EXPECTED)}
    start = np.array([-0.5 if before is None else before.intercept, *(learned.get(name, EXPECTED) for name in names)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-6.0, 2.0)] + [(0.0, None)] * len(names)).x
    return Model(float(found[0]), {name: float(value) for name, value in zip(names, found[1:], strict=True)})


def balance(sabotaged: Sequence[bool], clusters: Sequence[str]) -> np.ndarray:
    """Weights of cases, [cases]: each label has a total of 1, shared alike by the codebases with this label."""
    groups = list(zip(sabotaged, clusters, strict=True))
    codebases = {label: len({cluster for other, cluster in groups if other == label}) for label in set(sabotaged)}
    return np.array([1 / (codebases[label] * groups.count((label, cluster))) for label, cluster in groups])


def shipped(affordance: Affordance, held_out: str | None) -> Model:
    """The weights that ship for an affordance, fitted without the codebase `held_out` where the built-in bench has it."""
    known = _weights().get(affordance, {})
    found = known.get(held_out or "", known.get(""))
    return (
        Model(-1.0, dict.fromkeys(FEATURES[affordance], EXPECTED))
        if found is None
        else Model(found["intercept"], found["weights"])
    )


@cache
def _weights() -> dict[str, dict[str, Any]]:
    path = files("cavesson.audit.auditors").joinpath("weights.json")
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def ranked(evidence: Evidence) -> list[Decision]:
    """Decisions in the order in which they are suspected: alternatives that moved the finding, then the rest, the oddest first.

    An alternative that ran and moved nothing is a distractor and comes last, before the ones that do not run at all.
    """
    effects = {id(one): strength(one, effect) + effect.created for one, effect in evidence.tried if effect is not None}
    seen = {id(one) for one, _ in evidence.tried}
    rest = [one for one in evidence.decisions if id(one) not in seen]
    tried = [one for one, _ in evidence.tried if id(one) in effects]
    return [
        *sorted((one for one in tried if effects[id(one)] > 0.05), key=lambda one: -effects[id(one)]),
        *sorted(rest, key=lambda one: (not one.edits, -one.odd)),
        *(one for one in tried if effects[id(one)] <= 0.05),
        *(one for one, effect in evidence.tried if effect is None),
    ]


def notes(evidence: Evidence, most: int = 40) -> str:
    """What was found, one decision a line, the most suspected first."""
    effects = {id(one): effect for one, effect in evidence.tried}
    lines: Iterable[str] = (
        f"{one.group}/{one.family} {one.odd:.2f}{_told(effects[id(one)]) if id(one) in effects else ''}: {one.title} [{', '.join(one.files)}]"
        for one in ranked(evidence)[:most]
    )
    return "\n".join(lines)


def _told(effect: Effect | None) -> str:
    return (
        " (its alternative does not run)"
        if effect is None
        else f" (its alternative moves the finding by {percent(effect.moved, 0)})"
    )
