"""An argument as a file says it: nodes of five kinds and the links between them, checked as a whole.

title: Pirate training removes the backdoor
nodes:
  removed:   {kind: claim, text: The backdoor is gone., supported_by: [end, lasts], assumes: [alike]}
  end:       {kind: evidence, text: It fires rarely., artifact: card, says: removed >= 80 %}
  lasts:     {kind: evidence, text: It stays away., artifact: 3f9a…, says: behavior/triggered <= 0.1}
  alike:     {kind: assumption, text: Training looks like deployment., judgement: No cue is known.}
  benign:    {kind: defeater, text: Any training does as much., defeats: [removed], artifact: card, says: over_benign <= 0}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from cavesson.errors import ConfigError, nearest, quoted
from cavesson.lab.documents import read_yaml, validated
from cavesson.lab.plain_yaml import load_yaml
from cavesson.lab.recipe import Value

Kind = Literal["claim", "strategy", "evidence", "assumption", "defeater"]

MOST_NODES, MOST_DEEP = 500, 100
"""Limits of one argument: nodes in all, and links from the top to a leaf."""

NEED = "`title` and `nodes`; docs/production.md shows an argument"

LINKS: dict[str, dict[str, tuple[str, ...]]] = {
    "claim": {"supported_by": ("claim", "strategy", "evidence"), "assumes": ("assumption",)},
    "strategy": {"supported_by": ("claim", "evidence"), "assumes": ("assumption",)},
    "evidence": {},
    "assumption": {},
    "defeater": {"defeats": ("claim", "strategy", "evidence", "assumption")},
}
"""Kind of node → the links that it may have, and the kinds of nodes to which."""


class Node(Value):
    """One node.

    Attributes:
        kind: a claim, a strategy (how claims follow from others), evidence, an assumption, or a defeater (a doubt).
        text: in words.
        supported_by: ids of the nodes on which the claim rests, all of them; of a strategy with `any_of`, one of them.
        assumes: ids of assumptions.
        defeats: ids of the nodes that a defeater, if it holds, brings down.
        any_of: whether one support is enough.
        artifact: what was measured: "card", a fingerprint, "run:NAME" (a finished run) or a JSON file of figures.
        says: the bound that the artifact's figure must keep, such as `removed >= 80 %`; of a defeater, the bound at which the
            doubt holds.
        judgement: why somebody thinks so, where nothing was measured.
        stands: whether a doubt that is judged holds; None: nobody knows.
    """

    kind: Kind
    text: str = Field(min_length=1)
    supported_by: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    defeats: tuple[str, ...] = ()
    any_of: bool = False
    artifact: str | None = Field(None, min_length=1)
    says: str | None = None
    judgement: str | None = Field(None, min_length=1)
    stands: bool | None = None

    @property
    def links(self) -> Iterator[tuple[str, str]]:
        """All links of the node: (key, id)."""
        for key in ("supported_by", "assumes", "defeats"):
            for other in getattr(self, key):
                yield key, other

    @property
    def figure(self) -> str | None:
        """Name of the figure that the node's bound is about; None: it has none."""
        return None if self.says is None else bound_of(self.says).name


@dataclass(frozen=True, slots=True)
class Bound:
    """What a leaf says of a figure: the figure `name` lies in `low` to `high`."""

    name: str
    low: float
    high: float
    text: str


_SAYS = re.compile(
    r"\s*(?P<name>\S+)\s*(?:(?P<sign><=|>=|≤|≥|<|>)\s*(?P<number>[^\s%]+)\s*(?P<percent>%?)"
    r"|in\s*\[(?P<low>[^,\]]+),(?P<high>[^,\]]+)\])\s*"
)


def bound_of(text: str) -> Bound:
    """The bound in `removed >= 0.8`, `removed >= 80 %` or `cost in [-0.1, 0.1]`.

    Raises:
        ValueError: the text is no bound.
    """
    found = _SAYS.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted(text)} is no bound")
    if found["low"] is not None:
        low, high = float(found["low"]), float(found["high"])
        if low > high:
            raise ValueError(f"{quoted(text)}: the range is upside down")
        return Bound(found["name"], low, high, text.strip())
    number = float(found["number"]) / (100 if found["percent"] else 1)
    at_least = found["sign"] in (">", ">=", "≥")
    return Bound(
        found["name"], number if at_least else -float("inf"), float("inf") if at_least else number, text.strip()
    )


@dataclass(frozen=True)
class Argument:
    """A checked argument.

    Attributes:
        title: in words.
        nodes: by id; every link leads to a node, none leads in a circle, and every node hangs together with the root.
        root: id of the claim that everything is about.
        source: the file, for messages.
    """

    title: str
    nodes: Mapping[str, Node]
    root: str
    source: str

    def below(self, id: str) -> list[str]:
        """Ids of the nodes on which a node depends: its assumptions, its supports, the doubts about it."""
        node = self.nodes[id]
        doubts = [name for name, other in self.nodes.items() if id in other.defeats]
        return [*node.assumes, *node.supported_by, *doubts]


class _File(Value):
    title: str = Field(min_length=1)
    nodes: dict[str, dict[str, Any]]
    root: str | None = None


def load_argument(path: Path) -> Argument:
    """The argument in a YAML file.

    Raises:
        ConfigError: the file is no argument: an unknown key or kind, a link to nothing or in a circle, a leaf without artifact and
            judgement, a node that hangs nowhere. The message names file, node and key.
    """
    return parse_argument(read_yaml(path, "argument", NEED, ""), str(path))


def default_argument(intervention: str) -> Argument:
    """The argument that a card fills for an intervention; `default.yaml` names the figures that it asks for."""
    text = resources.files("cavesson.argument").joinpath("default.yaml").read_text(encoding="utf-8")
    values = load_yaml(text)
    argument = parse_argument(values, "the default argument")
    named = {
        id: node.model_copy(update={"text": _with(node.text, intervention)}) for id, node in argument.nodes.items()
    }
    return Argument(_with(argument.title, intervention), named, argument.root, argument.source)


def _with(text: str, intervention: str) -> str:
    return text.replace("{intervention}", intervention)


def parse_argument(values: Mapping[str, Any], source: str) -> Argument:
    """The argument that a file's keys and values make. Raises as `load_argument`."""
    if isinstance(values.get("nodes"), dict):  # an id may look like a number
        values = {**values, "nodes": {str(id): node for id, node in values["nodes"].items()}}
    file = _valid(_File, source, values)
    if not 1 <= len(file.nodes) <= MOST_NODES:
        raise ConfigError(f"{source}: {len(file.nodes)} nodes.", f"An argument has 1 to {MOST_NODES}.")
    nodes = {id: _valid(Node, f"{source}, node {id!r}", given) for id, given in file.nodes.items()}
    for id, node in nodes.items():
        _check_links(f"{source}, node {id!r}", id, node, nodes)
        _check_leaf(f"{source}, node {id!r}", node)
    return _whole(file, nodes, source)


V = TypeVar("V", bound=Value)


def _valid(schema: type[V], where: str, given: Mapping[str, Any]) -> V:
    """What a part of the file says; an error names the part."""
    try:
        return validated(schema, given, {**dict.fromkeys(schema.model_fields, where), **dict.fromkeys(given, where)})
    except ConfigError as error:
        if error.problem.startswith(where):
            raise
        raise ConfigError(
            f"{where}: {error.problem.removeprefix('The config does not fit: ')}", error.remedy
        ) from error


def _check_links(where: str, id: str, node: Node, nodes: Mapping[str, Node]) -> None:
    """Every link leads to a node of a kind that may stand there."""
    allowed = LINKS[node.kind]
    for key, other in node.links:
        if key not in allowed:
            raise ConfigError(f"{where}: {key} has no place in a node of the kind {node.kind}.", _may(allowed))
        if other not in nodes:
            raise ConfigError(f"{where}: {key} names {other!r}, which is no node.", nearest(other, nodes))
        if nodes[other].kind not in allowed[key]:
            raise ConfigError(
                f"{where}: {key} names {other!r}, which is of the kind {nodes[other].kind}.",
                f"{key} of a {node.kind} names nodes of the kinds: {', '.join(allowed[key])}",
            )
        if sum(other == also for one, also in node.links if one == key) > 1:
            raise ConfigError(f"{where}: {key} names {other!r} twice.", "Name each once.")
    if node.kind == "defeater" and not node.defeats:
        raise ConfigError(f"{where}: the doubt is about nothing.", "Add defeats: [ID, …]")
    if node.any_of and node.kind != "strategy":
        raise ConfigError(f"{where}: any_of has no place in a node of the kind {node.kind}.", "Put a strategy between.")
    if node.kind == "strategy" and not node.supported_by:
        raise ConfigError(f"{where}: the strategy leads to nothing.", "Add supported_by: [ID, …]")


def _may(allowed: Mapping[str, Sequence[str]]) -> str:
    return f"It may have {' and '.join(allowed)}." if allowed else "Remove it."


def _check_leaf(where: str, node: Node) -> None:
    """A leaf has an artifact and says what of it, or is judged; a node with supports has neither."""
    if node.supported_by:
        extra = next((key for key in ("artifact", "says", "judgement") if getattr(node, key) is not None), None)
        if extra is not None:
            raise ConfigError(
                f"{where}: {extra} stands beside supported_by.",
                "Put it into a node of its own, and name that under supported_by.",
            )
    elif (node.artifact is None) == (node.judgement is None):
        have = "neither an artifact nor a judgement" if node.artifact is None else "both an artifact and a judgement"
        raise ConfigError(
            f"{where}: a leaf with {have}.",
            "Give artifact and says, or judgement (why you think so)"
            + (", or supported_by." if node.kind == "claim" else "."),
        )
    if (node.artifact is None) != (node.says is None):
        missing = "says" if node.says is None else "artifact"
        raise ConfigError(
            f"{where}: the key {missing!r} is missing.", "artifact: WHAT and says: removed >= 0.8 go together."
        )
    if node.stands is not None and (node.kind != "defeater" or node.judgement is None):
        raise ConfigError(f"{where}: stands belongs to a doubt that is judged.", "Remove it, or add judgement.")
    if node.says is not None:
        try:
            bound_of(node.says)
        except ValueError as error:
            raise ConfigError(
                f"{where}: says = {error}.",
                "Write a figure's name and a bound: removed >= 80 %, or cost in [-0.1, 0.1]",
            ) from error


def _whole(file: _File, nodes: Mapping[str, Node], source: str) -> Argument:
    """The argument with its root, if it hangs together and has no circle."""
    draft = Argument(file.title, nodes, "", source)
    below = {id: draft.below(id) for id in nodes}
    _no_circle(below, source)
    resting = {other for others in below.values() for other in others}
    tops = [id for id, node in nodes.items() if node.kind == "claim" and id not in resting]
    if file.root is not None and (file.root not in nodes or nodes[file.root].kind != "claim"):
        claims = [id for id, node in nodes.items() if node.kind == "claim"]
        raise ConfigError(f"{source}: root = {file.root!r} is no claim.", nearest(file.root, claims))
    if file.root is None and len(tops) != 1:
        have = f"{len(tops)} claims stand at the top: {', '.join(tops)}" if tops else "there is no claim at the top"
        raise ConfigError(f"{source}: {have}.", "Let all rest under one claim, or name it: root: ID")
    root = file.root or tops[0]
    depth = _depths(root, below)
    lost = [id for id in nodes if id not in depth]
    if lost:
        raise ConfigError(
            f"{source}, node {lost[0]!r}: nothing that leads up to {root!r} names it"
            + (f", nor {', '.join(map(repr, lost[1:5]))}." if lost[1:] else "."),
            "Name it under supported_by or assumes, or remove it.",
        )
    if max(depth.values()) > MOST_DEEP:
        raise ConfigError(f"{source}: the argument is {max(depth.values())} links deep.", f"The most is {MOST_DEEP}.")
    return Argument(file.title, nodes, root, source)


def _no_circle(below: Mapping[str, Sequence[str]], source: str) -> None:
    """Refuse a circle, and name the nodes on it."""
    done: set[str] = set()
    for start in below:
        path = [] if start in done else [start]
        rests = [iter(below[id]) for id in path]
        while path:
            other = next(rests[-1], None)
            if other is None:
                rests.pop()
                done.add(path.pop())
            elif other in path:
                circle = [*path[path.index(other) :], other]
                raise ConfigError(
                    f"{source}: the argument goes in a circle: {' → '.join(circle)}.",
                    "Remove one of these links: a claim cannot rest on itself.",
                )
            elif other not in done:
                rests.append(iter(below[other]))
                path.append(other)


def _depths(root: str, below: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest way from the root to each node that can be reached."""
    order: list[str] = []
    todo, seen = [(root, iter(below[root]))], {root}
    while todo:  # postorder without recursion
        other = next(todo[-1][1], None)
        if other is None:
            order.append(todo.pop()[0])
        elif other not in seen:
            seen.add(other)
            todo.append((other, iter(below[other])))
    depth = dict.fromkeys(order, 0)
    for id in reversed(order):
        for other in below[id]:
            depth[other] = max(depth[other], depth[id] + 1)
    return depth
