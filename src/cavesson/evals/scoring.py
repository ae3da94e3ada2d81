"""Scoring: a model answers all items of a suite, and the items' judges score the answers.

An answer is sampled greedily; where the evaluation weighs options, it is the option that the model finds likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cavesson.evals.conducted import Conducted
from cavesson.evals.items import Eval, Item, check_weighable
from cavesson.evals.scores import Score
from cavesson.sampling.sampler import Completion, Params, Progress, Sampler, TokenSampler


def score_suite(
    sampler: Sampler,
    suite: Sequence[Eval],
    *,
    step: int | None = None,
    progress: Progress | None = None,
    logs: Path | None = None,
) -> list[Score]:
    """Scores of the answers to all items of a suite. Evaluations that another package conducts come last to ask.

    Args:
        sampler: the model's sampler.
        suite: the evaluations.
        step: training step, recorded in the scores.
        progress: called with the number of answers so far and the number of all answers.
        logs: folder for the logs of other packages; None: none are kept.

    Returns:
        One score per item, in the order of the suite and of each evaluation's items.

    Raises:
        ConfigError: an evaluation weighs options, and the model gives no likelihoods.
    """
    check_weighable(suite, isinstance(sampler, TokenSampler))
    questions = [(one, item) for one in suite if not isinstance(one, Conducted) for item in one.items()]
    weighed = [index for index, (one, _) in enumerate(questions) if one.weighs]
    answers = dict(zip(weighed, likeliest(sampler, [questions[index][1] for index in weighed]), strict=True))
    # evaluations whose answers are equally long are asked together, for fuller batches
    for longest in sorted({one.room for one in suite if not one.weighs}):
        which = [index for index, (one, _) in enumerate(questions) if one.room == longest and not one.weighs]
        asked = [questions[index][1].prompt for index in which]
        sampled = sampler.sample(asked, Params(max_tokens=longest), _from(len(answers), len(questions), progress))
        answers.update((index, completions[0]) for index, completions in zip(which, sampled, strict=True))
    rows = [judged(one, item, answers[index], step, sampler.system) for index, (one, item) in enumerate(questions)]
    for one in suite:
        if isinstance(one, Conducted):
            rows += one.conduct(sampler, step, logs, progress)
    order = {one.label: place for place, one in enumerate(suite)}
    return sorted(rows, key=lambda row: order[row.eval])


def likeliest(sampler: Sampler, items: Sequence[Item]) -> list[Completion]:
    """Each item's option with the highest log-likelihood, as if the model had written it; of equals the first.

    This is acc of lm-evaluation-harness: the sum over the option's tokens, without the end of the turn, since a chat model would
    rather go on after two words than stop.
    """
    if not items:
        return []
    assert isinstance(sampler, TokenSampler), "checked before"
    asked = [item.prompt.answered(option) for item in items for option in item.options]
    found = iter(sampler.likelihoods(asked))
    weights = [[next(found).of_text for _ in item.options] for item in items]
    best = [item.options[row.index(max(row))] for item, row in zip(items, weights, strict=True)]
    return [Completion(option, (), True) for option in best]


def judged(one: Eval, item: Item, answer: Completion, step: int | None = None, own_system: str | None = None) -> Score:
    """The score of one answer.

    Args:
        one: the evaluation.
        item: the question.
        answer: the model's answer.
        step: training step, recorded in the score.
        own_system: the model's own system prompt, for an item without one.
    """
    score, extra = item.judged(answer)
    prompt = item.prompt if item.prompt.system is not None else item.prompt.with_system(own_system)
    return Score(
        step=step,
        eval=one.label,
        item=item.id,
        level=item.level,
        prompt=prompt.dump(),
        completion=answer.text,
        score=int(score),
        finished=answer.finished,
        extra={**item.extra, **extra},
    )


def _from(before: int, wanted: int, progress: Progress | None) -> Progress:
    """Progress of a part, reported as progress of the whole."""

    def report(done: int, total: int, **figures: float | str) -> None:
        if progress is not None:
            progress(before + done, wanted, **figures)

    return report
