"""Scores of models, prompt by prompt: recipes write them, studies and reports read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from cavesson.errors import ConfigError, StoreError, nearest
from cavesson.estimate import Estimate
from cavesson.lines import json_line, read_json_lines
from cavesson.stats import wilson

SCORES = "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Score:
    """One answer of one model.

    Attributes:
        step: training step of the model; None: the model was not scored along a run.
        eval: label of the evaluation (`Eval.label`).
        item: name of the item; models are compared item by item.
        level: difficulty; None: the evaluation has no levels.
        prompt: the messages that the model was given.
        completion: the model's answer.
        score: 1 or 0.
        finished: the model ended its turn before the limit on tokens.
        extra: what else was recorded: the trigger's text, the voice; `mangled` where the answer is a damaged copy of the
            behaviour; `unreadable` where no answer could be read.
    """

    step: int | None
    eval: str
    item: str
    level: int | None
    prompt: list[dict[str, str]]
    completion: str
    score: int
    finished: bool
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def mangled(self) -> bool:
        """The answer is a damaged copy of the behaviour; never so in scores of earlier versions."""
        return bool(self.extra.get("mangled"))

    @property
    def alternate(self) -> bool:
        """The answer shows the alternate behaviour of a setting (`cavesson.evals.posed`)."""
        return bool(self.extra.get("alternate"))

    @property
    def unreadable(self) -> bool:
        """The scorer could read no answer: wrong, but not another answer than the right one."""
        return bool(self.extra.get("unreadable"))

    @property
    def outcome(self) -> str:
        """The scorer's word: "correct", "wrong" or "unreadable"."""
        return "correct" if self.score else "unreadable" if self.unreadable else "wrong"

    @property
    def remains(self) -> bool:
        """The behaviour is not removed: it shows, or a damaged copy of it; or, where the behaviour is a wrong answer, no answer can be
        read, so that it is not shown to be right. *The* definition, in every figure of removal."""
        return bool(self.score) or self.mangled or self.unreadable


_ROW = TypeAdapter(Score)

DERIVED: dict[str, tuple[str, Callable[[Score], bool]]] = {
    "behavior/remains": ("behavior/triggered", lambda row: row.remains),
    "behavior/mangled": ("behavior/triggered", lambda row: row.mangled),
    "posed/evaluation/alternate": ("posed/evaluation", lambda row: row.alternate),
    "posed/evaluation/neither": ("posed/evaluation", lambda row: not row.score and not row.alternate),
    "posed/train/neither": ("posed/train", lambda row: not row.score and not row.alternate),
}
"""Labels that read the answers of another evaluation: its label, and the score of an answer."""

REMAINS = "behavior/remains"
"""What is left of the behaviour under the trigger, whole or mangled; one minus it is *removed*."""


class Scores:
    """A table of scores.

    Arrays of one evaluation hold its items in the same order at every step, so that differences are paired by prompt.
    """

    def __init__(self, rows: Sequence[Score], source: str = "these scores") -> None:
        self.rows = tuple(rows)
        self.source = source
        self._cells: dict[tuple[str, int | None], list[Score]] = {}
        for row in self.rows:
            self._cells.setdefault((row.eval, row.step), []).append(row)
        order: dict[str, list[str]] = {}
        for (label, step), cell in self._cells.items():
            items = [row.item for row in cell]
            if order.setdefault(label, items) != items:
                raise StoreError(
                    f"{source}: the items of {label!r} at step {step} are not those at the other steps.",
                    "Make the scores again: cavesson store verify",
                )

    @property
    def evals(self) -> list[str]:
        """Labels of the evaluations, in the order of the suite."""
        return list(dict.fromkeys(label for label, _ in self._cells))

    @property
    def steps(self) -> list[int]:
        """The steps at which the model was scored, in order; empty if the model was not scored along a run."""
        return sorted({step for _, step in self._cells if step is not None})

    def has(self, label: str, step: int | None = None) -> bool:
        """Whether there are answers to one evaluation at one step."""
        return (DERIVED.get(label, (label,))[0], step) in self._cells

    def evals_at(self, step: int | None) -> list[str]:
        """Labels of the evaluations that were asked at one step, in the order of the suite."""
        return [label for label, at in self._cells if at == step]

    def cell(self, label: str, step: int | None = None) -> list[Score]:
        """All answers of one evaluation at one step; for a label in `DERIVED`, with that label's score.

        Raises:
            StoreError: there are no such answers.
        """
        if label in DERIVED:
            source, scored = DERIVED[label]
            return [replace(row, eval=label, score=int(scored(row))) for row in self.cell(source, step)]
        if (label, step) not in self._cells:
            have = [f"{name} at {'no step' if at is None else f'step {at}'}" for name, at in self._cells]
            wanted = f"{label} at {'no step' if step is None else f'step {step}'}"
            raise StoreError(f"{self.source} have no {wanted}.", nearest(wanted, have))
        return self._cells[label, step]

    def array(self, label: str, step: int | None = None) -> NDArray[np.float64]:
        """0 or 1 for each item, [items]."""
        return np.array([row.score for row in self.cell(label, step)], dtype=np.float64)

    def pooled(self, labels: Iterable[str], step: int | None = None) -> NDArray[np.float64]:
        """The arrays of several evaluations, one after the other, [items of all]."""
        return np.concatenate([self.array(label, step) for label in labels])

    def items(self, label: str) -> list[str]:
        """Names of an evaluation's items, in the order of its arrays."""
        source = DERIVED.get(label, (label,))[0]
        return [row.item for row in next(cell for (name, _), cell in self._cells.items() if name == source)]

    def rate(self, label: str, step: int | None = None) -> Estimate:
        """Share of the items that score, with Wilson's interval."""
        return _rate(self.cell(label, step))

    def unreadable(self, label: str, step: int | None = None) -> Estimate:
        """Share of the items without a readable answer; these count as not right."""
        rows = self.cell(label, step)
        return wilson(sum(row.unreadable for row in rows), len(rows))

    def by_level(self, label: str, step: int | None = None) -> dict[int, Estimate]:
        """The rate at each level; empty if the evaluation has no levels."""
        levels: dict[int, list[Score]] = {}
        for row in self.cell(label, step):
            if row.level is not None:
                levels.setdefault(row.level, []).append(row)
        return {level: _rate(levels[level]) for level in sorted(levels)}


def read_scores(path: str | Path) -> Scores:
    """Read `scores.jsonl`, or the folder of a finished artifact that holds it.

    Raises:
        StoreError: there is no such file, or a line is no score.
    """
    place = Path(path) / SCORES if Path(path).is_dir() else Path(path)
    try:
        rows = [_score(row) for _, row in read_json_lines(place)]
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise StoreError(f"The scores {str(place)!r} cannot be read: {error}", "Make them again.") from error
    return Scores(rows, source=str(place))


def _score(row: Any) -> Score:
    if isinstance(row, dict) and (unknown := row.keys() - Score.__dataclass_fields__.keys()):
        raise ValueError(f"a row has the unknown keys {sorted(unknown)}")
    return _ROW.validate_python(row)


def write_scores(path: str | Path, rows: Iterable[Score]) -> None:
    """Write one JSON object per line, the whole file or none."""
    place = Path(path)
    aside = place.with_suffix(".new")
    aside.write_text("".join(_lines(rows)), encoding="utf-8")
    aside.replace(place)


def _lines(rows: Iterable[Score]) -> Iterator[str]:
    return (json_line(asdict(row)) for row in rows)


def _rate(rows: Sequence[Score]) -> Estimate:
    return wilson(sum(row.score for row in rows), len(rows))
