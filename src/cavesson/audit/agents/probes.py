"""The probes of the auditors without a model, as tools for an agent: the alignment of paper, code and results; the
decisions of the code with their textbook alternatives; re-execution; perturbation.

A model with these tools (`llm+probes:MODEL`) can be compared with the same model without them (`llm:MODEL`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from cavesson.audit.agents.tools import Problem, cut, read_text
from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors.conclusion import Effect
from cavesson.audit.auditors.decision import Decision, parses
from cavesson.audit.auditors.gathering import Audited, Evidence
from cavesson.audit.auditors.results import Leaves
from cavesson.audit.execution import RunCache
from cavesson.audit.verdicts import Affordance
from cavesson.errors import CavessonError
from cavesson.figures import percent
from cavesson.lines import printable

if TYPE_CHECKING:
    from inspect_ai.tool import Tool

_MOST_DECISIONS = 40
_MOST_NUMBERS = 60


class Probes:
    """A case with what the probes found so far; every method answers in words.

    Args:
        cache: where runs are kept; the store's if none is given.
    """

    def __init__(self, case: AuditCase, cache: RunCache | None = None) -> None:
        self.case, self.cache = case, cache
        self.audited = Audited(case)

    @cached_property
    def evidence(self) -> Evidence:
        """What reading and snippets show."""
        return self.audited.checked(self.audited.read())

    @cached_property
    def decisions(self) -> list[Decision]:
        """The decisions that `decisions` lists, by number from 0."""
        return sorted(self.evidence.decisions, key=lambda one: -one.promise)[:_MOST_DECISIONS]

    def table(self) -> str:
        """Paper, code and results side by side."""
        order = {"differs": 0, "paper only": 1, "code only": 2, "agrees": 3}
        return (
            "\n".join(map(str, sorted(self.evidence.table, key=lambda line: order[line.status])))
            or "Nothing to compare."
        )

    def listed(self) -> str:
        """The decisions, the most unusual first."""
        return (
            "\n".join(
                f"{at:2}  unusual {one.unusual:.2f}, stated {one.stated:.2f}{'' if one.edits else ', no alternative known'}: "
                f"{one.title} [{', '.join(one.files)}] {one.mechanism}"
                for at, one in enumerate(self.decisions)
            )
            or "No decision was found."
        )

    def rerun(self) -> str:
        """The results of the paper's command, and the stored ones."""
        if self.case.run is None or not self.case.seeds:
            return "The bench does not say how this codebase is run."
        _, before, _, problem = self.audited.effect({}, self.cache)
        if problem:
            return f"The paper's command fails: {problem}"
        means = self.audited.results.means
        lines = [
            f"{'.'.join(path)}: {value:.4g} (stored mean {means[path]:.4g})"
            if path in means
            else f"{'.'.join(path)}: {value:.4g}"
            for path, value in before.items()
        ]
        return "\n".join([f"Results of seed {self.case.seeds[0]}:", *lines[:_MOST_NUMBERS]])

    def alternative(self, number: int) -> str:
        """What the textbook alternative of a decision does to the Conclusion."""
        if not 0 <= number < len(self.decisions):
            return f"There is no decision {number}; decisions lists {len(self.decisions)} from 0."
        one = self.decisions[number]
        return (
            self._perturbed(dict(one.edits))
            if one.edits
            else f"No alternative of decision {number} is known; use perturb."
        )

    def replaced(self, path: str, old: str, new: str) -> str:
        """What another text in a file does to the Conclusion."""
        text = read_text(self.case.folder, path)
        if isinstance(text, Problem):
            return text.words
        if text.count(old) != 1:
            return f"The text to replace stands {text.count(old)} times in {path}; give a text that stands there once."
        return self._perturbed({path: text.replace(old, new)})

    def _perturbed(self, edits: dict[str, str]) -> str:
        if self.case.run is None or not self.case.seeds:
            return "The bench does not say how this codebase is run."
        if not parses(edits):
            return "The changed code does not parse."
        effect, before, after, problem = self.audited.effect(edits, self.cache)
        return f"The changed code fails: {problem}" if effect is None else _told(effect, before, after)


def _told(effect: Effect, before: Leaves, after: Leaves) -> str:
    moved = sorted(
        (path for path in before if path in after and before[path] != after[path]),
        key=lambda path: -abs(before[path] - after[path]),
    )
    lines = [f"{'.'.join(path)}: {before[path]:.4g} -> {after[path]:.4g}" for path in moved[:_MOST_NUMBERS]]
    head = f"The Key Finding that moves most moves by {percent(effect.moved, 0)}; {percent(effect.elsewhere, 0)} of the other quantities move by half or more."
    return "\n".join([head, *lines]) if lines else "Nothing changes."


def probe_tools(case: AuditCase, affordance: Affordance, cache: RunCache | None = None) -> list[Tool]:
    """The probes that an affordance allows: none with `paper`; no runs with `code`."""
    from inspect_ai.tool import tool

    if affordance == "paper":
        return []
    probes = Probes(case, cache)

    @tool
    def alignment() -> Tool:
        async def execute() -> str:
            """Compare paper, code and stored results: settings, numbers and procedures that agree, differ, or stand on
            one side only."""
            return await _in_words(probes.table)

        return execute

    @tool
    def decisions() -> Tool:
        async def execute() -> str:
            """List the decisions of the code that are unusual, numbered, with their places: settings, filters, bounds,
            seeds, arguments, differences between the compared arms. Most are harmless."""
            return await _in_words(probes.listed)

        return execute

    @tool
    def rerun() -> Tool:
        async def execute() -> str:
            """Run the paper's command with its first seed and compare with the stored results."""
            return await _in_words(probes.rerun)

        return execute

    @tool
    def try_alternative() -> Tool:
        async def execute(number: int) -> str:
            """Rerun the experiment with one decision at its textbook alternative, and say how far the findings move.

            Args:
                number: of the decision, as `decisions` lists them
            """
            return await _in_words(lambda: probes.alternative(number))

        return execute

    @tool
    def perturb() -> Tool:
        async def execute(path: str, old: str, new: str) -> str:
            """Rerun the experiment with a text of a file replaced, and say how far the findings move. The workspace
            itself is not changed.

            Args:
                path: relative to the workspace
                old: a text that stands once in the file
                new: what stands in its place
            """
            return await _in_words(lambda: probes.replaced(path, old, new))

        return execute

    return [alignment(), decisions(), *([rerun(), try_alternative(), perturb()] if affordance == "experiments" else [])]


async def _in_words(answer: Callable[[], str]) -> str:
    from anyio.to_thread import run_sync

    try:
        return cut(printable(await run_sync(answer)))
    except CavessonError as error:
        return f"The probe failed: {error.problem}"
