"""One thing where another of its kind is at hand: the other end of a list, the other operand first, a sibling's name.

Syntax does not say which of two alike things is meant. A run does, where the two lead to other findings.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from cavesson.audit.auditors.decision import Decision, decided, words_of
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import called, own_nodes, root, scopes

_PLAIN = frozenset(("int", "float", "str", "bool", "object", "Any", "list", "dict", "tuple", "Array"))
"""Annotations that say too little: two parameters of such a type need not stand for things of one kind."""

_MOST_FIELDS = 8

SWAPS = frozenset(("sibling", "turned"))
"""Families whose alternative breaks sound code as easily as it mends unsound code."""


def swaps(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """All swaps that are possible in the files that the command runs."""
    fields = {owner: names for module in workspace.modules for owner, names in _declared(module).items()}
    for module in workspace.modules:
        if module.name not in workspace.pictures:
            for finder in (other_end, turned, sibling_names):
                yield from finder(module, paper)
            yield from sibling_fields(module, paper, fields)


def other_end(module: Module, paper: Paper) -> Iterator[Decision]:
    """`x.pop()` where the scope appends to x: the newest entry goes, and a queue or window lets go of the oldest."""
    for _, statements, _scope in scopes(module):
        calls = [node for node in own_nodes(statements) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]  # fmt: skip
        filled = {ast.dump(node.func.value) for node in calls if called(node) == "append"}  # type: ignore[attr-defined]
        for node in calls:
            assert isinstance(node.func, ast.Attribute)
            if called(node) == "pop" and not node.args and ast.dump(node.func.value) in filled:
                owner = module.source(node.func.value)
                yield decided("mistake", "other_end", 0.6, module, node, f"the newest entry of {owner} is taken out",
                              "What was appended last is removed again; a queue or a window lets go of its oldest entry.",
                              module.replaced(node, f"{owner}.pop(0)"), paper)  # fmt: skip


def turned(module: Module, paper: Paper) -> Iterator[Decision]:
    """A difference that is handed on with its sign: the other operand first. A text beside the code that says `b minus a`
    for `a - b` makes it a mistake."""
    beside = " ".join(re.findall(r'#.*|"""(?:.|\n)*?"""', module.text))
    prose = f"{paper.text}\n{beside}".lower()
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            handed = [*node.args, *(word.value for word in node.keywords)] if isinstance(node, ast.Call) else []
            handed += [node.value] if isinstance(node, ast.Return) and node.value is not None else []
            for one in handed:
                if (
                    not (isinstance(one, ast.BinOp) and isinstance(one.op, ast.Sub))
                    or any(literal(side) is not None for side in (one.left, one.right))
                    or (isinstance(node, ast.Call) and re.search(r"abs|square|norm|sqrt|range|exp|zeros|ones|max|min|sum|mean|len", called(node)))
                ):  # fmt: skip
                    continue
                first, second = module.source(one.left), module.source(one.right)
                against = _minus(one.right, one.left, prose) and not _minus(one.left, one.right, prose)
                yield decided("mistake" if against else "step", "turned", 0.7 if against else 0.25, module, one,
                              f"{first[:30]} minus {second[:30]}" + (", the text says the reverse" if against else ""),
                              "The sign of this difference decides whether what follows works for the method or against it.",
                              module.replaced(one, f"({second}) - ({first})"))  # fmt: skip


def _minus(first: ast.expr, second: ast.expr, prose: str) -> bool:
    """Whether a text says `first minus second` or `the difference between first and second`, a few words in between
    allowed."""
    return any(
        re.search(rf"\b{one[:5]}\w*(\W+\w+){{0,4}}\W+minus(\W+\w+){{0,4}}\W+{two[:5]}", prose)
        or re.search(
            rf"\bdifference (between|of)(\W+\w+){{0,3}}\W+{one[:5]}\w*(\W+\w+){{0,5}}\W+and(\W+\w+){{0,3}}\W+{two[:5]}",
            prose,
        )
        for one in words_of(first) | {root(first).lower()} - {""}
        for two in words_of(second) | {root(second).lower()} - {""}
    )


def sibling_names(module: Module, paper: Paper) -> Iterator[Decision]:
    """A name where its sibling is at hand: names that one assignment unpacks, parameters of one annotated type."""
    for _, statements, scope in scopes(module):
        nodes = list(own_nodes(statements))
        pairs = [names for node in nodes if isinstance(node, ast.Assign) for names in _unpacked(node)]
        if isinstance(scope, ast.FunctionDef):
            typed: Mapping[str, list[str]] = defaultdict(list)
            for given in scope.args.args:
                if given.annotation is not None and (kind := ast.unparse(given.annotation)) not in _PLAIN:
                    typed[kind].append(given.arg)
            pairs += [names for names in typed.values() if len(names) == 2]
        for names in pairs:
            for node in nodes:
                if not isinstance(node, ast.Call):
                    continue
                for arg in node.args:
                    if root(arg) in names and not any(root(other) in names for other in node.args if other is not arg):
                        mine = next(
                            child for child in ast.walk(arg) if isinstance(child, ast.Name) and child.id in names
                        )
                        other = names[1 - names.index(mine.id)]
                        yield decided("step", "sibling", 0.35, module, node, f"{called(node)} is given {mine.id}, and {other} is at hand",
                                      f"{mine.id} and {other} are of one kind; a method can need the one here and the other there.",
                                      module.replaced(mine, other))  # fmt: skip


def _unpacked(node: ast.Assign) -> Iterator[list[str]]:
    """`mine, other = tables[side], tables[1 - side]`: the two names, if their values are alike."""
    target, value = node.targets[0], node.value
    if (
        isinstance(target, ast.Tuple)
        and len(target.elts) == 2
        and isinstance(value, ast.Tuple)
        and len(value.elts) == 2
    ):
        names = [one.id for one in target.elts if isinstance(one, ast.Name)]
        if len(names) == 2 and root(value.elts[0]) == root(value.elts[1]) != "":
            yield names


def sibling_fields(module: Module, paper: Paper, fields: Mapping[str, list[str]]) -> Iterator[Decision]:
    """A field that a short function returns, where its object has other fields that the paper speaks of."""
    for _, statements, _scope in scopes(module):
        if not 1 <= len(statements) <= 3 or not isinstance(last := statements[-1], ast.Return) or not isinstance(field := last.value, ast.Attribute):  # fmt: skip
            continue
        others = [name for name in fields.get(root(field.value), []) if name != field.attr]
        for other in others[:_MOST_FIELDS]:
            said = paper.has_words(frozenset((other.lower(),)))
            if said:
                yield decided("step", "sibling", 0.35, module, field, f"{module.source(field)} is used, and {other} is at hand",
                              f"The same object has {other}, of which the paper speaks.",
                              module.replaced(field, f"{module.source(field.value)}.{other}"))  # fmt: skip


def _declared(module: Module) -> dict[str, list[str]]:
    """The fields of each class, by the class's last word in lower case (`GroupDataset` → dataset)."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            names = [child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store) and root(child.value) == "self"]  # fmt: skip
            names += [child.target.id for child in node.body if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)]  # fmt: skip
            words = re.findall(r"[A-Z][a-z]+", node.name)
            if words and names:
                found[words[-1].lower()] = [name for name in names if not name.startswith("_")]
    return found
