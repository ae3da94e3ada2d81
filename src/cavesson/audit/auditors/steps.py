"""Steps that may be left out: filters, bounds, slices, rescalings, shared draws, fixed seeds, unshuffled splits.

The textbook alternative is the code without the step. A step that the paper does not mention and that decides the finding
is an omission.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cavesson.audit.auditors.decision import Decision, decided
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import (
    MEASURES,
    bodies,
    called,
    draws,
    loaded_names,
    own_nodes,
    root,
    scopes,
    stored_names,
)
from cavesson.lines import text_lines

_ORDER = re.compile(r"(^|_)(order|perm|permutation|idx|index|indices|ids|rows)($|_)")
_KEEPS = frozenset((
    "append", "step", "update", "reshape", "view", "to", "float", "int", "asarray", "array", "relu", "tanh", "dot", "matmul", "concatenate", "vstack",
    "deepcopy", "copy", "str", "list", "sorted", "apply", "forward", "Path", "layer", "block", "conv",
))  # fmt: skip
"""Calls that do the work itself, or change the form of a quantity only."""

_SEEDED = frozenset(("default_rng", "RandomState", "manual_seed", "Random", "seed"))


def steps(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """All steps that may be left out, in the files that the command runs."""
    for module in workspace.modules:
        if module.name in workspace.pictures:
            continue
        for finder in (self_updates, bounds, filters, slices, shared_draws, unshuffled, seeds, branches, aggregates):
            yield from finder(module, paper)


def self_updates(module: Module, paper: Paper) -> Iterator[Decision]:
    """`x = f(x)`, `x *= c`, `x[mask] = c`: the step goes, and x stays as it was."""
    for name, statements, _scope in scopes(module):
        known = {arg.arg for arg in _scope.args.args} if isinstance(_scope, ast.FunctionDef) else set()
        for line in statements:
            yield from _updates(module, paper, name, line, known, 0)
            known |= stored_names(line)


def _updates(
    module: Module, paper: Paper, name: str, line: ast.stmt, known: set[str], depth: int
) -> Iterator[Decision]:
    if isinstance(line, ast.For | ast.While | ast.If | ast.With):
        averaged = {
            root(one.target) for one in line.body if isinstance(one, ast.AugAssign) and isinstance(one.op, ast.Add)
        }
        inside = known | (stored_names(line.target) if isinstance(line, ast.For) else set())
        for inner in (*line.body, *getattr(line, "orelse", [])):
            if isinstance(inner, ast.AugAssign) and isinstance(inner.op, ast.Mult) and root(inner.target) in averaged:
                continue  # a moving average: the next line adds to what this line shrinks
            yield from _updates(module, paper, name, inner, inside, depth + 1)
            inside = inside | stored_names(inner)
        return
    why = "What follows rests on this step; without it the quantity is used as it is."
    if isinstance(line, ast.Assign) and len(line.targets) == 1:
        target = line.targets[0]
        if (
            isinstance(target, ast.Name)
            and target.id in known
            and target.id in loaded_names(line.value)
            and _processes(line.value, target.id)
        ):
            yield decided("step", "step", 0.4, module, line, f"{target.id} is changed: {module.source(line)[:70]}", why, module.replaced(line, "pass"), paper)  # fmt: skip
        elif (
            isinstance(target, ast.Subscript)
            and isinstance(target.slice, ast.Compare | ast.Name)
            and literal(line.value) is not None
            and root(target) in known
        ):
            masks = isinstance(target.slice, ast.Compare) or re.search(
                r"mask|keep|low|high|bad|flip|sel", root(target.slice)
            )
            if masks:
                yield decided("step", "overwritten", 0.4, module, line, f"a part of {root(target)} is overwritten: {module.source(line)[:60]}", why, module.replaced(line, "pass"), paper)  # fmt: skip
    elif (
        isinstance(line, ast.AugAssign)
        and isinstance(line.op, ast.Mult | ast.Div)
        and not re.search(r"len\(|sum\(|/ *n\b|\bn\b", module.source(line.value))
    ):
        yield decided("step", "rescaled", 0.35, module, line, f"{root(line.target)} is rescaled: {module.source(line)[:70]}", why, module.replaced(line, "pass"), paper)  # fmt: skip


def _processes(value: ast.expr, name: str) -> bool:
    """An expression that clips, filters, slices, scales or moves a quantity; updates by addition are how training works."""
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.Mult | ast.Div) and name in (root(value.left), root(value.right))
    if isinstance(value, ast.Subscript):
        return root(value.value) == name
    if isinstance(value, ast.Call):
        rectifies = called(value) in ("maximum", "clip", "clamp") and any(literal(arg) == 0 for arg in value.args)
        return called(value) not in _KEEPS and not rectifies
    return isinstance(value, ast.ListComp | ast.DictComp | ast.IfExp)


def bounds(module: Module, paper: Paper) -> Iterator[Decision]:
    """`max(a, b)`, `min(a, b)`, `clip(a, …)`: each of the bounded quantities alone."""
    for name, statements, _ in scopes(module):
        for node in own_nodes(statements):
            if not isinstance(node, ast.Call):
                continue
            if (
                called(node) in ("max", "min")
                and isinstance(node.func, ast.Name)
                and len(node.args) == 2
                and not node.keywords
            ):
                values = [literal(arg) for arg in node.args]
                if 0 in values:
                    continue  # a rectified quantity
                factor = 1 in values  # min(1, limit / norm), x / max(1, n / 5): 1 is what stands without the bound
                for kept, value in zip(node.args, values, strict=True):
                    if (value is None) != factor:
                        yield decided("step", "bound", 0.4, module, node, f"bounded: {module.source(node)[:60]}",
                                      f"{module.source(kept)[:40]} takes effect on one side of a bound only, so that cases on the two sides are treated unlike.",
                                      module.replaced(node, f"({module.source(kept)})"), paper)  # fmt: skip
            elif called(node) in ("clip", "clamp", "round", "nan_to_num") and (
                node.args or isinstance(node.func, ast.Attribute)
            ):
                plain = (
                    node.func.value
                    if isinstance(node.func, ast.Attribute)
                    and root(node.func.value) not in ("np", "numpy", "torch", "math")
                    else node.args[0]
                    if node.args
                    else None
                )
                tiny = any(0 < abs(value) < 1e-4 for arg in node.args if (value := literal(arg)) is not None)
                decimals = called(node) == "round" and (not isinstance(node.func, ast.Name) or len(node.args) > 1)
                if plain is not None and not tiny and not decimals:
                    yield decided("step", "bound", 0.35 if MEASURES.search(name) else 0.25, module, node, f"values are cut off: {module.source(node)[:60]}",
                                  "Values are cut off or rounded before they enter the result.", module.replaced(node, f"({module.source(plain)})"), paper)  # fmt: skip


def filters(module: Module, paper: Paper) -> Iterator[Decision]:
    """Entries that are left out: conditions in comprehensions, masks, `if …: continue`."""
    for name, statements, _ in scopes(module):
        weight = 0.5 if MEASURES.search(name) else 0.35
        why = "Entries that do not meet a condition are left out before anything is computed from the rest."
        for node in own_nodes(statements):
            if isinstance(node, ast.comprehension):
                for condition in node.ifs:
                    if isinstance(condition, ast.Compare | ast.BoolOp | ast.UnaryOp) and not _about_names(condition):
                        yield decided("step", "filter", weight, module, condition, f"entries are left out: if {module.source(condition)[:60]}",
                                      why, module.replaced(condition, "True"), paper)  # fmt: skip
            elif (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Compare)
                and isinstance(node.targets[0], ast.Name)
                and re.search(r"keep|mask|valid|ok|sel|use|conf|subset|good|clean", node.targets[0].id)
            ):
                yield decided("step", "filter", weight, module, node, f"only a part is used: {module.source(node.value)[:60]}",
                              why, module.replaced(node.value, f"(({module.source(node.value)}) | True)"), paper)  # fmt: skip
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _selects(node.slice):
                yield decided("step", "selection", weight - 0.1, module, node, f"only a part is used: {module.source(node)[:60]}",
                              why, module.replaced(node, f"({module.source(node.value)})"), paper)  # fmt: skip
            elif (
                isinstance(node, ast.If)
                and len(node.body) == 1
                and isinstance(node.body[0], ast.Continue)
                and not _about_names(node.test)
            ):
                less = weight / 2 if _looks_up(node.test) else weight
                yield decided("step", "filter", less, module, node.test, f"rounds are skipped: if {module.source(node.test)[:60]}", why, module.replaced(node.test, "False"), paper)  # fmt: skip
            elif (
                isinstance(node, ast.If)
                and any(isinstance(line, ast.Break) for line in node.body)
                and not _about_names(node.test)
            ):
                yield decided("step", "stop", 0.4, module, node.test, f"a loop is left early: if {module.source(node.test)[:60]}",
                              "A loop ends before its last round; what it trains or counts is cut short.", module.replaced(node.test, "False"), paper)  # fmt: skip


def _looks_up(node: ast.expr) -> bool:
    """A condition on whether something was met before (`key in seen`): how lists without repeats are made."""
    return isinstance(node, ast.Compare) and all(isinstance(op, ast.In | ast.NotIn) for op in node.ops)


def _selects(node: ast.expr) -> bool:
    """A mask by size (`x > 3`), not by class (`y == 1`)."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        return _selects(node.left) or _selects(node.right)
    return isinstance(node, ast.Compare) and all(
        isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.NotEq) for op in node.ops
    )


def _about_names(node: ast.expr) -> bool:
    """A condition on names of things (`if key != "seed"`), not on outcomes."""
    return any(
        isinstance(child, ast.Constant) and isinstance(child.value, str | None.__class__) for child in ast.walk(node)
    )


def slices(module: Module, paper: Paper) -> Iterator[Decision]:
    """The first or the last entries of something, where it is measured or handed on: the whole instead."""
    for name, statements, _ in scopes(module):
        for node in own_nodes(statements):
            if not (
                isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load)
            ):
                continue
            ends = [end for end in (node.slice.lower, node.slice.upper) if end is not None]
            stepped = node.slice.step is not None
            odd = re.search(
                r"shape|argv|name|path|__|parts|sizes|weights|biases|layers|text|word|stem", ast.dump(node.value)
            )
            turned = stepped and literal(node.slice.step) == -1  # type: ignore[arg-type]
            halves = len(ends) == 1 and literal(ends[0]) is None and _is_split(statements, node)
            if (
                not odd
                and not turned
                and not halves
                and (
                    (stepped and not ends)
                    or (len(ends) == 1 and not stepped and (literal(ends[0]) or 9) not in (1, -1))
                )
            ):
                yield decided("step", "slice", 0.35 if MEASURES.search(name) else 0.25, module, node, f"a part is taken: {module.source(node)[:60]}",
                              "Only a part of the entries enters what follows.", module.replaced(node, f"({module.source(node.value)})"), paper)  # fmt: skip


def _is_split(statements: list[ast.stmt], node: ast.Subscript) -> bool:
    """Whether the other part of a sliced thing is used too: `x[:cut]` beside `x[cut:]`."""
    assert isinstance(node.slice, ast.Slice)
    mine = ast.dump(node.slice.lower or node.slice.upper or node)
    return any(
        isinstance(other, ast.Subscript) and isinstance(other.slice, ast.Slice) and ast.dump(other.value) == ast.dump(node.value)
        and ((node.slice.lower is None) != (other.slice.lower is None)) and mine == ast.dump(other.slice.lower or other.slice.upper or other)
        for other in own_nodes(statements)
    )  # fmt: skip


def shared_draws(module: Module, paper: Paper) -> Iterator[Decision]:
    """A random draw before a loop whose rounds all use it: members, repeats or arms share what each might draw afresh."""
    for body in bodies(module.tree):
        for at, loop in enumerate(body):
            if not isinstance(loop, ast.For):
                continue
            for before in body[max(0, at - 4) : at]:
                if not (
                    isinstance(before, ast.Assign)
                    and len(before.targets) == 1
                    and isinstance(before.targets[0], ast.Name)
                ):
                    continue
                name = before.targets[0].id
                if (
                    isinstance(before.value, ast.ListComp)
                    or not draws(before.value)
                    or re.search(r"rng|gen|seed", name)
                ):
                    continue
                uses = [
                    child
                    for inner in loop.body
                    for child in ast.walk(inner)
                    if isinstance(child, ast.Name) and child.id == name
                ]
                if uses and all(isinstance(child.ctx, ast.Load) for child in uses):
                    counted = isinstance(loop.iter, ast.Call) and called(loop.iter) == "range"
                    trains = bool(re.search(r"step|epoch|iter", module.source(loop.iter) + module.source(loop.target)))
                    yield decided("step", "shared_draw", 0.1 if trains else 0.6 if counted else 0.35, module, before, f"{name} is drawn once for all rounds of a loop",
                                  f"{name} is drawn at random before the loop and shared by its rounds; members or repeats that should be independent make the same errors.",
                                  _moved_inside(module, before, loop), paper)  # fmt: skip


def _moved_inside(module: Module, statement: ast.stmt, loop: ast.For) -> dict[str, str]:
    """The edit that makes a statement the first of a loop's body."""
    lines = text_lines(module.text)
    moved = lines[statement.lineno - 1 : statement.end_lineno]
    first = loop.body[0]
    if first.lineno == loop.lineno:
        return {}
    indent = " " * (first.col_offset - statement.col_offset)
    kept = [*lines[: statement.lineno - 1], *lines[statement.end_lineno : first.lineno - 1]]
    return {module.name: "".join([*kept, *(indent + line for line in moved), *lines[first.lineno - 1 :]])}


def unshuffled(module: Module, paper: Paper) -> Iterator[Decision]:
    """Data that is split in the order in which it came: `order = arange(n)`, `shuffle=False`."""
    why = "The split follows the order of the data: if the order means anything (time, class, source), the parts differ by more than chance."
    for _, statements, scope in scopes(module):
        generators = [
            name
            for name in (stored_names(scope) | loaded_names(scope))
            if re.search(r"^(rng|gen|generator|rs|prng)$|_rng$", name)
        ]
        drawn = (
            f"{generators[0]}.permutation" if generators else "__import__('numpy').random.default_rng(0).permutation"
        )
        for node in own_nodes(statements):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and called(node.value) == "arange"
                and len(node.value.args) == 1
                and isinstance(node.targets[0], ast.Name)
                and _ORDER.search(node.targets[0].id)
            ):
                used = re.search(rf"\b{node.targets[0].id}\[[^\]]*:[^\]]*\]", module.text)
                inner = module.source(node.value.args[0])
                if not used:
                    continue
                yield decided("step", "unshuffled", 0.7, module, node, f"{node.targets[0].id} is the order of the data", why, module.replaced(node.value, f"{drawn}({inner})"), paper)  # fmt: skip
            elif (
                isinstance(node, ast.keyword)
                and node.arg == "shuffle"
                and isinstance(node.value, ast.Constant)
                and node.value.value is False
                and not re.search(r"test|val", text_lines(module.text)[node.value.lineno - 1])
            ):
                yield decided("step", "unshuffled", 0.5, module, node.value, "the data are not shuffled", why, module.replaced(node.value, "True"), paper)  # fmt: skip


def seeds(module: Module, paper: Paper) -> Iterator[Decision]:
    """Generators that do not depend on the run's seed, or share a seed with another generator."""
    first: dict[str, ast.Call] = {}
    for _, statements, scope in scopes(module):
        at_hand = stored_names(scope) | (
            {arg.arg for arg in scope.args.args} if isinstance(scope, ast.FunctionDef) else set()
        )
        for node in own_nodes(statements):
            if not (isinstance(node, ast.Call) and called(node) in _SEEDED and len(node.args) == 1):
                continue
            arg, text = node.args[0], module.source(node.args[0])
            why = "What this generator draws does not differ between runs, or is not independent of what another draws."
            if literal(arg) is not None:
                edit = module.replaced(arg, "seed") if "seed" in at_hand else {}
                yield decided("step", "fixed_seed", 0.35, module, node, f"a generator is seeded with {text}", why, edit)
            elif any(isinstance(child, ast.Mod | ast.FloorDiv) for child in ast.walk(arg)):
                yield decided("step", "fixed_seed", 0.5, module, node, f"a seed is folded: {text}", why, module.replaced(arg, "seed") if "seed" in at_hand else {})  # fmt: skip
            elif text in first:
                yield decided("step", "same_seed", 0.3, module, node, f"two generators are seeded with {text}",
                              why, module.replaced(arg, f"[{text}, 7919]" if called(node) == "default_rng" else f"({text}) + 7919"))  # fmt: skip
            first.setdefault(text, node)


def branches(module: Module, paper: Paper) -> Iterator[Decision]:
    """An expression that depends on a condition: each of its sides for all."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if (
                isinstance(node, ast.IfExp)
                and not (isinstance(node.test, ast.Call) and called(node.test) == "isinstance")
                and not _about_places(node.test)
            ):
                for kept in (node.orelse, node.body):
                    if not (isinstance(kept, ast.Constant) and kept.value is None):
                        yield decided("step", "branch", 0.25, module, node, f"a value depends on a condition: {module.source(node)[:60]}",
                                      "Cases on the two sides of the condition are treated unlike.", module.replaced(node, f"({module.source(kept)})"), paper)  # fmt: skip


def _about_places(test: ast.expr) -> bool:
    """A condition on None or on the end of a list: `x is None`, `i == len(layers) - 1`."""
    return isinstance(test, ast.Compare) and any(
        (isinstance(child, ast.Constant) and child.value is None)
        or (isinstance(child, ast.Call) and called(child) == "len")
        for one in test.comparators
        for child in ast.walk(one)
    )


def aggregates(module: Module, paper: Paper) -> Iterator[Decision]:
    """The best or the middle of several values, where a report gives their mean."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if (
                isinstance(node, ast.Call)
                and len(node.args) == 1
                and not node.keywords
                and called(node) in ("max", "min", "median", "nanmax", "amax", "quantile")
            ):
                inner = node.args[0]
                about = root(inner) or module.source(inner)
                if re.search(
                    r"acc|score|auc|loss|err|result|rate|seed|run|repeat|reward|f1|metric", about, re.IGNORECASE
                ) and not re.search(r"range|len", about):
                    yield decided("step", "aggregate", 0.45, module, node, f"the {called(node)} of {about[:40]} is taken",
                                  "One extreme or middle value stands for several; the mean is what one expects.",
                                  module.replaced(node, f"__import__('numpy').mean(list({module.source(inner)}))"), paper)  # fmt: skip
