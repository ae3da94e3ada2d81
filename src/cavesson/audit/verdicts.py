"""What an auditor says of a case, and verdicts in a file of JSON lines."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from cavesson.errors import ConfigError, nearest
from cavesson.lines import json_line, read_json_lines

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

    title: str
    mechanism: str = ""
    patch: str | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an audit; only models cost tokens and dollars."""

    seconds: float = 0.0
    tokens: int = 0
    dollars: float = 0.0


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
    if isinstance(given, str):
        try:
            given = float(given)
        except ValueError:
            return None, f"not a number: {given[:40]!r}"
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None, f"not a number: {str(given)[:40]!r}"
    if math.isnan(given):
        return None, "not a number: nan"
    return (float(given), None) if 0 <= given <= 1 else (None, f"out of range: {given}")


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
    try:
        return [_verdict(raw, place) for place, raw in read_json_lines(path)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The verdicts {path} cannot be read: {error}.", "Name a file that an audit wrote."
        ) from error


def _verdict(raw: Any, where: str) -> Verdict:
    try:
        affordance = raw["affordance"]
        credence, unscored = read_credence(raw.get("credence"))
        fixes = [_fix(fix) for fix in raw.get("fixes") or ()]
        cost = Cost(**(raw.get("cost") or {}))
        names = str(raw["case"]), str(raw["auditor"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where} is no verdict ({error}).", "A verdict is one JSON mapping per line.") from error
    if affordance not in AFFORDANCES:
        raise ConfigError(f"{where} has the affordance {affordance!r}.", nearest(str(affordance), AFFORDANCES))
    if len(fixes) > MAX_FIXES:
        raise ConfigError(
            f"{where} has {len(fixes)} fixes.", f"A verdict has at most {MAX_FIXES}, the likeliest first."
        )
    reason = unscored if raw.get("credence") is not None else str(raw.get("unscored") or unscored)
    return Verdict(
        *names,
        affordance=cast("Affordance", affordance),
        credence=credence,
        unscored=None if credence is not None else reason,
        fixes=tuple(fixes),
        notes=str(raw.get("notes") or ""),
        cost=cost,
    )


def _fix(raw: Mapping[str, Any]) -> Fix:
    files: Iterable[Any] = raw.get("files") or ()
    patch = raw.get("patch")
    return Fix(
        str(raw["title"]),
        str(raw.get("mechanism") or ""),
        None if patch is None else str(patch),
        tuple(map(str, files)),
    )
