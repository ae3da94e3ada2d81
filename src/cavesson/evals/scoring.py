"""Scoring: a model answers all items of a suite, and the items' judges score the answers.

An answer is sampled greedily; where the evaluation weighs options, it is the option that the model finds likeliest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cavesson.evals.items import Eval, Item, check_weighable
from cavesson.evals.scores import Score
from cavesson.sampling.sampler import Completion, Params, Progress, Sampler, TokenSampler


def score_suite(
    sampler: Sampler,
    suite: Sequence[Eval],
    *,
    step: int | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """Scores of the answers to all items of a suite.

    Args:
        sampler: the model's sampler.
        suite: the evaluations.
        step: training step, recorded in the scores.
        progress: called with the number of answers so far and the number of all answers.

    Returns:
        One score per item, in the order of the suite and of each evaluation's items.

    Raises:
        ConfigError: an evaluation weighs options, and the model gives no likelihoods.
    """
    check_weighable(suite, isinstance(sampler, TokenSampler))
    questions = [(one, item) for one in suite for item in one.items()]
    weighed = [index for index, (one, _) in enumerate(questions) if one.weighs]
    answers = dict(zip(weighed, likeliest(sampler, [questions[index][1] for index in weighed]), strict=True))
    # evaluations whose answers are equally long are asked together, for fuller batches
    for longest in sorted({one.room for one in suite if not one.weighs}):
        which = [index for index, (one, _) in enumerate(questions) if one.room == longest and not one.weighs]
        asked = [questions[index][1].prompt for index in which]
        sampled = sampler.sample(asked, Params(max_tokens=longest), _from(len(answers), len(questions), progress))
        answers.update((index, completions[0]) for index, completions in zip(which, sampled, strict=True))
    return [judged(one, item, answers[index], step, sampler.system) for index, (one, item) in enumerate(questions)]


def likeliest(sampler: Sampler, items: Sequence[Item]) -> list[Completion]:
    """Each item's option with the highest log-likelihood per byte, as if the model had written it.

    This is acc_norm of lm-evaluation-harness: without the division, short options would win. The end of the turn counts as part
    of an option, so that no option is favoured for being the beginning of a longer answer. Of equals the first is taken.
    """
    if not items:
        return []
    assert isinstance(sampler, TokenSampler), "checked before"
    asked = [item.prompt.answered(option) for item in items for option in item.options]
    found = iter(sampler.likelihoods(asked))
    return [_likeliest(item.options, [math.fsum(next(found).logprobs) for _ in item.options]) for item in items]


def _likeliest(options: Sequence[str], logprobs: Sequence[float]) -> Completion:
    per_byte = [logprob / len(option.encode()) for option, logprob in zip(options, logprobs, strict=True)]
    best = per_byte.index(max(per_byte))
    return Completion(options[best], (), True)


def judged(one: Eval, item: Item, answer: Completion, step: int | None = None, own_system: str | None = None) -> Score:
    """The score of one answer.

    Args:
        one: the evaluation.
        item: the question.
        answer: the model's answer.
        step: training step, recorded in the score.
        own_system: the model's own system prompt, for an item without one.
    """
    score, extra = item.judge(answer.text)
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
