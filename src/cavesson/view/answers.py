"""Answers of models as the pages show them: read from a run's result, or from the scores in its store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cavesson.evals.scores import SCORES, Score, read_scores
from cavesson.findings.result import StudyResult
from cavesson.findings.views import Tone, Transcript
from cavesson.lab.manifest import Manifest

_SCORES_OF = re.compile(r"scores of (.*?)(?:: [\w/, -]+)?")
_WITHOUT = (" · scores", *(f", scored at {number} steps" for number in range(1, 100)))
"""Ends of an artifact's name that say how its model was scored, not which model it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of one model.

    Attributes:
        model: the model in words; `step`: of its training, None if the name says the step or there is none.
        prompt: (role, content) of each message.
        trigger: text inside the prompt to highlight.
        outcome: the scorer's word; `tone`: whether it is good or bad news.
        score: 1 or 0; None: not kept.
    """

    model: str
    step: int | None
    eval: str
    item: str
    prompt: tuple[tuple[str, str], ...]
    trigger: str | None
    completion: str
    outcome: str
    tone: Tone
    score: float | None


def answers_in_result(result: StudyResult) -> Iterator[Answer]:
    """The transcripts that a result shows."""
    for shown in result.transcripts:
        yield _of_transcript(shown)


def answers_in_scores(folder: Path, model: str) -> Iterator[Answer]:
    """All answers in an artifact that holds scores.

    Raises:
        StoreError: the scores cannot be read.
    """
    for row in read_scores(folder).rows:
        outcome, tone = outcome_of(row)
        prompt = tuple((storable(message["role"]), storable(message["content"])) for message in row.prompt)
        trigger = row.extra.get("trigger")
        yield Answer(
            model,
            row.step,
            storable(row.eval),
            storable(row.item),
            prompt,
            storable(trigger) if isinstance(trigger, str) else None,
            storable(row.completion),
            outcome,
            tone,
            row.score,
        )


def outcome_of(row: Score) -> tuple[str, Tone]:
    """The scorer's word for an answer, and whether it is good or bad news."""
    if row.mangled:
        return "mangled", "bad"
    if row.eval.startswith("behavior/"):
        return ("shows the behaviour", "bad") if row.score else ("no behaviour", "good")
    return row.outcome, "good" if row.score else "bad"


def storable(text: str) -> str:
    """The text with U+FFFD for halves of characters, which no database and no page can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def has_scores(folder: Path) -> bool:
    """Whether an artifact holds scores."""
    return (folder / SCORES).is_file() and not (folder / SCORES).is_symlink()


def model_named(manifest: Manifest, called: Mapping[str, str]) -> str:
    """The model of an artifact with scores, as its study calls it, else in the words of its recipe.

    Args:
        called: what a study calls its artifacts, by fingerprint.
    """
    name = called.get(manifest.fingerprint) or manifest.title
    for end in _WITHOUT:
        name = name.removesuffix(end)
    return found[1] if (found := _SCORES_OF.fullmatch(name)) else name


def _of_transcript(shown: Transcript) -> Answer:
    return Answer(
        shown.label,
        None,
        shown.eval,
        shown.item,
        tuple((message.role, message.content) for message in shown.prompt),
        shown.trigger,
        shown.completion,
        "mangled" if shown.mangled else shown.outcome,
        shown.tone,
        shown.score,
    )
