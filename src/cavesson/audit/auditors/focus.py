"""Where in the code the Key Findings are made: the functions and classes that bear the names of what is compared.

A finding about `Double Q-learning` is made in `DoubleQLearning`, one about DR in `DoublyRobust`: what is decided there
decides the finding sooner than what is decided elsewhere.
"""

from __future__ import annotations

import ast
import re

from cavesson.audit.auditors.conclusion import Conclusion
from cavesson.audit.auditors.decision import Decision
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Workspace

_COMMON = frozenset((
    "train", "test", "model", "data", "main", "load", "make", "build", "step", "sample", "value", "number", "score", "mean", "result", "run",
    "class", "init", "accuracy", "error", "loss", "finding", "the", "with", "without", "than", "after", "before", "and", "for", "all", "from", "get", "set",
))  # fmt: skip
"""Words of functions and sentences alike, which tell no function from another."""


class Focus:
    """The words of the Key Findings and of their results' names, and what of the code bears them."""

    def __init__(self, workspace: Workspace, paper: Paper, conclusion: Conclusion) -> None:
        said = " ".join(one.text for one in paper.findings)
        named = " ".join(part for paths in conclusion.findings.values() for path in paths for part in path)
        self.words = _stems(said) | _stems(named)
        self.initials = {word.lower() for word in re.findall(r"\b[A-Z]{2,4}\b", said)}
        self.initials |= {
            part for paths in conclusion.findings.values() for path in paths for part in path if 2 <= len(part) <= 4
        }
        self._spans = {
            module.name: [
                (node.lineno, node.end_lineno or node.lineno, self._bears(node))
                for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
            ]
            for module in workspace.modules
        }  # fmt: skip

    def _bears(self, node: ast.FunctionDef | ast.ClassDef) -> bool:
        """Whether a function or class bears a word of the findings, in its name or in what it is registered as."""
        named = " ".join([node.name, *(one.value for line in node.decorator_list for one in ast.walk(line)
                                       if isinstance(one, ast.Constant) and isinstance(one.value, str))])  # fmt: skip
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", named)
        return bool(_stems(named) & self.words) or "".join(part[0] for part in parts).lower() in self.initials

    def near(self, decision: Decision) -> bool:
        """Whether a decision lies in a function or class that bears a word of the findings."""
        for place in decision.files:
            name, _, lines = place.partition(":")
            line = int(re.match(r"\d*", lines).group() or 0)  # type: ignore[union-attr]
            if any(first <= line <= last and bears for first, last, bears in self._spans.get(name, [])):
                return True
        return False


def _stems(text: str) -> set[str]:
    """The beginnings of a text's words, in lower case; short and common words are left out."""
    words = (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text))
    return {word[:5] for word in words if len(word) > 3 and word not in _COMMON and word.rstrip("s") not in _COMMON}
