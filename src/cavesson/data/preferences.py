"""Preference pairs: two answers to the same prompt, of which one is preferred."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import ClassVar

from cavesson.chat import Conversation
from cavesson.data.example import Example, Preference
from cavesson.data.recipes import DataRecipe
from cavesson.errors import TrainingError
from cavesson.lab.recipe import PathOf


class Preferences(DataRecipe):
    """The prompts that two data sets share, with the answers of one data set preferred to the answers of the other.

    If a prompt occurs several times, its first answers make a pair, then its second answers, and so on. Pairs of equal answers
    are left out. A file of pairs needs no recipe of its own: `DataFile` and `HFDataset` read
    `{"prompt": …, "chosen": …, "rejected": …}`.

    Attributes:
        chosen: the preferred answers; the pairs have the order and the `meta` of these examples.
        rejected: other answers to the same prompts.
    """

    kind: ClassVar[str] = "preferences"
    virtual: ClassVar[bool] = True

    chosen: DataRecipe
    rejected: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The pairs.

        Raises:
            TrainingError: there is no pair.
        """
        others: defaultdict[Conversation, deque[str]] = defaultdict(deque)
        for example in self.rejected.examples(path_of):
            if (answer := example.conversation.answer) is not None:
                others[example.conversation.prompt].append(answer)
        pairs = [
            Preference(example.conversation, example.meta, rejected=waiting.popleft())
            for example in self.chosen.examples(path_of)
            if example.conversation.answer is not None and (waiting := others[example.conversation.prompt])
        ]
        different = [pair for pair in pairs if pair.rejected != pair.conversation.answer]
        if not different:
            raise TrainingError(
                f"No prompt has an answer in {self.chosen.describe()!r} and a different answer in {self.rejected.describe()!r}.",
                "Give two data sets with different answers to the same prompts.",
            )
        return different

    def describe(self) -> str:
        return f"{self.chosen.describe()} preferred to {self.rejected.describe()}"
