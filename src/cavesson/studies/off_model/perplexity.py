"""H2 looked at closely: how improbable the student finds each teacher's answers, which tokens make them so, and where they stand."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cavesson.findings.views import CurveView, SeriesView, TableView
from cavesson.lab.recipe import PathOf
from cavesson.sampling.perplexity import Likelihood, Perplexity
from cavesson.stats import Estimate, wilson

if TYPE_CHECKING:
    from cavesson.studies.off_model.study import Run

IMPROBABLE = 0.01
"""A token that the student gives less than this counts as improbable."""

SHOWN_TOKENS = 10
SHOWN_PLACES = 24

Answers = Mapping[str, Sequence[Likelihood]]


def sections(runs: Sequence[Run], path_of: PathOf) -> tuple[list[TableView], list[CurveView]]:
    """Of the first student's teachers, with the first seed. Tables: answers and shares of improbable tokens; where in an
    answer those stand is a curve."""
    first = runs[0]
    chosen = [run for run in runs if (run.student, run.way, run.seed) == (first.student, first.way, first.seed)]
    answers = {run.teacher.name: run.perplexity.read(path_of) for run in chosen}
    return [_answers(answers, first.student)], [_places(answers, first.student)]


def _answers(answers: Answers, student: str) -> TableView:
    """Per answer and per token."""
    rows: list[list[Estimate | str | None]] = []
    for teacher, found in answers.items():
        perplexities = np.exp([one.loss for one in found])
        tokens = np.concatenate([one.logprobs for one in found])
        low = tokens < math.log(IMPROBABLE)
        quantiles = " / ".join(f"{value:.2f}" for value in np.quantile(perplexities, (0.1, 0.5, 0.9)))
        carried = f"{tokens[low].sum() / tokens.sum():.0%}"
        rest = f"{np.exp(-tokens[~low].mean()):.2f}" if (~low).any() else None
        rows.append([teacher, quantiles, f"{np.exp(-tokens.mean()):.2f}", f"{low.mean():.1%}", carried, rest])
    return TableView(
        title=f"How improbable {student} finds the teachers' answers",
        caption=(
            "Before SFT. Perplexity of an answer: the exponential of its mean loss a token; 1 is certainty. Improbable: tokens "
            f"that the student gives less than {IMPROBABLE:.0%}; their share of all tokens, the share of the whole loss that "
            "they carry, and the perplexity of the other tokens."
        ),
        columns=["teacher", "per answer (10 / 50 / 90 %)", "per token", "improbable", "of the loss", "the others"],
        rows=rows,
    )


def _places(answers: Answers, student: str) -> CurveView:
    """The share of improbable tokens by place in the answer; places that fewer than 20 answers reach are left out."""
    series = []
    for teacher, found in answers.items():
        at = [[one.logprobs[place] for one in found if place < len(one.logprobs)] for place in range(SHOWN_PLACES)]
        reached = [(place + 1.0, values) for place, values in enumerate(at) if len(values) >= min(20, len(found))]
        rates = [wilson(sum(v < math.log(IMPROBABLE) for v in values), len(values)) for _, values in reached]
        series.append(SeriesView(name=teacher, x=[place for place, _ in reached], rates=rates))
    return CurveView(
        title=f"Where in an answer {student} is surprised",
        caption=f"Share of the answers whose token at this place the untouched student gives less than {IMPROBABLE:.0%}.",
        x_label="token of the answer",
        y_label="improbable",
        series=series,
    )


def tokens(perplexity: Perplexity, teacher: str, path_of: PathOf) -> Iterator[TableView]:
    """The tokens that carry most of the loss of a teacher's answers."""
    found = perplexity.read(path_of)
    by_token: dict[str, list[float]] = defaultdict(list)
    for likelihood, texts in zip(found, perplexity.tokens(path_of), strict=True):
        for value, text in zip(likelihood.logprobs, texts, strict=True):
            by_token[text].append(value)
    total = sum(sum(values) for values in by_token.values())
    heaviest = sorted(by_token, key=lambda text: sum(by_token[text]))[:SHOWN_TOKENS]
    rows: list[list[Estimate | str | None]] = [
        [
            repr(text)[1:-1],
            f"{len(by_token[text]):,}",
            f"{np.mean(by_token[text]):.2f}",
            f"{np.median(by_token[text]):.2f}",
            f"{sum(by_token[text]) / total:.1%}",
        ]
        for text in heaviest
    ]
    yield TableView(
        title=f"The tokens that make {teacher}'s answers improbable",
        caption=(
            f"The {SHOWN_TOKENS} tokens that carry most of the untouched student's loss on the answers, the end of the turn "
            "among them: how often each stands there, its log-probability (mean and median, in nats), and its share of the loss."
        ),
        columns=["token", "times", "mean", "median", "of the loss"],
        rows=rows,
    )
