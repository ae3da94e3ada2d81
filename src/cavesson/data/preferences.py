"""Pairs of answers to the same prompts, one preferred to the other."""

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
    """The prompts that two data sets share, with the one's answers preferred to the other's.

    Where a prompt comes several times, its first answers make a pair, then its second ones. Pairs of equal answers teach
    nothing and are left out. A file of pairs needs no recipe of its own: `Jsonl` and `HFDataset` read
    `{"prompt": …, "chosen": …, "rejected": …}`.

    Attributes:
        chosen: the preferred answers; order and `meta` of the examples are theirs.
        rejected: other answers to the same prompts.
    """

    kind: ClassVar[str] = "preferences"
    virtual: ClassVar[bool] = True

    chosen: DataRecipe
    rejected: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The pairs.

        Raises:
            TrainingError: there is none.
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
        told_apart = [pair for pair in pairs if pair.rejected != pair.conversation.answer]
        if not told_apart:
            raise TrainingError(
                f"No prompt has an answer in {self.chosen.describe()!r} and another one in {self.rejected.describe()!r}.",
                "Give two data sets with different answers to the same prompts.",
            )
        return told_apart

    def describe(self) -> str:
        return f"{self.chosen.describe()} preferred to {self.rejected.describe()}"
