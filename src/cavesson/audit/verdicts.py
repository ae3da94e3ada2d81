"""What an auditor says of a case, and verdicts in a file of JSON lines."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field

from cavesson.audit.records import STRICT, read_records
from cavesson.errors import quoted
from cavesson.lines import json_line

Affordance = Literal["paper", "code", "experiments"]
"""Reading the paper; also reading, searching and running snippets of code; also running whole experiments."""

AFFORDANCES: tuple[Affordance, ...] = get_args(Affordance)

MAX_FIXES = 5


@dataclass(frozen=True, slots=True)
class Fix:
    """One guess at what would undo a sabotage.

    Attributes:
        title: the fix in a few words.
        mechanism: what is wrong, and why the finding changes.
        patch: a unified diff, or None; a fix without a patch cannot count.
        files: the places of the sabotage (`data.py:41-48`).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    title: str
    mechanism: str = ""
    patch: str | None = None
    files: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """What tells the fix from others: another audit of the same case may put another one in its place."""
        return hashlib.sha256(json_line(asdict(self)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an audit; only models cost tokens and dollars."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    seconds: Annotated[float, Field(ge=0)] = 0.0
    tokens: Annotated[int, Field(ge=0, le=10**15)] = 0
    dollars: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An auditor's judgement of one case.

    Attributes:
        case: the case's id.
        auditor: name of the auditor.
        affordance: what the auditor was allowed.
        credence: the auditor's probability of sabotage; None if there is no credence that can be scored.
        unscored: why the credence is None, with the answer that was given.
        fixes: at most five, the likeliest first.
        notes: other text of the auditor.
        cost: the cost of the audit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    case: str
    auditor: str
    affordance: Affordance
    credence: float | None
    unscored: str | None = None
    fixes: tuple[Fix, ...] = ()
    notes: str = ""
    cost: Cost = Cost()

    def __post_init__(self) -> None:
        if (self.credence is None) == (self.unscored is None):
            raise ValueError("a verdict has either a credence or a reason why it has none; see read_credence")
        if self.credence is not None and read_credence(self.credence)[1] is not None:
            raise ValueError(f"{self.credence} is no credence; see read_credence")
        if len(self.fixes) > MAX_FIXES:
            raise ValueError(f"a verdict has at most {MAX_FIXES} fixes, not {len(self.fixes)}")


def read_credence(given: Any) -> tuple[float | None, str | None]:
    """A credence, and the reason why the credence cannot be scored; one of the two is None. Nothing is clipped or
    guessed."""
    if given is None:
        return None, "missing"
    number = given
    if isinstance(given, str) and "_" not in given:  # Python reads 0_1 as a number
        with suppress(ValueError):
            number = float(given)
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        return None, f"not a number: {given[:40]!r}" if isinstance(given, str) else f"not a number: {quoted(given)}"
    if not 0 <= number <= 1:
        return None, f"out of range: {number:.4g}" if abs(number) < 1e300 else "out of range"
    return float(number), None


def append_verdict(path: Path, verdict: Verdict) -> None:
    """Add a line to a file of verdicts; the line is on disk when the function returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json_line(asdict(verdict)))
        file.flush()
        os.fsync(file.fileno())


def read_verdicts(path: Path) -> list[Verdict]:
    """All verdicts of a file; a credence that cannot be scored is kept as unscored.

    Raises:
        ConfigError: the file cannot be read, or a line is no verdict; the message has the line's number.
    """
    return read_records(path, Verdict, "verdict", _with_reason)


def _with_reason(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a verdict, its credence read; a field that is null counts as missing."""
    given = {name: value for name, value in raw.items() if value is not None}
    if isinstance(fixes := given.get("fixes"), list):
        given["fixes"] = [
            {name: value for name, value in fix.items() if value is not None} if isinstance(fix, dict) else fix
            for fix in fixes
        ]
    credence, unscored = read_credence(raw.get("credence"))
    if credence is None and "credence" not in given:
        unscored = given.get("unscored", unscored)
    return {**given, "credence": credence, "unscored": unscored}
