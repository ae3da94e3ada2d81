"""What an artifact was made from, as a graph: layers from the artifact to its first inputs, with like inputs folded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from cavesson.lab.manifest import Manifest
from cavesson.lines import one_line

FOLD = 4
"""Most artifacts of one kind in one layer that are drawn one by one."""
MOST = 4000
"""Artifacts that are followed at most."""
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 208, 46, 60, 14
"""Size of a box, and the room between layers and between boxes, in pixels."""
_LETTERS = 29
"""Letters that a box has room for."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box of the graph.

    Attributes:
        key: the fingerprint; of a stack, its group.
        of: the artifacts that it stands for.
        missing: the artifact is in none of the stores.
    """

    key: str
    layer: int
    kind: str
    title: str
    of: tuple[str, ...]
    missing: bool = False

    @property
    def stacked(self) -> bool:
        """Whether the box stands for several artifacts."""
        return len(self.of) > 1


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of an artifact.

    Attributes:
        edges: (input, product), by the keys of their nodes.
        artifacts: number of artifacts, the first included; `missing`: of those that no store has.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    artifacts: int
    missing: int

    @property
    def folded(self) -> bool:
        """Whether a box stands for several artifacts."""
        return any(node.stacked for node in self.nodes)


def graph_of(
    first: Manifest, look_up: Callable[[str], Manifest | None], unfolded: frozenset[str] = frozenset()
) -> Graph:
    """The graph of everything that an artifact was made from.

    Args:
        look_up: the manifest of a fingerprint; None: there is none.
        unfolded: groups whose artifacts are drawn one by one.
    """
    found: dict[str, Manifest | None] = {first.fingerprint: first}
    todo = deque([first.fingerprint])
    edges: list[tuple[str, str]] = []
    while todo:
        product = todo.popleft()
        manifest = found[product]
        for name in manifest.inputs if manifest is not None else ():
            if name not in found:
                if len(found) == MOST:
                    continue
                found[name] = look_up(name)
                todo.append(name)
            edges.append((name, product))
    layers = _layers(first.fingerprint, found, edges)
    nodes = _nodes(found, layers, unfolded)
    box = {name: node.key for node in nodes for name in node.of}
    joined = dict.fromkeys((box[one], box[two]) for one, two in edges if box[one] != box[two])
    return Graph(tuple(nodes), tuple(joined), len(found), sum(manifest is None for manifest in found.values()))


def drawn(graph: Graph, more: Callable[[str], str], called: Mapping[str, str] | None = None) -> Markup:
    """The graph as SVG; every box is a link.

    Args:
        more: the address that shows a folded group one by one.
        called: names of artifacts that are shorter than their titles, by fingerprint.
    """
    columns: dict[int, list[Node]] = {}
    for node in graph.nodes:
        columns.setdefault(node.layer, []).append(node)
    places: dict[str, tuple[float, float]] = {}
    products: dict[str, list[str]] = {}
    for one, two in graph.edges:
        products.setdefault(one, []).append(two)
    for layer in sorted(columns):
        column = sorted(columns[layer], key=lambda node: _middle(products.get(node.key, ()), places))
        for row, node in enumerate(column):
            places[node.key] = (layer * (_WIDTH + _ACROSS), row * (_HEIGHT + _DOWN))
    width = max(x for x, _ in places.values()) + _WIDTH + 2
    height = max(y for _, y in places.values()) + _HEIGHT + 6
    lines = [_edge(places[one], places[two]) for one, two in graph.edges]
    boxes = [_box(node, places[node.key], more, (called or {}).get(node.key, node.title)) for node in graph.nodes]
    return Markup(
        '<svg class="graph" width="{0}" height="{1}" viewBox="-1 -1 {0} {1}" role="group" aria-label="{2}">{3}{4}</svg>'
    ).format(width, height, f"Graph of {graph.artifacts} artifacts", Markup("").join(lines), Markup("").join(boxes))


def _layers(first: str, found: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The longest way from the first artifact to each; a damaged store's circle of inputs ends where it was first met."""
    inputs: dict[str, list[str]] = {}
    waiting = dict.fromkeys(found, 0)
    for one, two in edges:
        inputs.setdefault(two, []).append(one)
        waiting[one] += 1
    layers, ready = dict.fromkeys(waiting, 1), [first]
    layers[first] = 0
    while ready:
        product = ready.pop()
        for one in inputs.get(product, ()):
            layers[one] = max(layers[one], layers[product] + 1)
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    return layers


def _nodes(found: dict[str, Manifest | None], layers: dict[str, int], unfolded: frozenset[str]) -> list[Node]:
    groups: dict[tuple[int, str], list[str]] = {}
    for name, manifest in found.items():
        groups.setdefault((layers[name], "missing" if manifest is None else manifest.kind), []).append(name)
    nodes = []
    for (layer, kind), names in groups.items():
        key = f"{layer}-{kind}"
        if len(names) > FOLD and key not in unfolded:
            nodes.append(Node(key, layer, kind, f"{len(names)} × {kind}", tuple(names), missing=kind == "missing"))
            continue
        for name in names:
            manifest = found[name]
            title = manifest.title if manifest is not None else name[:12]
            nodes.append(Node(name, layer, kind, title, (name,), missing=manifest is None))
    return nodes


def _middle(keys: Iterable[str], places: dict[str, tuple[float, float]]) -> float:
    """The mean height of the products of a box, by which boxes are put in order so that lines cross little."""
    heights = [places[key][1] for key in keys if key in places]
    return sum(heights) / len(heights) if heights else 0.0


def _edge(one: tuple[float, float], two: tuple[float, float]) -> Markup:
    """A line from an input (right) to its product (left), with its point at the product."""
    x, y, to_x, to_y = one[0], one[1] + _HEIGHT / 2, two[0] + _WIDTH, two[1] + _HEIGHT / 2
    half = (x - to_x) / 2
    return Markup(
        '<path class="edge" d="M{} {}C{} {} {} {} {} {}"/><path class="tip-of-edge" d="M{} {}l7 -4v8z"/>'
    ).format(x, y, x - half, y, to_x + half, to_y, to_x + 6, to_y, to_x, to_y)


def _box(node: Node, at: tuple[float, float], more: Callable[[str], str], named: str) -> Markup:
    title = one_line(named)
    short = title if len(title) <= _LETTERS else title[: _LETTERS - 1] + "…"
    behind = Markup('<rect class="behind" x="{}" y="{}" width="{}" height="{}" rx="7"/>').format(
        at[0] + 4, at[1] + 4, _WIDTH - 4, _HEIGHT
    )
    body = Markup(
        '{}<rect x="{}" y="{}" width="{}" height="{}" rx="7"/><text class="kind" x="{}" y="{}">{}</text>'
        '<text x="{}" y="{}">{}</text><title>{}</title>'
    ).format(
        behind if node.stacked else "",
        *(at[0], at[1], _WIDTH - (4 if node.stacked else 0), _HEIGHT),
        *(at[0] + 10, at[1] + 17, "not in these stores" if node.missing else one_line(node.kind)),
        *(at[0] + 10, at[1] + 35, short),
        one_line(node.title),
    )
    kind = "box" + (" missing" if node.missing else "") + (" first" if node.layer == 0 else "")
    if node.missing and not node.stacked:
        return Markup('<g class="{}">{}</g>').format(kind, body)
    address = more(node.key) if node.stacked else f"/artifact/{node.key}"
    return Markup('<a class="{}" href="{}" data-step>{}</a>').format(kind, address, body)
