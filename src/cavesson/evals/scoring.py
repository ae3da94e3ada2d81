"""Asking a model all items of a suite, and judging its answers."""

from __future__ import annotations

from collections.abc import Sequence

from cavesson.evals.items import Eval, Item
from cavesson.evals.scores import Score
from cavesson.sampling.sampler import Completion, Params, Progress, Sampler


def score_suite(
    sampler: Sampler,
    suite: Sequence[Eval],
    *,
    step: int | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """Greedy answers to all items of a suite, judged.

    Args:
        step: recorded with the scores.
        progress: called with answers given and answers wanted.

    Returns:
        one row per item, suite and items in order.
    """
    questions = [(one, item) for one in suite for item in one.items()]
    answers: dict[int, Completion] = {}
    # evaluations with equally long answers are asked together: fuller batches
    for longest in sorted({one.room for one in suite}):
        which = [index for index, (one, _) in enumerate(questions) if one.room == longest]

        asked = [questions[index][1].prompt for index in which]
        given = sampler.sample(asked, Params(max_tokens=longest), _from(len(answers), len(questions), progress))
        answers.update((index, completions[0]) for index, completions in zip(which, given, strict=True))
    return [judged(one, item, answers[index], step, sampler.system) for index, (one, item) in enumerate(questions)]


def judged(one: Eval, item: Item, answer: Completion, step: int | None = None, own_system: str | None = None) -> Score:
    """One answer, judged.

    Args:
        own_system: the system prompt that the model is asked under where the item has none.
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
    """Progress of a part, told as that of the whole."""

    def report(done: int, total: int, **figures: float | str) -> None:
        if progress is not None:
            progress(before + done, wanted, **figures)

    return report
