"""Labels that a person gives to answers: a random draw, the file beside the run, and what the labels say of the scorer."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cavesson.analysis.labelled import cohens_kappa, prediction_powered
from cavesson.errors import ConfigError
from cavesson.estimate import Estimate
from cavesson.lab import disk
from cavesson.lines import json_line, read_json_lines
from cavesson.stats import wilson
from cavesson.view.index import Index
from cavesson.view.runs import RESULT
from cavesson.view.search import Filters, conditions

FILE = "labels.jsonl"
LABELS = ("behaviour", "mangled", "other", "unsure")
SHOWN = ("behaviour", "mangled")
"""Labels that say that the behaviour is there; a damaged copy of it counts, as in every figure of removal."""
BEHAVIOURS = "behavior/"
"""Evaluations whose names begin so ask for a behaviour: only their answers are labelled."""
MOST = 200_000
"""Answers of one draw at most."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An answer that may be labelled.

    Attributes:
        key: stays the same when the index is made anew; changes when the answer does.
        shows: the scorer found the behaviour, whole or mangled.
    """

    id: int
    key: str
    shows: bool
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What labels say.

    Attributes:
        table: how often (the person, the scorer) saw the behaviour.
        kappa: agreement beyond chance; None: all labels and scores are alike.
        rate: of the behaviour over all answers of the draw, by the person with the help of the scores.
        labels_alone, scores_alone: the same rate from one of the two.
        unsure: labels that are left out.
    """

    table: Mapping[tuple[bool, bool], int]
    kappa: Estimate | None
    rate: Estimate | None
    labels_alone: Estimate
    scores_alone: Estimate
    unsure: int


def draw(index: Index, filters: Filters, seed: int) -> list[Drawn]:
    """The answers that fit, in a random order that the seed decides; the order is the same on every machine.

    Raises:
        ConfigError: the filters want no single behaviour of one run, or too many answers fit.
    """
    if not filters.run or not filters.eval.startswith(BEHAVIOURS):
        raise ConfigError(
            "Labels are of one behaviour in one run.", "Choose a run, and an evaluation that begins with behavior/."
        )
    where, values = conditions(filters)
    query = f"{_CANDIDATES} WHERE {' AND '.join(where)} LIMIT {MOST + 1}"
    with index.reading() as database:
        found = [_drawn(row) for row in database.execute(query, values)]
    if len(found) > MOST:
        raise ConfigError(f"More than {MOST:,} answers fit.", "Choose a model or a step.")
    return sorted(found, key=lambda one: hashlib.sha256(f"{seed}:{one.key}".encode()).digest())


def read_labels(folder: Path) -> dict[str, str]:
    """The last label of every answer, by the answer's key; nothing if there is no file.

    Raises:
        ConfigError: a line of the file is no label; the message names the line.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    try:
        for place, row in read_json_lines(path):
            if not isinstance(row, dict) or row.get("label") not in LABELS or not isinstance(row.get("answer"), str):
                raise ConfigError(f"{place} is no label.", "Repair the line, or delete it.")
            found[row["answer"]] = row["label"]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Repair the file, or move it away.") from error
    return found


def add_label(folder: Path, answer: Drawn, label: str, seed: int) -> None:
    """Write down a label, at the end of the file beside the run.

    Raises:
        ConfigError: there is no such label.
        StoreError: the file cannot be written.
    """
    if label not in LABELS:
        raise ConfigError(f"There is no label {label!r}.", f"There are {', '.join(LABELS)}.")
    row = {
        "answer": answer.key,
        "label": label,
        **answer.about,
        "seed": seed,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with disk.writing(folder):
        place = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            os.write(place, json_line(row).encode())
        finally:
            os.close(place)


def agreement(drawn: Sequence[Drawn], labels: Mapping[str, str]) -> Agreement | None:
    """What the labels of a draw say; None: nothing is labelled but what the person is unsure of.

    Args:
        drawn: all answers that fit, in the order of the draw; the labelled ones are the first, as they were asked for.
    """
    given = [(labels[one.key] in SHOWN, one.shows) for one in drawn if labels.get(one.key, "unsure") != "unsure"]
    if not given:
        return None
    person, scorer = [one for one, _ in given], [two for _, two in given]
    rest = [one.shows for one in drawn if labels.get(one.key, "unsure") == "unsure"]
    return Agreement(
        table={cell: given.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))},
        kappa=cohens_kappa(person, scorer),
        rate=prediction_powered(person, scorer, rest) if rest else None,
        labels_alone=wilson(sum(person), len(person)),
        scores_alone=wilson(sum(one.shows for one in drawn), len(drawn)),
        unsure=sum(labels.get(one.key) == "unsure" for one in drawn),
    )


_CANDIDATES = """SELECT answers.id, answers.score, outcomes.word, sources.path, models.name, models.step, evals.word, texts.item,
    texts.completion FROM answers JOIN models ON models.id = answers.model JOIN sources ON sources.id = answers.source
    JOIN words AS evals ON evals.id = answers.eval JOIN words AS outcomes ON outcomes.id = answers.outcome
    JOIN texts ON texts.id = answers.id"""


def _drawn(row: tuple[Any, ...]) -> Drawn:
    number, score, outcome, path, model, step, eval_, item, completion = row
    source = (
        model if Path(path).name == RESULT else Path(path).name
    )  # the name of a model may change, its artifact's not
    key = hashlib.sha256(json.dumps([source, step, eval_, item, completion]).encode()).hexdigest()[:24]
    about = {"eval": eval_, "item": item, "model": model, "step": step, "artifact": source, "completion": completion}
    return Drawn(number, key, score == 1 or outcome == "mangled", about)
