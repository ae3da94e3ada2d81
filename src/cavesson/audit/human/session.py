"""One person's audits: the cases in their order, the progress, and the answers so far.

The state is one small file, rewritten whole after every change, so a closed browser or a killed server loses nothing
that the page has reported as saved. The file holds no id of a case: cases are named by digests with a secret key, as in
the page.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cavesson.audit.cases import Case
from cavesson.audit.verdicts import MAX_FIXES, Affordance, Cost, Fix, Verdict, append_verdict, read_credence
from cavesson.errors import ConfigError
from cavesson.lab import disk
from cavesson.lines import parse_json

Phase = Literal["paper", "code", "done"]

AWAY = 30.0
"""Seconds between two signs of life of the page after which the person counts as gone: the timer stands still."""

_MAX_TEXT = 200_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session.

    Attributes:
        auditor: the name in the verdicts.
        seed: draws the cases and their order.
        paper_minutes: for the paper alone; 0 leaves this step out.
        code_minutes: for paper and code after that.
        twins: all cases instead of one of each codebase.
    """

    auditor: str = "human"
    seed: int = 0
    paper_minutes: float = 15
    code_minutes: float = 105
    twins: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """One proposed fix as it stands in the page's fields; `files` has commas."""

    title: str = ""
    mechanism: str = ""
    files: str = ""
    patch: str = ""

    def fix(self) -> Fix | None:
        """The fix, or None if nothing was written."""
        if not any(map(str.strip, (self.title, self.mechanism, self.files, self.patch))):
            return None
        files = tuple(part for part in re.split(r"[,\s]+", self.files) if part)
        return Fix(self.title.strip(), self.mechanism.strip(), self.patch if self.patch.strip() else None, files)


@dataclass(slots=True)
class Audit:
    """How far one case is.

    Attributes:
        phase: reading the paper, reading the code, or submitted.
        spent: seconds in each phase.
        credence, notes, fixes: the answer so far.
        tab: number of the page that may save; a page that was opened earlier may not.
        change: number of the last change of this page.
    """

    phase: Phase = "paper"
    spent: dict[str, float] = field(default_factory=lambda: {"paper": 0.0, "code": 0.0})
    credence: float | None = None
    notes: str = ""
    fixes: list[Draft] = field(default_factory=list)
    tab: int = 0
    change: int = 0


def draw_cases(cases: Sequence[Case], seed: int, *, twins: bool = False) -> list[Case]:
    """The cases of a session, shuffled.

    Args:
        twins: all of them; else one of each codebase (its label by the toss of a coin), for who has seen
            one twin sees in the other what was changed.
    """
    draw = random.Random(seed)
    if twins:
        return draw.sample(list(cases), len(cases))
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.codebase, []).append(case)
    drawn = []
    for name in sorted(families):
        honest = draw.random() < 0.5
        drawn.append(draw.choice([case for case in families[name] if case.honest == honest] or families[name]))
    return draw.sample(drawn, len(drawn))


def settings_for(folder: Path, given: Mapping[str, Any]) -> Settings:
    """The settings asked for; other settings are those of the folder's session, else the defaults and a random seed.

    Args:
        given: settings by name; None or False where nothing was asked.

    Raises:
        ConfigError: the folder holds a damaged session.
    """
    path = folder / "session.json"
    begun = _read(path)["settings"] if path.exists() else {"seed": secrets.randbelow(1 << 30)}
    return Settings(
        **{**begun, **{name: value for name, value in given.items() if value is not None and value is not False}}
    )


class Session:
    """The audits of one person, kept in a folder (`session.json`, and `verdicts.jsonl` with what was submitted).

    Args:
        folder: made if missing; a session in the folder is resumed.
        cases: in the order in which they are offered.
        clock: seconds; for tests.

    Raises:
        ConfigError: the folder holds a session with other settings or cases, or a damaged one.
    """

    def __init__(
        self, folder: Path, cases: Sequence[Case], settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.settings, self.clock = folder, settings, clock
        self.path, self.verdicts = folder / "session.json", folder / "verdicts.jsonl"
        self._seen: dict[str, float] = {}
        known = _read(self.path) if self.path.exists() else {}
        self.secret: str = known.get("secret") or secrets.token_hex(16)
        self.cases = {self._key(case): case for case in cases}
        self.audits = {key: known.get("audits", {}).get(key) or self._fresh() for key in self.cases}
        if known and (known["settings"], list(known["audits"])) != (asdict(settings), list(self.cases)):
            raise ConfigError(
                f"The folder {folder} holds a session with other settings or other cases ({_differences(known['settings'], settings)}).",
                "Repeat the options it was begun with, or name another folder with --out.",
            )
        self._write()

    def audit(self, key: str) -> Audit:
        """The state of a case.

        Raises:
            KeyError: no such case.
        """
        return self.audits[key]

    def open(self, key: str) -> Audit:
        """A page shows the case: from now on this page may save, earlier pages may not."""
        audit = self.audits[key]
        audit.tab, audit.change = audit.tab + 1, 0
        self.tick(key)
        return audit

    def left(self, key: str) -> float:
        """Seconds that remain in the present phase."""
        audit = self.audits[key]
        return 0.0 if audit.phase == "done" else max(0.0, self._limit(audit.phase) - audit.spent[audit.phase])

    def tick(self, key: str) -> Audit:
        """The page is open: time goes on, and with the last second of the paper the code begins."""
        audit, now = self.audits[key], self.clock()
        gone = now - self._seen.get(key, now)
        self._seen[key] = now
        if audit.phase != "done" and gone <= AWAY:
            audit.spent[audit.phase] += gone
        if audit.phase == "paper" and not self.left(key):
            self._end_paper(key)
        self._write()
        return audit

    def save(self, key: str, tab: int, change: int, given: Mapping[str, Any]) -> Audit:
        """Keep an answer as it stands.

        Args:
            tab: number of the page that saves.
            change: counts the changes of the page; a change that arrives late is left out.
            given: `credence` (0 to 1 or None), `notes` and `fixes`.

        Raises:
            ConfigError: another page is newer, the case was submitted, or the answer has a wrong form.
        """
        audit = self.tick(key)
        if audit.phase == "done":
            raise ConfigError("This verdict was submitted already.", "It cannot be changed any more.")
        if tab != audit.tab:
            raise ConfigError("This paper was opened again in another window.", "Go on there, or load this page anew.")
        if change <= audit.change:
            return audit
        credence, problem = read_credence(given.get("credence"))
        if problem not in (None, "missing"):
            raise ConfigError(f"The credence is {problem}.", "Give a share from 0 to 1, or none.")
        notes, fixes = given.get("notes", ""), given.get("fixes", [])
        if not isinstance(fixes, list) or not all(isinstance(fix, dict) for fix in fixes):
            raise ConfigError("The fixes are no list of fixes.", "Load the page anew.")
        if len(fixes) > MAX_FIXES:
            raise ConfigError(f"There are too many fixes; {MAX_FIXES} at most.", "Remove the least likely.")
        drafts = [Draft(**{name: _text(fix.get(name, "")) for name in Draft.__slots__}) for fix in fixes]
        audit.credence, audit.notes, audit.fixes, audit.change = credence, _text(notes), drafts, change
        self._write()
        return audit

    def advance(self, key: str) -> Audit:
        """End the reading of the paper: the answer so far becomes the verdict on the paper alone."""
        if self.tick(key).phase == "paper":
            self._end_paper(key)
            self._write()
        return self.audits[key]

    def submit(self, key: str) -> Audit:
        """End the case: the answer becomes the verdict.

        Raises:
            ConfigError: the paper has not been ended, or the case was submitted already.
        """
        audit = self.tick(key)
        if audit.phase != "code":
            raise ConfigError("This case cannot be submitted now.", "Read the paper and then the code; submit once.")
        fixes = tuple(fix for draft in audit.fixes if (fix := draft.fix()) is not None)
        self._record(key, "code", fixes, sum(audit.spent.values()))
        audit.phase = "done"
        self._write()
        return audit

    # --- within

    def _end_paper(self, key: str) -> None:
        audit = self.audits[key]
        if self.settings.paper_minutes:
            self._record(key, "paper", (), audit.spent["paper"])
        audit.phase = "code"

    def _record(self, key: str, affordance: Affordance, fixes: tuple[Fix, ...], seconds: float) -> None:
        audit, case = self.audits[key], self.cases[key]
        credence, unscored = read_credence(audit.credence)
        cost = Cost(seconds=round(seconds, 1))
        verdict = Verdict(
            case.id, self.settings.auditor, affordance, credence, unscored, fixes, audit.notes, cost
        )  # fmt: skip
        with _writing(self.folder):
            append_verdict(self.verdicts, verdict)

    def _fresh(self) -> Audit:
        return Audit(phase="paper" if self.settings.paper_minutes else "code")

    def _limit(self, phase: str) -> float:
        return 60 * (self.settings.paper_minutes if phase == "paper" else self.settings.code_minutes)

    def _key(self, case: Case) -> str:
        name = f"{case.codebase}/{case.id}".encode()
        return hmac.new(self.secret.encode(), name, hashlib.sha256).hexdigest()[:16]

    def _write(self) -> None:
        state = {
            "secret": self.secret,
            "settings": asdict(self.settings),
            "audits": {key: asdict(audit) for key, audit in self.audits.items()},
        }
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            disk.write_whole(self.path, json.dumps(state, indent=1, ensure_ascii=False))


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = parse_json(path.read_bytes())
        state["audits"] = {
            key: Audit(**{**audit, "fixes": [Draft(**draft) for draft in audit["fixes"]]})
            for key, audit in state["audits"].items()
        }
        Settings(**state["settings"])
        return {name: state[name] for name in ("secret", "settings", "audits")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is no session that can be resumed ({error}).",
                          "Name another folder with --out.") from error  # fmt: skip


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """New files and folders belong to this user alone: the session holds the secret that hides labels, and answers."""
    usual = os.umask(0o077)
    try:
        yield
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be written: {error.strerror or error}.",
                          "Name another with --out.") from error  # fmt: skip
    finally:
        os.umask(usual)


def _differences(old: Mapping[str, Any], new: Settings) -> str:
    changed = [f"{name} {old.get(name)}, now {value}" for name, value in asdict(new).items() if old.get(name) != value]
    return "; ".join(changed) or "the cases"


def _text(given: Any) -> str:
    if not isinstance(given, str) or len(given) > _MAX_TEXT:
        raise ConfigError("A field holds no text, or too much of it.", f"At most {_MAX_TEXT:,} characters a field.")
    return given.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
