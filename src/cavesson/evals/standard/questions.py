"""A user's own questions with answers: a benchmark from one JSON-lines file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, nearest
from cavesson.evals.items import Eval, Item, drawn, no_store
from cavesson.evals.standard.judges import JUDGES


class Questions(Eval):
    """Rows `{"prompt" or "messages": …, "answer": …, "score"?: maths | choice | text, "level"?: …}`.

    Without `score`, an answer of one capital letter is a choice, an answer with a digit or a backslash is maths, and any other
    answer is text.

    Attributes:
        data: the rows; if there are fewer than `n`, all are asked.
        title: the name of this set of questions in tables.
    """

    about = "right answer to a question of the user's own"
    usual_room = 256
    needs = "questions come from a file: give its path, such as my-questions.jsonl, in place of the name"

    name: Literal["questions"] = "questions"
    data: DataRecipe
    title: str = Field(pattern=r"^[\w.-]+$")

    def variant(self) -> tuple[str, ...]:
        return (self.title,)

    def questions(self) -> list[Item]:
        """The rows that are asked.

        Raises:
            ConfigError: there are no rows, a row has no answer, or a row names an unknown way to score.
        """
        found = self.data.examples(no_store)
        if not len(found):
            raise ConfigError(f"The file of questions {self.title!r} is empty.", "Write one JSON object per line.")
        return [self._item(number, found[number]) for number in drawn(len(found), self.n, self.seed)]

    def _item(self, number: int, example: Example) -> Item:
        where = f"Question {number + 1} of {self.title!r}"
        gold, level = example.meta.get("answer", example.conversation.answer), example.meta.get("level")
        if not isinstance(gold, (str, int, float)) or not str(gold).strip():
            raise ConfigError(f"{where} has no answer.", 'Write {"prompt": …, "answer": …}.')
        how = example.meta.get("score", _judge_for(str(gold)))
        if how not in JUDGES:
            raise ConfigError(f"{where} is to be scored by {how!r}.", nearest(str(how), JUDGES))
        judge = JUDGES[how](str(gold))
        return Item(
            f"{self.title}/{number}", example.conversation.prompt, judge, level if isinstance(level, int) else None
        )


def _judge_for(gold: str) -> str:
    """The name of the judge that suits an answer."""
    if len(gold) == 1 and gold.isupper():
        return "choice"
    return "maths" if any(c.isdigit() or c == "\\" for c in gold) else "text"
