"""What a paper claims to have found: an effect, or that there is none; in numbers and in words.

Research reports effects more often than their absence, and most sabotage takes an effect away or turns it around. So a paper
that finds nothing is somewhat more often the work of sabotaged code. That is prior knowledge about research, not evidence of a
fault; a paper that set out to show the absence of an effect, with the means for it, is not held against its code at all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import combinations

from cavesson.audit.auditors.conclusion import contrast
from cavesson.audit.auditors.paper import Number, Paper
from cavesson.audit.auditors.structure import NUMERIC, SENTENCE

NULLS = 0.16
"""The share of honest papers that report no effect: 84 % of papers report support of their main hypothesis (Fanelli, PLoS ONE
5(4) e10068, 2010)."""

_CONTROL = re.compile(
    r"permut|shuffl|placebo|sanity|\bcontrols?\b|random labels|(?:by|at|is) chance|(?:are|is) (?:equal|the same)\b|as (?:they|it) should|as expected|by construction|"
    r"\bcoincide\b",
    re.IGNORECASE,
)  # fmt: skip
"""Words of findings whose absence of a difference is the point: a check that nothing else is going on."""

_DENIES = re.compile(
    r"\b(?:no|not|nothing|hardly|barely|scarcely|neither|never|none|nor|cannot|fails?|failed|little|indistinguishable|ineffective|irrelevant|unaffected|unchanged|same|"
    r"alike|similar|equal(?:ly)?|equivalent|comparable|as (?:good|well|much)|only (?:modestly|slightly|partly|part|little)|remains?|leaves|useless|negligible)\b|n't\b|"
    r"within (?:noise|error)|(?:about|near) (?:the|one|half|chance)",
    re.IGNORECASE,
)  # fmt: skip

_PLANNED = re.compile(
    r"equivalence (?:test|margin|bound|stud)|non-?inferiority|\btost\b|pre-?regist|power (?:analysis|calculation)|(?:minimum|smallest) (?:detectable|effect size of interest)|"
    r"null (?:result|finding|effect|hypothesis)|negative results?\b|(?:we|is|was) expect(?:ed)? (?:no|nothing)\b",
    re.IGNORECASE,
)  # fmt: skip


def planned_null(paper: Paper) -> bool:
    """Whether the paper set out to show that there is no effect, or had the means to: an equivalence test, power, a plan."""
    return bool(_PLANNED.search(paper.text))


def levelled(paper: Paper) -> float:
    """How far the quantities of the findings lie together, from 0 to 1, as the paper states them.

    The mean over the findings that state two numbers or more, each by the two that lie furthest apart; findings with one number
    count together as one. ½ if there is none, and at most ½ for a planned null. Checks that should show no difference are left out.
    """
    stated: dict[int, list[Number]] = defaultdict(list)
    for one in paper.conclusion:
        if (one.decimals or one.percent) and not _CONTROL.search(paper.findings[one.finding].text):
            stated[one.finding].append(one)
    apart = [
        max((contrast(one.value, two.value) for one, two in combinations(numbers[:8], 2) if one.percent == two.percent), default=None)
        for numbers in stated.values()
    ]  # fmt: skip
    alone = [numbers[0] for numbers in stated.values() if len(numbers) == 1]
    apart += [max((contrast(one.value, two.value) for one, two in combinations(alone, 2) if one.percent == two.percent), default=None)]  # fmt: skip
    known = [value for value in apart if value is not None]
    together = 1.0 - sum(known) / len(known) if known else 0.5
    return min(0.5, together) if planned_null(paper) else together


def denied(paper: Paper) -> float:
    """The share of the first two findings whose head says that something has no effect, or fails; 0 for a planned null.

    The head of a finding is its bold beginning, else what its first sentence with numbers says before them. What comes later is
    often a control.
    """
    heads = [_head(one.text) for one in paper.findings if not _CONTROL.search(one.text)][:2]
    return 0.0 if planned_null(paper) or not heads else sum(bool(_DENIES.search(one)) for one in heads) / len(heads)


def _head(text: str) -> str:
    text = re.sub(r"^\W*(?:\d+[.)]\s*)?", "", " ".join(text.split()))
    text = re.sub(r"^(?:key |main )?(?:finding|claim|result|observation|lesson|take-?away)\s*\w{0,2}\W*?(?:\*\*|[:.])\W*", "", text, flags=re.IGNORECASE)  # fmt: skip
    bold, _, _ = text.partition("**")
    if 12 <= len(bold) < len(text):
        return bold
    sentences = SENTENCE.split(text)
    first = next((one for one in sentences if NUMERIC.search(one)), sentences[0])
    said = NUMERIC.split(first)[0]
    return said if len(said) >= 12 else first
