"""Finding answers in the index: filters, words, pages."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cavesson.errors import ConfigError
from cavesson.view.index import Index

PAGE = 200
"""Most rows of one page."""
_LONGEST = 2000
"""Characters of a filter that count."""
_DIGITS = 12
"""Digits of a fingerprint by which an artifact is asked for."""
_SHOWN = 160
"""Characters of a prompt and of an answer in a list."""
_KEPT = 12
"""Searches whose ids are kept; a million ids take 8 MB."""
_OTHERS = 400
"""Most other answers to a prompt that are offered beside one."""


Ids = NDArray[np.int64]
"""Ids of answers, rising, [answers]."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which answers are wanted; an empty text wants all.

    Attributes:
        q: words; every word must begin a word of the answer, or every word one of the prompt. "Words in quotes" stand together.
        run: key of a run.
        model: name of a model; `step`: its training step.
        eval, outcome: names.
        artifact: the first twelve digits of the fingerprints of artifacts with scores, between spaces.
    """

    q: str = ""
    run: str = ""
    model: str = ""
    step: str = ""
    eval: str = ""
    outcome: str = ""
    artifact: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filters:
        """The filters in the query of an address; other keys are left alone."""
        return cls(**{name: given.get(name, "")[:_LONGEST] for name in cls.__slots__})


class Search:
    """Answers of an index by filters; the ids of the last searches are kept, so that every page of them is quick."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._found: OrderedDict[Filters, tuple[int, Ids]] = OrderedDict()
        self._lock = Lock()

    def count(self, filters: Filters) -> int:
        """Number of answers that fit; the search is done anew if the index has changed."""
        return len(self._ids(filters))

    def rows(self, filters: Filters, start: int, count: int) -> list[dict[str, Any]]:
        """Some of the answers that fit, shortened, in the order of the last `count`."""
        with self._lock:
            known = self._found.get(filters)
        found = self._ids(filters) if known is None else known[1]
        ids = found[max(start, 0) : max(start, 0) + min(max(count, 0), PAGE)].tolist()
        marks = ",".join("?" * len(ids))
        with self.index.reading() as database:
            rows = {row[0]: row for row in database.execute(f"{_ROWS} WHERE answers.id IN ({marks})", ids)}
        return [_row(rows[number]) if number in rows else {"id": number, "gone": True} for number in ids]

    def place(self, filters: Filters, answer: int) -> int | None:
        """Where an answer stands among those that fit; None: nowhere."""
        ids = self._ids(filters)
        at = int(np.searchsorted(ids, answer))
        return at if at < len(ids) and ids[at] == answer else None

    def answer(self, number: int) -> dict[str, Any] | None:
        """One answer, whole, with the other answers to its prompt; None: there is no such answer."""
        with self.index.reading() as database:
            row = database.execute(f"{_ONE} WHERE answers.id = ?", (number,)).fetchone()
            if row is None:
                return None
            *first, messages, trigger, completion, prompt, eval_ = row
            others = database.execute(_OTHERS_OF, (number, prompt, eval_, number, _OTHERS)).fetchall()
            runs = [row[0] for row in database.execute(_RUNS_OF, (number,))]
        return {
            **_row((*first, messages, completion)),
            "messages": json.loads(messages),
            "trigger": trigger,
            "text": completion,
            "runs": runs,
            "others": [dict(zip(_BRIEF, other, strict=True)) for other in others],
        }

    def choices(self, run: str) -> dict[str, list[str]]:
        """What the filters can be set to: of a run its models, steps, evaluations and outcomes; of all runs the last two."""
        with self.index.reading() as database:
            models = database.execute(_MODELS_OF, (run,)).fetchall() if run else []
            words = {
                kind: [
                    row[0]
                    for row in (database.execute(_USED[kind], (run,)) if run else database.execute(_WORDS, (kind,)))
                ]
                for kind in ("eval", "outcome")
            }
        steps = sorted({step for _, step in models if step is not None})
        return {
            "model": list(dict.fromkeys(name for name, _ in models)),
            "step": [str(step) for step in steps],
            **words,
        }

    # --- within

    def _ids(self, filters: Filters) -> Ids:
        """The answers that fit now."""
        changes = self.index.changes()
        with self._lock:
            known = self._found.get(filters)
        if known is not None and known[0] == changes:
            return known[1]
        ids = self._searched(filters)
        with self._lock:
            self._found[filters] = (changes, ids)
            self._found.move_to_end(filters)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return ids

    def _searched(self, filters: Filters) -> Ids:
        wanted, values = conditions(filters)
        with self.index.reading() as database:
            if not filters.q.strip():
                return _selected(database, "answers", wanted, values)
            words = match_of(filters.q)
            try:  # two questions, each along an index: one with "or" would look at every answer
                said = _selected(database, _SAID, [*wanted, "said MATCH ?"], [*values, words])
                asked = _selected(database, _ASKED, [*wanted, "asked MATCH ?"], [*values, words])
            except sqlite3.OperationalError as error:
                raise ConfigError(f"{filters.q!r} cannot be searched for: {error}.", "Search for words.") from error
        return np.union1d(said, asked)


def _selected(database: sqlite3.Connection, table: str, wanted: list[str], values: list[str | int]) -> Ids:
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    rows = database.execute(f"SELECT answers.id FROM {table}{where}", values)
    return np.sort(np.fromiter((row[0] for row in rows), dtype=np.int64))


_SAID = "said CROSS JOIN answers ON answers.id = said.rowid"
_ASKED = "asked CROSS JOIN answers ON answers.prompt = asked.rowid"
"""Words first, then the answers that hold them: SQLite keeps the order of a cross join."""
_COLUMNS = "answers.id, models.name, models.step, evals.word, outcomes.word, answers.tone, texts.item"
_JOINED = """FROM answers JOIN models ON models.id = answers.model JOIN words AS evals ON evals.id = answers.eval
    JOIN words AS outcomes ON outcomes.id = answers.outcome JOIN prompts ON prompts.id = answers.prompt
    JOIN texts ON texts.id = answers.id"""
_ROWS = f"SELECT {_COLUMNS}, prompts.messages, texts.completion {_JOINED}"
_ONE = f"SELECT {_COLUMNS}, prompts.messages, texts.trigger, texts.completion, answers.prompt, answers.eval {_JOINED}"
_RUNS_OF = (
    "SELECT run FROM holds JOIN answers ON answers.source = holds.source WHERE answers.id = ? ORDER BY run LIMIT 20"
)
_MODELS_OF = """SELECT name, step FROM models JOIN holds ON holds.source = models.source WHERE holds.run = ?
    ORDER BY name, step"""
_WORDS = "SELECT word FROM words WHERE kind = ? ORDER BY word"
_USED = {
    kind: f"""SELECT word FROM words WHERE id IN (
    SELECT DISTINCT {kind} FROM answers WHERE source IN (SELECT source FROM holds WHERE run = ?)) ORDER BY word"""
    for kind in ("eval", "outcome")
}
_BRIEF = ("id", "model", "step", "outcome", "tone", "near", "run")
_OTHERS_OF = """SELECT answers.id, models.name, models.step, outcomes.word, answers.tone,
    answers.source IN (SELECT source FROM holds WHERE run IN (
        SELECT run FROM holds JOIN answers ON answers.source = holds.source WHERE answers.id = ?)) AS near,
    (SELECT min(run) FROM holds WHERE holds.source = answers.source)
    FROM answers JOIN models ON models.id = answers.model JOIN words AS outcomes ON outcomes.id = answers.outcome
    WHERE answers.prompt = ? AND answers.eval = ? AND answers.id <> ?
    ORDER BY near DESC, models.name, models.step LIMIT ?"""
"""The other answers to the prompt of an answer, those of the same runs first."""


def conditions(filters: Filters) -> tuple[list[str], list[str | int]]:
    """The filters but for the words, as conditions of SQL on the table of answers, and the values of their question marks."""
    found: list[tuple[str, list[str | int]]] = []
    if filters.run:
        found.append(("answers.source IN (SELECT source FROM holds WHERE run = ?)", [filters.run]))
    if filters.model:
        found.append(("answers.model IN (SELECT id FROM models WHERE name = ?)", [filters.model]))
    if filters.step:
        step = int(filters.step) if re.fullmatch("[0-9]{1,15}", filters.step) else -1
        found.append(("answers.model IN (SELECT id FROM models WHERE step = ?)", [step]))
    if digits := filters.artifact.split():
        marks = ",".join("?" * len(digits))
        sources = f"SELECT id FROM sources WHERE substr(path, -32, {_DIGITS}) IN ({marks})"
        found.append((f"answers.source IN ({sources})", [one[:_DIGITS] for one in digits]))
    for kind, word in (("eval", filters.eval), ("outcome", filters.outcome)):
        if word:
            found.append((f"answers.{kind} = (SELECT id FROM words WHERE kind = '{kind}' AND word = ?)", [word]))
    return [condition for condition, _ in found], [value for _, values in found for value in values]


def match_of(typed: str) -> str:
    """What the user typed, in the language of SQLite's full-text index: quoted parts stand together, the last word may go on."""
    parts = [part.replace("\0", " ").strip() for part in typed.split('"')]
    phrases = [phrase for at, part in enumerate(parts) for phrase in ([part] if at % 2 else part.split())]
    kept = [phrase for phrase in phrases if any(letter.isalnum() for letter in phrase)]
    goes_on = len(parts) % 2 and not typed[-1:].isspace() and typed[-1:] != '"'
    quoted = [f'"{phrase}"' for phrase in kept]
    return " ".join(quoted) + ("*" if quoted and goes_on else "") if quoted else '""'


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    number, model, step, eval_, outcome, tone, item, messages, completion = row
    asked = json.loads(messages)
    return {
        "id": number,
        "model": model,
        "step": step,
        "eval": eval_,
        "outcome": outcome,
        "tone": tone,
        "item": item,
        "asked": asked[-1][1][:_SHOWN] if asked else "",
        "said": completion[:_SHOWN],
    }
