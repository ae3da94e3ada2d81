"""Are the compared arms treated alike? A small taint analysis: which names and numbers reach each argument of two calls
of one function, and what runs for one arm only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from cavesson.audit.auditors.decision import Decision, decided
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import called, own_nodes, root, scopes, stored_names

_TRAINS = re.compile(r"train|fit|learn|update|optimi|tune|run|step", re.IGNORECASE)
_MODEL = re.compile(r"model|net|policy|clf|student|teacher|agent|learner|lm$|params|weights", re.IGNORECASE)


def asymmetries(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Decision]:
    """All differences between arms that are found in the files that the command runs."""
    names = arm_names(workspace, results)
    for module in workspace.modules:
        if module.name in workspace.pictures:
            continue
        yield from on_names(module, names, paper)
        yield from unlike_calls(workspace, module, paper)
        yield from shared_objects(module, paper)


def arm_names(workspace: Workspace, results: Results) -> frozenset[str]:
    """The names of the compared arms: names in the results' paths that also stand as texts in the code."""
    parts = {part for path in results.means for part in path if not part.replace(".", "").replace("-", "").isdigit()}
    texts = {
        node.value for module in workspace.modules for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }  # fmt: skip
    return frozenset(parts & texts)


def on_names(module: Module, names: frozenset[str], paper: Paper) -> Iterator[Decision]:
    """Values and branches that depend on the name of an arm."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If) and _names_arm(node.test, names):
            yield decided("arms", "arm_branch", 0.3, module, node.test, f"a branch for one arm: {module.source(node.test)[:60]}",
                          "Code runs for one of the compared arms only.", module.replaced(node.test, "False"), paper)  # fmt: skip
        elif isinstance(node, ast.IfExp) and _names_arm(node.test, names):
            for kept in (node.orelse, node.body):
                yield decided("arms", "arm_value", 0.5, module, node, f"one arm is treated otherwise: {module.source(node)[:70]}",
                              "A value depends on which of the compared arms is run; their difference may come from that alone.",
                              module.replaced(node, f"({module.source(kept)})"), paper)  # fmt: skip


def _names_arm(test: ast.expr, names: frozenset[str]) -> bool:
    return any(
        isinstance(child, ast.Constant) and child.value in names
        for node in ast.walk(test) if isinstance(node, ast.Compare)
        for side in node.comparators for child in ast.walk(side)
    )  # fmt: skip


def unlike_calls(workspace: Workspace, module: Module, paper: Paper) -> Iterator[Decision]:
    """Two calls of one function whose arguments differ in more than what they are about."""
    for _, statements, _scope in scopes(module):
        sources = _assigned(statements)
        calls = [
            node for node in own_nodes(statements) if isinstance(node, ast.Call) and workspace.function(called(node))
        ]
        for one, two in combinations(sorted(calls, key=lambda call: (call.lineno, call.col_offset))[:40], 2):
            if called(one) != called(two) or (not _TRAINS.search(called(one)) and not _scores(called(one))):
                continue
            for mine, theirs, name in _paired(workspace, one, two):
                if mine is None or theirs is None:
                    present = mine if mine is not None else theirs
                    assert present is not None
                    yield decided("arms", "extra_argument", 0.35, module, two, f"{called(one)} gets {name} in one call and not in another",
                                  f"Two parts that go through {called(one)} differ in {name}.", None, paper)  # fmt: skip
                    continue
                first, second = _reach(mine, sources), _reach(theirs, sources)
                numbers = {text for text in first ^ second if text.startswith("#")}
                steps = {text for text in first ^ second if text.startswith(("()", "[]"))}
                if numbers or steps:
                    told = ", ".join(sorted(text.lstrip("#()[]") for text in (numbers | steps)))[:60]
                    for target, other in ((theirs, mine), (mine, theirs)):
                        edit = (
                            module.replaced(target, module.source(other))
                            if literal(target) is not None or numbers
                            else {}
                        )
                        yield decided("arms", "unlike_calls", 0.45 if numbers else 0.3, module, two, f"{called(one)} is not given alike for two arms: {told}",
                                      f"What reaches {name} of {called(one)} differs between two calls by {told}: a difference of results may come from that alone.",
                                      edit, paper)  # fmt: skip


def _scores(name: str) -> bool:
    return bool(
        re.search(
            r"eval|score|metric|measure|accura|auroc|auc|predict|sample|generate|make|build|load|draw",
            name,
            re.IGNORECASE,
        )
    )


def _assigned(statements: list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Name → the expressions that a scope assigns to it."""
    found: dict[str, list[ast.expr]] = {}
    for node in own_nodes(statements):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in stored_names(target):
                    found.setdefault(name, []).append(node.value)
    return found


def _paired(
    workspace: Workspace, one: ast.Call, two: ast.Call
) -> Iterator[tuple[ast.expr | None, ast.expr | None, str]]:
    target = workspace.function(called(one))
    assert target is not None
    names = [arg.arg for arg in target[1].args.args if arg.arg not in ("self", "cls")]
    sides = [
        dict(zip(names, call.args, strict=False)) | {word.arg: word.value for word in call.keywords if word.arg}
        for call in (one, two)
    ]
    for name in sorted(sides[0].keys() | sides[1].keys()):
        yield sides[0].get(name), sides[1].get(name), name


def _reach(node: ast.expr, sources: Mapping[str, list[ast.expr]], depth: int = 3) -> frozenset[str]:
    """What reaches an expression, through assignments of the scope: numbers (`#0.1`), calls (`()clip`), slices (`[]:100`)."""
    found: set[str] = set()
    for child in ast.walk(node):
        value = literal(child) if isinstance(child, ast.expr) else None
        if value is not None:
            found.add(f"#{value:g}")
        elif isinstance(child, ast.Call):
            found.add(f"(){called(child)}")
        elif isinstance(child, ast.Slice) and (child.lower or child.upper):
            found.add(f"[]{ast.unparse(child)}")
        elif isinstance(child, ast.Name) and depth and len(sources.get(child.id, ())) == 1:
            found |= _reach(sources[child.id][0], sources, depth - 1)
    return frozenset(found)


def shared_objects(module: Module, paper: Paper) -> Iterator[Decision]:
    """A model made before a loop and trained in its rounds, or bound to a second name without a copy."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if isinstance(node, ast.For):
                inside = {name for line in node.body for name in stored_names(line)} | stored_names(node.target)
                if re.search(r"step|epoch|iter|batch|update", module.source(node.iter) + module.source(node.target)):
                    continue
                for call in (one for line in node.body for one in ast.walk(line) if isinstance(one, ast.Call)):
                    if not _TRAINS.search(called(call)):
                        continue
                    for arg in call.args:
                        if isinstance(arg, ast.Name) and _MODEL.search(arg.id) and arg.id not in inside:
                            yield decided("arms", "shared_object", 0.45, module, call, f"{arg.id} is handed to {called(call)} in every round",
                                          f"All rounds of the loop train one {arg.id}: a later arm starts from what an earlier one left.",
                                          module.replaced(arg, f"__import__('copy').deepcopy({arg.id})"), paper)  # fmt: skip
            elif (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.value, ast.Name | ast.Attribute)
                and isinstance(node.targets[0], ast.Name | ast.Attribute)
            ):
                new, old = root(node.targets[0]), root(node.value)
                if (
                    new != old
                    and _MODEL.search(old)
                    and re.search(
                        r"init|start|base|orig|saved|best|snapshot|ref|teacher|student|theta0|w0|copy|old|before", new
                    )
                ):
                    text = module.source(node.value)
                    yield decided("arms", "shared_object", 0.4, module, node, f"{new} is {old} itself, not a copy",
                                  "Two names stand for one object: training the one changes the other.",
                                  module.replaced(node.value, f"__import__('copy').deepcopy({text})"), paper)  # fmt: skip
