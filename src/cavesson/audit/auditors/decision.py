"""Decisions of a codebase, and what each would be by the textbook.

A decision is a place in code or configuration where somebody chose: a setting, a filter, a bound, a seed, an argument.
It has a textbook alternative, as an edit, where one is known. Nothing here knows a bench.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module
from cavesson.audit.patches import diff
from cavesson.audit.verdicts import MAX_FIXES, Fix

Group = Literal["mistake", "step", "setting", "arms"]
"""Code that nobody can mean; a step that may be left out; a number; a difference between the compared arms."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision and its textbook alternative.

    Attributes:
        group: the kind of decision.
        family: what was decided (`filter`, `bound`, `more_training` …).
        unusual: how unusual the decision is in sound code, from 0 to 1, before anything was run.
        title: the decision in a few words.
        mechanism: what is odd, and how the oddity could change a finding.
        files: the places (`data.py:41-48`).
        edits: the textbook alternative: relative path → whole new text; empty if none is known.
        stated: how far the paper speaks of the decision, from 0 to 1.
        near: whether it lies in code that bears the name of what a Key Finding compares.
    """

    group: Group
    family: str
    unusual: float
    title: str
    mechanism: str
    files: tuple[str, ...] = ()
    edits: Mapping[str, str] = field(default_factory=dict)
    stated: float = 0.0
    near: bool = False

    @property
    def promise(self) -> float:
        """How much a run of the alternative may tell: unusual decisions that the paper does not mention come first, and of
        these the ones where a finding is made."""
        return self.unusual * (1.0 - 0.5 * self.stated) * (1.0 if self.near else 0.7)

    @property
    def odd(self) -> float:
        """How far the decision speaks against the code: what the paper speaks of openly is hardly odd."""
        return self.unusual * (1.0 - 0.8 * self.stated)


def decided(
    group: Group, family: str, unusual: float, module: Module, node: ast.expr | ast.stmt, title: str, mechanism: str,
    edits: Mapping[str, str] | None = None, paper: Paper | None = None,
) -> Decision:  # fmt: skip
    """A decision at a node; with a paper, how far the paper has the words of the node, and its numbers."""
    stated = paper.has_words(words_of(node)) * (0.5 + 0.5 * _numbers_said(node, paper)) if paper is not None else 0.0
    return Decision(group, family, unusual, title, mechanism, (module.place(node),), dict(edits or {}), stated)


def _numbers_said(node: ast.AST, paper: Paper) -> float:
    """The share of a node's numbers that the paper has; small whole numbers are nobody's choice."""
    numbers = [
        abs(child.value) for child in ast.walk(node)
        if isinstance(child, ast.Constant) and isinstance(child.value, int | float) and child.value not in (True, False, 0, 1, 2)
    ]  # fmt: skip
    return sum(paper.mentions(float(one)) for one in numbers) / len(numbers) if numbers else 1.0


_SHORT = {"self", "none", "true", "false", "float", "range", "array", "numpy", "torch", "list", "dict", "copy", "axis",
          "shape", "append", "items", "values", "keys", "zeros", "ones", "args", "kwargs", "name", "data", "config", "size"}  # fmt: skip


def words_of(node: ast.AST) -> frozenset[str]:
    """The words of the names within a node (`max_grad` has max and grad); short and technical words are left out."""
    names = [child.id for child in ast.walk(node) if isinstance(child, ast.Name)]
    names += [child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)]
    names += [
        child.value for child in ast.walk(node) if isinstance(child, ast.Constant) and isinstance(child.value, str)
    ]
    return name_words(names)


def name_words(names: Iterable[str]) -> frozenset[str]:
    """The words of names, in lower case."""
    parts = (part.lower() for name in names for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name))
    return frozenset(part for part in parts if len(part) > 3 and part not in _SHORT)


def as_fixes(ranked: Iterable[Decision], texts: Mapping[str, str]) -> tuple[Fix, ...]:
    """The first decisions as fixes, with a patch where an alternative is known; no patch twice.

    Args:
        ranked: the likeliest first.
        texts: the files before any edit: relative path → text.
    """
    kept: dict[str, Fix] = {}
    for one in ranked:
        patch = diff({name: texts[name] for name in one.edits}, one.edits) or None
        kept.setdefault(patch or one.title, Fix(one.title, one.mechanism, patch, one.files))
    return tuple(kept.values())[:MAX_FIXES]


def parses(edits: Mapping[str, str]) -> bool:
    """Whether edited Python still parses."""
    try:
        for name, text in edits.items():
            if name.endswith(".py"):
                ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
