"""The bench: pairs of papers and codebases, half of the codebases sabotaged, with answer keys.

A bench is a folder. The built-in bench ships with the package; a bench in the published layout loads too (`rubrics.py`
reads both):

    codebases/_rubrics/<codebase>.yaml   the answer key of one codebase: its honest and its sabotaged twins
    codebases/<honest id>/               a whole workspace
    codebases/<sabotaged id>/            only the files that differ from the honest twin's
    codebases/_fixes/<id>.patch          what undoes the sabotage
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cavesson.audit.cases import Case
from cavesson.audit.rubrics import read_rubrics
from cavesson.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True)
class Bench:
    """Cases of one folder, in the order of their ids.

    Attributes:
        root: the folder.
        everything: all cases that can be used.
        left_out: entries that cannot be used, one sentence each.
        notes: what was made of odd entries that can be used, one sentence each.
    """

    root: Path
    everything: tuple[Case, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def cases(self, only: tuple[str, ...] = ()) -> list[Case]:
        """All cases, or those whose id or codebase is named.

        Raises:
            ConfigError: a name is neither an id nor a codebase.
        """
        known = {name for case in self.everything for name in (case.id, case.codebase)}
        if unknown := [name for name in only if name not in known]:
            raise self._missing(unknown[0], "case and no codebase", known)
        return [case for case in self.everything if not only or {case.id, case.codebase} & set(only)]

    def case(self, name: str) -> Case:
        """One case by its id.

        Raises:
            ConfigError: there is no such case.
        """
        for case in self.everything:
            if case.id == name:
                return case
        raise self._missing(name, "case", {case.id for case in self.everything})

    def _missing(self, name: str, what: str, known: set[str]) -> ConfigError:
        """The error for a name that the bench does not have, with the reason if the entry was left out."""
        reason = next((line for line in self.left_out if repr(name) in line), "")
        problem = f"The bench {self.root} has no {what} {name!r}"
        return ConfigError(
            f"{problem}; the entry was left out: {reason}" if reason else f"{problem}.", nearest(name, known)
        )

    def honest_twin(self, case: Case) -> Case:
        """The honest case of the same codebase (the case itself, if it is honest)."""
        twins = [other for other in self.everything if other.codebase == case.codebase and other.honest]
        if not twins:
            raise ConfigError(f"{case.rubric} has no honest case.", "Add one under the key honest.")
        return case if case.honest else next((twin for twin in twins if twin.layers[0] == case.layers[0]), twins[0])


def builtin_root() -> Path:
    """The folder of the bench that ships with the package."""
    return Path(__file__).with_name("bench")


def load_bench(path: Path | None = None) -> Bench:
    """The bench in a folder; the built-in bench if no folder is named.

    An entry that cannot be used is left out, with its reason in `Bench.left_out`.

    Raises:
        ConfigError: the folder is no bench, or none of its entries can be used; the message names the rubric and the
            key.
    """
    root = (builtin_root() if path is None else path.expanduser()).absolute()
    read = read_rubrics(root)
    return Bench(root, tuple(sorted(read.cases, key=lambda case: case.id)), tuple(read.left_out), tuple(read.notes))
