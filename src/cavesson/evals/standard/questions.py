"""A user's own questions with answers: a benchmark from one file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, ClassVar, Literal

from pydantic import Field

from cavesson.chat import Conversation, Message
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, nearest
from cavesson.evals.items import Eval, Item, Judge, drawn, firsts, no_store
from cavesson.evals.standard import judges
from cavesson.evals.standard.answers import stated
from cavesson.evals.standard.choices import letters_of, listed, options_in
from cavesson.evals.standard.equality import is_wordy
from cavesson.evals.standard.judges import JUDGES
from cavesson.evals.standard.notation import one_line
from cavesson.evals.standard.quantities import quantity

_OPTIONS = ("choices", "options", "endings", "answer_choices")
"""Columns that hold the options of a question."""


class Questions(Eval):
    """Rows `{"prompt" or "messages": …, "answer": …, "choices"?: …, "score"?: maths | choice | text, "level"?: …}`.

    A row with `choices` (or `options`), or whose prompt lists "A) … B) …", is a choice: its answer is a letter, the number of an
    option from 0, or an option's text; options that the prompt does not show are listed below it. Of the other rows an answer
    of one capital letter is a choice, one that is a number with its unit or a formula is maths, and any other is text. A list
    of answers accepts each of them; with options, all of them must be chosen. An answer that its own judge does not accept is
    refused.

    Attributes:
        data: the rows; if there are fewer than `n`, all are asked.
        title: the name of this set of questions in tables.
    """

    about = "right answer to a question of the user's own"
    usual_room = 256
    needs = "questions come from a file: give its path, such as my-questions.jsonl, in place of the name"
    reading: ClassVar[int] = 5
    # 5: answers that are taken back, reasoning in further tags; 4: a question that stands twice is asked once; 3: denials, whole numbers
    # and mentions of options; 2: options from the question; units, scales and ranges; unreadable answers

    name: Literal["questions"] = "questions"
    data: DataRecipe
    title: str = Field(pattern=r"^[\w.-]+$")

    def variant(self) -> tuple[str, ...]:
        return (self.title,)

    def questions(self) -> list[Item]:
        """The rows that are asked; a question that stands several times is asked once, for a copy is no further evidence.

        Raises:
            ConfigError: there are no rows; a question stands there again with another answer; a row has no answer, names an unknown way to score, or has an answer that its judge
                does not accept.
        """
        found = self.data.examples(no_store)
        if not len(found):
            raise ConfigError(f"The file of questions {self.title!r} is empty.", "Write one JSON object per line.")
        once = self._once(found)
        return [self._item(once[place], found[once[place]]) for place in drawn(len(once), self.n, self.seed)]

    def _once(self, found: Sequence[Example]) -> list[int]:
        """The first row of each question: of each prompt with its options."""
        asked = [(one.conversation.prompt, repr([one.meta.get(name) for name in _OPTIONS])) for one in found]
        first = firsts(asked)
        for number, (key, example) in enumerate(zip(asked, found, strict=True)):
            before = first[key]
            if repr(_gold(found[before])) != repr(_gold(example)):
                raise ConfigError(
                    f"Question {number + 1} of {self.title!r} is question {before + 1} again with another answer.",
                    'Correct one of them; a list of answers accepts each: ["a", "b"].',
                )
        return list(first.values())

    def _item(self, number: int, example: Example) -> Item:
        where = f"Question {number + 1} of {self.title!r}"
        prompt, right = asked_in(example, where)
        return Item(f"{self.title}/{number}", prompt, right.judge, _level(example.meta.get("level"), where))


@dataclass(frozen=True, slots=True)
class Right:
    """What a row says is right.

    Attributes:
        answer: as it stands in the row.
        judge: of whether a completion gives this answer.
        chosen: the answer is one of several options.
    """

    answer: Any
    judge: Judge
    chosen: bool

    def mistaken(self, completion: str, *, cut: bool = False) -> tuple[bool, dict[str, Any]]:
        """Whether a completion gives another answer, and what was read; one in which no answer can be read gives none.

        Args:
            completion: the answer.
            cut: it ended at the limit on tokens: unless it names a result ("the answer is …", a box) or an option, the last value
                in it is a step on the way, and nobody knows what the answer would have been.
        """
        right, record = self.judge(completion)
        if cut and not right and not self.chosen and stated(completion) is None:
            record = {**record, "unreadable": True}
        return not right and not record.get("unreadable"), record


def asked_in(example: Example, where: str) -> tuple[Conversation, Right]:
    """What a row asks, and what it says is right.

    Args:
        where: the row, for messages.

    Raises:
        ConfigError: the row has no answer, or one that its judge does not accept.
    """
    golds = _golds(example, where)
    prompt = example.conversation.prompt
    options = _options_of(example, where)
    shown = options_in(prompt.messages[-1].content)
    how = example.meta.get("score", "choice" if options or _is_option(golds, shown) else _judge_for(golds))
    if how not in JUDGES:
        raise ConfigError(f"{where} is to be scored by {how!r}.", nearest(str(how), JUDGES))
    if how != "choice":
        answers = [_accepted(JUDGES[how](str(gold)), str(gold), how, where) for gold in golds]
        return prompt, Right(_gold(example), judges.any_of(answers), chosen=False)
    if options and len(shown) == len(options) and _shows(prompt, options):
        _check_order(options, shown, where)
    letters = "".join(_letter(gold, options or shown, where) for gold in golds)
    if options and not _shows(prompt, options):
        prompt = Conversation((*prompt.messages[:-1], Message("user", listed(prompt.messages[-1].content, options))))
    gold = ", ".join(sorted(letters))
    judge = _accepted(judges.choice(gold, options or shown), gold, how, where)
    return prompt, Right(_gold(example), judge, chosen=True)


def _accepted(judge: Judge, gold: str, how: str, where: str) -> Judge:
    if not judges.accepts(judge, gold):
        raise ConfigError(
            f"{where} has the answer {gold!r}, which its own judge ({how}) does not accept.",
            f'Spell the answer in another way, or add "score": {", ".join(name for name in JUDGES if name != how)}.',
        )
    return judge


def _gold(example: Example) -> Any:
    return example.meta.get("answer", example.conversation.answer)


def _golds(example: Example, where: str) -> list[Any]:
    """The right answers of a row: texts and numbers; of a solution in the manner of GSM8K, what stands after `####`."""
    given = _gold(example)
    golds = list(given) if isinstance(given, (list, tuple)) else [given]
    if not golds or not all(_says_something(gold) for gold in golds):
        raise ConfigError(f"{where} has no answer.", 'Write {"prompt": …, "answer": …}.')
    return [gold.rpartition("####")[2].strip() if isinstance(gold, str) and "####" in gold else gold for gold in golds]


def _says_something(gold: Any) -> bool:
    """Whether a value can be an answer: a text, a truth value, or a number that is one."""
    return (
        math.isfinite(gold)
        if isinstance(gold, float)
        else isinstance(gold, int) or bool(isinstance(gold, str) and gold.strip())
    )


def _options_of(example: Example, where: str) -> tuple[str, ...]:
    """The options in a row's columns: texts, `{"label": […], "text": […]}`, or `{"A": …}`; () if it has none."""
    given = next((example.meta[name] for name in _OPTIONS if example.meta.get(name)), ())
    if isinstance(given, Mapping):
        _check_labels(given.get("label"), where)
        given = given["text"] if "text" in given else [given[key] for key in sorted(given)]
    if isinstance(given, (list, tuple)) and given and all(isinstance(one, Mapping) and "text" in one for one in given):
        given = [one["text"] for one in given]
    is_list = isinstance(given, (list, tuple)) and all(isinstance(one, (str, int, float)) for one in given)
    if not is_list or not len(given) <= len(ascii_uppercase):
        raise ConfigError(f"{where} has options that are no list of texts.", 'Write "choices": ["…", "…"].')
    return tuple(map(str, given))


def _check_labels(labels: Any, where: str) -> None:
    """Refuse labels that are neither A, B, C … nor 1, 2, 3 … in this order: the options are given their letters in theirs."""
    if labels is None:
        return
    names = [str(label).strip().upper() for label in labels]
    if names not in (list(ascii_uppercase[: len(names)]), [str(number + 1) for number in range(len(names))]):
        raise ConfigError(f"{where} labels its options {', '.join(names)}.", "Put the options in order: A, B, C …")


def _check_order(options: Sequence[str], shown: Sequence[str], where: str) -> None:
    """Refuse options in a column that stand in another order than in the prompt."""
    for letter, option, text in zip(ascii_uppercase, options, shown, strict=False):
        if option.strip() not in text:
            raise ConfigError(
                f"{where} has {option!r} as option {letter} in its column, and {text!r} in its prompt.",
                "Put both in one order, or leave one of them out.",
            )


def _letter(gold: Any, options: Sequence[str], where: str) -> str:
    """The letters of a right answer that is a letter, the number of an option from 0, or the text of an option.

    Raises:
        ConfigError: the answer is none of these, or could be two of them.
    """
    letters = ascii_uppercase[: len(options)] if options else ascii_uppercase
    said = str(gold).strip()
    by_text = {letter for letter, option in zip(letters, options, strict=False) if option.strip() == said}
    if isinstance(gold, int) and not isinstance(gold, bool):
        readings = by_text | ({letters[gold]} if 0 <= gold < len(options) else set())
    elif len(named := letters_of(said)) and named <= set(letters):
        readings = by_text | {"".join(sorted(named))}
    else:
        readings = by_text
    if len(readings) != 1:
        which = (
            f"fits the options {' and '.join(sorted(readings))}"
            if readings
            else f"is none of its {len(options)} options"
        )
        raise ConfigError(
            f"{where} has the answer {gold!r}, which {which}.",
            'Give the letter of the right option, or the answer\'s "score" (maths, text) if these are no options.',
        )
    return readings.pop()


def _is_option(golds: Sequence[Any], shown: Sequence[str]) -> bool:
    """Whether the answers are options that the prompt shows, or one capital letter, or one in brackets."""
    if not shown:
        return all(isinstance(gold, str) and re.fullmatch(r"[A-Z]|[(\[][A-Za-z][)\]]", gold.strip()) for gold in golds)
    texts, letters = {option.strip() for option in shown}, set(ascii_uppercase[: len(shown)])
    return all(
        (letters_of(gold) and letters_of(gold) <= letters) or gold.strip() in texts
        if isinstance(gold, str)
        else isinstance(gold, int) and not isinstance(gold, bool)
        for gold in golds
    )


def _judge_for(golds: Sequence[Any]) -> str:
    """The name of the judge that suits answers."""
    return "maths" if all(_is_maths(one_line(str(gold))) for gold in golds) else "text"


def _is_maths(gold: str) -> bool:
    """Whether an answer is a number with its unit, or a formula: neither "A1", "F-16" and "7th", nor "3:30" and "C++"."""
    found = quantity(gold)
    if found is not None:
        return len(found.things) < 2 and not (found.things and re.search(r"[A-Z]", gold))
    if is_wordy(gold) or re.search(r"\d\s*:\s*\d|^[A-Z]-?\d|^\d+(?:st|nd|rd|th)\b", gold):
        return False
    return bool(re.search(r"\\[a-zA-Z]|[\w)}\]]\s*[-+*/^=<>,]\s*[\w(\\{\[]|^\d+[a-z]", gold))


def _shows(prompt: Conversation, options: Sequence[str]) -> bool:
    """Whether a prompt shows all options."""
    text = prompt.messages[-1].content
    return all(option.strip() in text for option in options) and len(options_in(text)) == len(options)


def _level(given: Any, where: str) -> int | None:
    """The level of a row: a number, or a text with one number such as "Level 5"."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    number = re.fullmatch(r"\s*(?:level\s*)?(\d+)\s*", str(given), re.IGNORECASE)
    if number is None:
        raise ConfigError(f"{where} has the level {given!r}, which is no number.", 'Write "level": 3, or leave it out.')
    return int(number[1])
