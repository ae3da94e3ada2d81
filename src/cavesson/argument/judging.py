"""An argument held against what was measured: a leaf whose interval contradicts it is red, and the red climbs to the root.

An interval decides: it lies within what the leaf says (supported), outside (contradicted), or on both sides of the bound (open).
What was not measured is open too. A claim is as strong as the weakest node that it rests on. A doubt that holds, or an assumption
that is contradicted, brings down what it bears on; one that is open leaves that open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cavesson.argument.structure import Argument, Bound, Node, bound_of
from cavesson.errors import guess
from cavesson.estimate import Estimate

State = Literal["supported", "judgement", "open", "contradicted"]

WEAKEST: tuple[State, ...] = ("contradicted", "open", "judgement", "supported")
"""From the weakest to the strongest."""

ANSWERS: dict[State, str] = {
    "supported": "answered",
    "judgement": "answered by judgement",
    "open": "not answered",
    "contradicted": "holds",
}
"""What a state means of a doubt."""

Measured: TypeAlias = Mapping[str, Mapping[str, Estimate]]
"""Artifact → its figures by name."""

Found: TypeAlias = tuple[State, str, Estimate | None]
"""A node's state, why, and the figure that decided."""


@dataclass(frozen=True)
class JudgedNode:
    """A node and what the measurements make of it.

    Attributes:
        id, kind, text, artifact, says: as in the file.
        state: "supported" and "contradicted" are said of the node; of a defeater they say that the doubt is answered, or holds.
        why: the state in words.
        figure: the figure that decided; None: there is none.
        children: assumptions, supports and doubts. A node that stands in several places has its children in each.
    """

    id: str
    kind: str
    text: str
    state: State
    why: str
    artifact: str | None
    says: str | None
    figure: Estimate | None
    children: tuple[JudgedNode, ...]

    @property
    def word(self) -> str:
        """The state in a word; of a doubt, whether it is answered."""
        return ANSWERS[self.state] if self.kind == "defeater" else self.state


@dataclass(frozen=True)
class Judged:
    """An argument with the states of its nodes."""

    title: str
    root: JudgedNode
    nodes: Mapping[str, JudgedNode]

    @property
    def state(self) -> State:
        """The state of the root claim."""
        return self.root.state

    def count(self, state: State) -> int:
        """How many leaves are in a state."""
        return sum(not node.children and node.state == state for node in self.nodes.values())

    @property
    def sentence(self) -> str:
        """The root's state and how it comes about, in words."""
        counts = ", ".join(f"{self.count(state)} {state}" for state in reversed(WEAKEST) if self.count(state))
        return f"{self.root.text} {self.state.capitalize()}: {self.root.why}. Leaves: {counts}."

    def as_tree(self) -> dict[str, Any]:
        """Nested plain data, root first; a node that stands in several places has its children in the first alone."""
        return _plain(self.root, set())


def _plain(node: JudgedNode, seen: set[str]) -> dict[str, Any]:
    again = node.id in seen
    seen.add(node.id)
    return {
        "id": node.id,
        "kind": node.kind,
        "text": node.text,
        "state": node.state,
        "word": node.word,
        "why": node.why,
        "artifact": node.artifact,
        "says": node.says,
        "figure": None if node.figure is None else str(node.figure),
        "again": again,
        "children": [] if again else [_plain(child, seen) for child in node.children],
    }


def judge(argument: Argument, measured: Measured, unmeasured: Collection[str] = ()) -> Judged:
    """Hold an argument against figures.

    Args:
        measured: the figures by artifact and name. An artifact is found by the name that the argument gives, or by a name of
            which the argument gives the beginning (a fingerprint's first digits).
        unmeasured: names of figures that exist, and may be missing here without being typed wrongly.
    """
    nodes: dict[str, JudgedNode] = {}
    for id in _leaves_first(argument):
        node = argument.nodes[id]
        children = [nodes[other] for other in argument.below(id)]
        state, why, figure = _judged(node, children, measured, unmeasured)
        nodes[id] = JudgedNode(id, node.kind, node.text, state, why, node.artifact, node.says, figure, tuple(children))
    return Judged(argument.title, nodes[argument.root], nodes)


def _leaves_first(argument: Argument) -> list[str]:
    """Ids so that each stands after those that it depends on."""
    order: list[str] = []
    waiting = {id: set(argument.below(id)) for id in argument.nodes}
    while waiting:
        ready = [id for id, others in waiting.items() if not others]
        order += ready
        for id in ready:
            del waiting[id]
        for others in waiting.values():
            others.difference_update(ready)
    return order


def _judged(node: Node, children: Sequence[JudgedNode], measured: Measured, unmeasured: Collection[str]) -> Found:
    """A node's state from its own leaf, if it is one, and from what it depends on."""
    supports = [child for child in children if child.id in node.supported_by]
    others = [child for child in children if child.id not in node.supported_by]
    if supports:
        state, why, figure = _rests_on(supports, node.any_of)
    elif node.judgement is not None:
        state, why, figure = _by_judgement(node)
    else:
        state, why, figure = _by_figure(node, measured, unmeasured)
    worst = min(others, key=lambda child: WEAKEST.index(child.state), default=None)
    if (
        worst is not None
        and worst.state in ("contradicted", "open")
        and WEAKEST.index(worst.state) < WEAKEST.index(state)
    ):
        return worst.state, _because(worst), figure
    return state, why, figure


def _because(other: JudgedNode) -> str:
    bad = other.state == "contradicted"
    if other.kind == "defeater":
        return f"the doubt {other.id!r} {'holds' if bad else 'is not answered'}"
    return f"it assumes {other.id!r}, which is {other.state}"


def _rests_on(supports: Sequence[JudgedNode], any_of: bool) -> Found:
    """The weakest of the supports decides; where one is enough, the strongest."""
    pick = max if any_of else min
    decisive = pick(supports, key=lambda child: WEAKEST.index(child.state))
    if decisive.state == "supported":
        return "supported", f"rests on {decisive.id!r}" if any_of else "everything that it rests on was measured", None
    return decisive.state, f"rests on {decisive.id!r}, which is {_called(decisive)}", None


def _called(node: JudgedNode) -> str:
    return "a judgement" if node.state == "judgement" else node.state


def _by_judgement(node: Node) -> Found:
    if node.kind != "defeater":
        return "judgement", f"judged: {node.judgement}", None
    state: State = "open" if node.stands is None else "contradicted" if node.stands else "judgement"
    said = {"open": "not answered", "contradicted": "judged to hold", "judgement": "judged not to hold"}[state]
    return state, f"{said}: {node.judgement}", None


def _by_figure(node: Node, measured: Measured, unmeasured: Collection[str]) -> Found:
    """A leaf with an artifact."""
    assert node.artifact is not None and node.says is not None  # the structure has been checked
    bound = bound_of(node.says)
    figures = _figures(node.artifact, measured)
    if figures is None:
        return "open", f"nothing of {node.artifact} was measured", None
    if bound.name not in figures and bound.name in unmeasured:
        return "open", f"{bound.name} was not measured", None
    if bound.name not in figures:
        hint = f"; {guess(bound.name, figures)}" if figures else ""
        return "open", f"{node.artifact} has no figure {bound.name!r}{hint}", None
    figure = figures[bound.name]
    inside, outside = _within(figure, bound)
    if node.kind == "defeater":  # what it says is the doubt
        inside, outside = outside, inside
    state: State = "supported" if inside else "contradicted" if outside else "open"
    against = "measured, and it holds" if node.kind == "defeater" else "measured, and against it"
    said = {"supported": "measured", "contradicted": against, "open": "the interval does not decide"}
    few = "; one seed" if figure.replicates == 1 else ""
    return state, f"{said[state]}: {bound.name} is {figure}{few}", figure


def _within(figure: Estimate, bound: Bound) -> tuple[bool, bool]:
    """Whether the whole interval lies within the bound, and whether it lies outside."""
    inside = bound.low <= figure.low and figure.high <= bound.high
    return inside, figure.high < bound.low or figure.low > bound.high


def _figures(artifact: str, measured: Measured) -> Mapping[str, Estimate] | None:
    if artifact in measured:
        return measured[artifact]
    fitting = [name for name in measured if len(artifact) >= 8 and name.startswith(artifact)]
    return measured[fitting[0]] if len(fitting) == 1 else None
