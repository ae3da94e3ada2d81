"""The suspicions of an auditor without a model against a codebase, and how suspicions become a credence.

Rules give suspicions: a place, a strength and, where the rule knows one, an edit as a repair. The credence is a
logistic function of the strongest suspicion of each rule. Every rule comes with a weight that its author thought right;
`fit` moves the weights as far as cases with known labels say, and never below zero: a suspicion is never a reason for
trust.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from cavesson.audit.patches import diff
from cavesson.audit.verdicts import MAX_FIXES, Fix

PRIOR_SD = 0.5
"""How far a weight may move from its author's, in log odds, before the cases must be sure."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One suspicion of one rule against a codebase.

    Attributes:
        rule: name of the rule.
        strength: from 0 to 1.
        title: the suspicion in a few words.
        mechanism: what is odd, and how the oddity could change a finding.
        files: the places (`data.py:41-48`).
        edits: the repair: relative path → whole new text; empty if the rule knows no repair.
    """

    rule: str
    strength: float
    title: str
    mechanism: str
    files: tuple[str, ...] = ()
    edits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Combination:
    """The weights of rules, in log odds of sabotage."""

    intercept: float
    weights: Mapping[str, float]

    def credence(self, features: Mapping[str, float]) -> float:
        """The probability of sabotage, within 0.02 and 0.98: no list of rules is surer."""
        score = self.intercept + sum(self.weights.get(rule, 0.0) * value for rule, value in features.items())
        return min(0.98, max(0.02, 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))))

    def rank(self, suspicion: Suspicion) -> float:
        """What a suspicion adds to the log odds."""
        return self.weights.get(suspicion.rule, 0.0) * suspicion.strength


def features(suspicions: Iterable[Suspicion]) -> dict[str, float]:
    """The strongest suspicion of each rule."""
    strongest: dict[str, float] = {}
    for suspicion in suspicions:
        strongest[suspicion.rule] = max(strongest.get(suspicion.rule, 0.0), suspicion.strength)
    return strongest


def fit(
    rows: Sequence[Mapping[str, float]], sabotaged: Sequence[bool], clusters: Sequence[str], prior: Mapping[str, float]
) -> Combination:
    """Weights from cases with known labels: logistic regression around the rules' own weights.

    Both labels weigh the same (the prior of an audit is one half), and so does every codebase within a label: a
    codebase with thirty mutants says hardly more than a codebase with two twins.

    Args:
        rows: features, [cases].
        sabotaged: labels, [cases].
        clusters: codebases, [cases].
        prior: the rules' own weights.
    """
    from scipy.optimize import minimize

    names = sorted(prior)
    centre = np.array([prior[name] for name in names])
    x = np.array([[row.get(name, 0.0) for name in names] for row in rows]).reshape(len(rows), len(names))
    y = np.asarray(sabotaged, float)
    weight = balance(sabotaged, clusters) * len(set(clusters))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        score = theta[0] + x @ theta[1:]
        error = 1 / (1 + np.exp(-score)) - y
        off = (theta[1:] - centre) / PRIOR_SD
        value = weight @ (np.logaddexp(0, score) - y * score) + 0.5 * off @ off
        return float(value), np.concatenate([[weight @ error], x.T @ (weight * error) + off / PRIOR_SD])

    start = np.concatenate([[-1.0], centre])
    bounds = [(-6.0, 2.0)] + [(0.0, None)] * len(names)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Combination(float(found[0]), {name: float(value) for name, value in zip(names, found[1:], strict=True)})


def balance(sabotaged: Sequence[bool], clusters: Sequence[str]) -> np.ndarray:
    """Weights of cases, [cases]: each label has a total of 1, shared alike by the codebases with this label."""
    groups = list(zip(sabotaged, clusters, strict=True))
    codebases = {label: len({cluster for other, cluster in groups if other == label}) for label in set(sabotaged)}
    return np.array([1 / (codebases[label] * groups.count((label, cluster))) for label, cluster in groups])


def combination(name: str, prior: Mapping[str, float], held_out: str | None) -> Combination:
    """The weights that ship for an auditor, fitted without the codebase `held_out` where the built-in bench has it.

    Args:
        name: such as `static/code`.
        prior: the rules' own weights, for rules that have no shipped weight.
    """
    shipped = _shipped().get(name, {})
    found = shipped.get(held_out or "", shipped.get(""))
    if found is None:
        return Combination(-1.0, dict(prior))
    return Combination(found["intercept"], {**prior, **found["weights"]})


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    path = files("cavesson.audit.auditors").joinpath("weights.json")
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def fixes(ranked: Iterable[Suspicion], texts: Mapping[str, str]) -> tuple[Fix, ...]:
    """The first suspicions as fixes, with a patch where an edit is known; one for each place.

    Args:
        ranked: suspicions, the likeliest first.
        texts: the files before any edit: relative path → text.
    """
    kept: dict[tuple[str, ...], Fix] = {}
    for suspicion in ranked:
        key = (*suspicion.files, *(sorted(suspicion.edits.values()) if suspicion.edits else [suspicion.title]))
        patch = diff({name: texts[name] for name in suspicion.edits}, suspicion.edits) or None
        kept.setdefault(key, Fix(suspicion.title, suspicion.mechanism, patch, suspicion.files))
    return tuple(kept.values())[:MAX_FIXES]


def notes(suspicions: Sequence[Suspicion], weights: Combination) -> str:
    """All suspicions that count, the heaviest first, one suspicion a line."""
    ranked = sorted(suspicions, key=lambda one: -weights.rank(one))
    return "\n".join(
        f"{one.rule} {one.strength:.2f} (+{weights.rank(one):.2f}): {one.title} [{', '.join(one.files)}]"
        for one in ranked[:40]
    )
