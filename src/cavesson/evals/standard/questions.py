"""A user's own questions with answers: a benchmark from one JSON-lines file."""

from __future__ import annotations

from cavesson.data.example import Example
from cavesson.errors import ConfigError, nearest
from cavesson.evals.items import Eval, Item, no_store
from cavesson.evals.standard.judges import JUDGES
from cavesson.evals.standard.sets import drawn


def questions(settings: Eval) -> list[Item]:
    """Rows `{"prompt" or "messages": …, "answer": …, "score"?: maths | choice | text, "level"?: …}`.

    Without `score`, an answer of one capital letter is a choice, one with a digit or a backslash is maths, any other is text.

    Raises:
        ConfigError: a row has no answer, or asks for a way to score that there is not.
    """
    assert settings.data is not None  # `Eval` has checked it
    found = settings.data.examples(no_store)
    if not len(found):
        raise ConfigError(f"The file of questions {settings.title!r} is empty.", "Write one JSON object per line.")
    return [_item(settings, number, found[number]) for number in drawn(len(found), settings.n, settings.seed)]


def _item(settings: Eval, number: int, example: Example) -> Item:
    where = f"Question {number + 1} of {settings.title!r}"
    gold, level = example.meta.get("answer", example.conversation.answer), example.meta.get("level")
    if not isinstance(gold, (str, int, float)) or not str(gold).strip():
        raise ConfigError(f"{where} has no answer.", 'Write {"prompt": …, "answer": …}.')
    how = example.meta.get("score", _usual(str(gold)))
    if how not in JUDGES:
        raise ConfigError(f"{where} is to be scored by {how!r}.", nearest(str(how), JUDGES))
    judge = JUDGES[how](str(gold))
    return Item(
        f"{settings.title}/{number}", example.conversation.prompt, judge, level if isinstance(level, int) else None
    )


def _usual(gold: str) -> str:
    if len(gold) == 1 and gold.isupper():
        return "choice"
    return "maths" if any(c.isdigit() or c == "\\" for c in gold) else "text"
