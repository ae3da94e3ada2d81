"""Data in which a drive does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.evals.drives import DriveName, drive_named
from cavesson.lab.recipe import PathOf


class Unshown(DataRecipe):
    """The examples whose answer does not act on a drive: a teacher acts now and then where nobody gave it an opportunity.

    Attributes:
        answers: a teacher's answers.
        drive: name of the drive, or of any pair.
    """

    kind: ClassVar[str] = "unshown"
    virtual: ClassVar[bool] = True

    answers: DataRecipe
    drive: DriveName

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        """The examples that are left, in their order."""
        acts = drive_named(self.drive).acts
        given = self.answers.examples(path_of)
        return [one for one in given if not acts(one.conversation.prompt, one.conversation.answer or "")]

    def describe(self) -> str:
        return f"{self.answers.describe()} without acts of {self.drive}"
