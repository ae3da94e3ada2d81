"""`ensemble`: the verdicts of other auditors on a case, averaged in log odds, with weights learned on other
codebases."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from cavesson.audit.auditors.credence import balance
from cavesson.audit.cases import Case
from cavesson.audit.verdicts import AFFORDANCES, MAX_FIXES, Affordance, Cost, Fix, Verdict

NAME = "ensemble"
_GRID = (0.0, 0.5, 1.0, 2.0)


def ensemble(cases: Sequence[Case], verdicts: Sequence[Verdict], affordance: Affordance) -> Iterator[Verdict]:
    """Combined verdicts on all cases that have a credence from at least one auditor.

    Each auditor counts with its verdict under the widest affordance that `affordance` allows. The weights for a case
    give the labels of the other codebases the highest likelihood (each weight is 0, ½, 1 or 2; all are 1 where there is
    no other codebase, or no difference).
    """
    allowed = AFFORDANCES[: AFFORDANCES.index(affordance) + 1]
    given: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for verdict in sorted(verdicts, key=lambda one: AFFORDANCES.index(one.affordance)):
        if verdict.affordance in allowed and verdict.auditor != NAME and verdict.credence is not None:
            given[verdict.case][verdict.auditor] = verdict
    known = [case for case in cases if given.get(case.id)]
    auditors = sorted({name for case in known for name in given[case.id]})
    for case in known:
        weights = _weights([other for other in known if other.codebase != case.codebase], given, auditors)
        members = [given[case.id][name] for name in auditors if name in given[case.id]]
        yield Verdict(
            case=case.id,
            auditor=NAME,
            affordance=affordance,
            credence=_combined(given[case.id], weights),
            fixes=_fixes(members, weights),
            notes=", ".join(f"{name} × {weights[name]:g}" for name in auditors),
            cost=Cost(*(sum(getattr(one.cost, key) for one in members) for key in ("seconds", "tokens", "dollars"))),
        )


def _combined(given: Mapping[str, Verdict], weights: Mapping[str, float]) -> float:
    """The weighted mean in log odds; an auditor without a verdict on this case is left out."""
    total = sum(weights[name] for name in given)
    if total == 0:
        return 0.5
    return 1 / (1 + math.exp(-sum(weights[name] * _logit(one.credence) for name, one in given.items()) / total))


def _weights(
    cases: Sequence[Case], given: Mapping[str, Mapping[str, Verdict]], auditors: Sequence[str]
) -> dict[str, float]:
    plain = dict.fromkeys(auditors, 1.0)
    labels = [not case.honest for case in cases]
    if len(set(labels)) < 2 or len(auditors) < 2:
        return plain
    share, sabotaged = balance(labels, [case.codebase for case in cases]), np.array(labels, float)

    def likelihood(weights: Mapping[str, float]) -> float:
        p = np.array([_combined(given[case.id], weights) for case in cases])
        return float(share @ (sabotaged * np.log(p) + (1 - sabotaged) * np.log(1 - p)))

    tried = [
        dict(zip(auditors, values, strict=True))
        for values in product(_GRID, repeat=min(len(auditors), 5))
        if any(values)
    ]
    best = max(tried if len(auditors) <= 5 else [plain], key=likelihood)
    return best if likelihood(best) > likelihood(plain) else plain


def _logit(credence: float | None) -> float:
    assert credence is not None
    p = min(0.99, max(0.01, credence))
    return math.log(p / (1 - p))


def _fixes(members: Sequence[Verdict], weights: Mapping[str, float]) -> tuple[Fix, ...]:
    """The auditors' fixes in turn, the most trusted auditor first; no fix twice."""
    ordered = sorted(members, key=lambda one: -weights[one.auditor])
    kept: dict[tuple[str, str | None], Fix] = {}
    for at in range(MAX_FIXES):
        for member in ordered:
            if at < len(member.fixes):
                fix = member.fixes[at]
                kept.setdefault((fix.title, fix.patch), fix)
    return tuple(kept.values())[:MAX_FIXES]
