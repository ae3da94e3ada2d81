"""Rules over syntax trees, on what goes into training and evaluation: splits, labels, seeds, normalisation, subsets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Results
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import (
    about_names,
    bodies,
    called,
    draws,
    found,
    is_mask,
    is_number,
    reshapes,
    root,
    swap_name,
)
from cavesson.lines import text_lines

_TEST = re.compile(r"(^|_)(test|held_?out|heldout|eval)($|_|s$)|(^|_)(x|y)_?te($|_)", re.IGNORECASE)
_TRAIN = re.compile(r"(^|_)(train|fit|learn|optimi[sz]e|sgd|update)($|_)", re.IGNORECASE)
_SELECT = re.compile(r"(^|_)(best|select|choose|chosen|early|pick)($|_)", re.IGNORECASE)
_LABEL = re.compile(r"^(y|ys|labels?|targets?|truth|classes|answers?)$|^y_|_y$|_labels?$|_targets?$", re.IGNORECASE)


def test_in_training(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Test data handed to a function that trains, or a choice made by a score on test data."""
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _TRAIN.search(called(node)) and not _TEST.search(called(node)):
                tests = [arg for arg in node.args if _TEST.search(root(arg)) and not is_number(module, arg)]
                if tests and not any(re.search("train|_tr$", root(arg), re.IGNORECASE) for arg in node.args):
                    yield found(
                        module,
                        node,
                        "test_in_training",
                        0.8,
                        f"{called(node)} is given {root(tests[0])}",
                        "Test data is handed to a function that trains: what is measured on it is memory.",
                        swap_name(module, tests[0], _TEST, "train"),
                    )
            elif isinstance(node, ast.Call) and re.search("concat|vstack|hstack|append", called(node)):
                joined = {root(child).lower() for child in ast.walk(node) if isinstance(child, ast.Name)}
                if any(_TEST.search(name) for name in joined) and any("train" in name for name in joined):
                    yield found(
                        module,
                        node,
                        "test_in_training",
                        0.6,
                        "training and test data are joined",
                        "Training and test data are put together; whatever is fitted on the whole has seen the "
                        "test data.",
                    )
            elif isinstance(node, ast.Compare | ast.Call) and _is_choice(node) and (test := _test_score(node)):
                yield found(
                    module,
                    node,
                    "test_in_selection",
                    0.7,
                    f"a choice is made by {test}",
                    "A model, checkpoint or hyper-parameter is chosen by its score on test data, so that the score "
                    "is too good.",
                )


def _test_score(node: ast.AST) -> str:
    """The first name within an expression that is about test data; evaluation data may be for choosing."""
    names = (root(child) for child in ast.walk(node) if isinstance(child, ast.Name | ast.Attribute))
    return next((name for name in names if _TEST.search(name) and "eval" not in name), "")


def _is_choice(node: ast.Compare | ast.Call) -> bool:
    """A comparison with the best so far, or the place of the best; the class with the largest logit is no choice of
    this kind."""
    if isinstance(node, ast.Compare):
        return any(_SELECT.search(root(side)) for side in (node.left, *node.comparators))
    words = {word.arg for word in node.keywords}
    if called(node) in ("argmax", "argmin", "nanargmax"):
        return bool(node.args) and not words & {"axis", "dim"}
    return called(node) in ("max", "min") and "key" in words


def same_generator(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Generators with the same seed in several places: draws that should be independent are the same."""
    seen: dict[str, list[tuple[Module, ast.Call]]] = {}
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and called(node) in (
                "default_rng",
                "RandomState",
                "manual_seed",
                "Random",
                "Generator",
            ):
                text = ",".join(module.source(arg) for arg in node.args)
                seen.setdefault(text, []).append((module, node))
                constant = node.args and all(literal(arg) is not None for arg in node.args)
                if constant or not node.args:
                    yield found(
                        module,
                        node,
                        "fixed_seed",
                        0.6 if constant else 0.3,
                        f"a generator is seeded with {text or 'nothing'}",
                        "This generator does not depend on the run's seed: what it draws is the same in every run, "
                        "or never the same.",
                    )
                elif any(isinstance(child, ast.Mod | ast.FloorDiv) for arg in node.args for child in ast.walk(arg)):
                    yield found(
                        module,
                        node,
                        "fixed_seed",
                        0.7,
                        "a seed is folded",
                        "Several runs get the same seed, so that they are not independent.",
                    )
    for text, places in seen.items():
        if text and len(places) > 1:
            module, node = places[-1]
            yield found(
                module,
                node,
                "same_generator",
                min(0.8, 0.3 + 0.1 * len(places)),
                f"{len(places)} generators are seeded with {text}",
                "Generators with one seed draw the same numbers: training and test data, or the compared arms, are "
                "not independent.",
                module.replaced(node.args[0], f"[{module.source(node.args[0])}, 7919]") if len(node.args) == 1 else {},
            )


def shared_draw(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A random draw just before a loop whose rounds all use the draw: repeats, members or arms share a draw that each
    might make afresh."""
    for module in workspace.modules:
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
                        ranged = isinstance(loop.iter, ast.Call) and called(loop.iter) == "range"
                        steps = bool(re.search(r"step|epoch|iter", module.source(loop.iter)))
                        yield found(
                            module,
                            before,
                            "shared_draw",
                            0.15 if steps else 0.8 if ranged else 0.5,
                            f"{name} is drawn once for all rounds of a loop",
                            f"{name} is drawn at random before the loop and shared by all its rounds. If members or "
                            "repeats should be "
                            "independent, their errors are now the same, and averages or disagreement over them "
                            "mean little.",
                            _moved_inside(module, before, loop),
                        )


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


def filtered(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """A metric over a part of the data: a mask, a condition in a comprehension, a fixed slice."""
    for module in workspace.modules:
        for function in module.functions():
            place = f"{module.name}.{function.name}"
            measuring = bool(
                re.search(
                    r"eval|metric|score|measure|accura|calib|ece|auroc|report|analys|aggreg|summar|stat|rate|leak|expos",
                    place,
                )
            )
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Assign)
                    and isinstance(node.value, ast.Compare | ast.BoolOp | ast.BinOp)
                    and is_mask(node.value)
                ):
                    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                    if names and re.search(r"keep|mask|valid|ok|sel|use|conf|subset|good|clean", names[0]):
                        yield found(
                            module,
                            node,
                            "filtered",
                            0.7 if measuring else 0.4,
                            f"only a part is used: {module.source(node.value)[:60]}",
                            "What follows looks at a chosen part of the data; a part chosen by outcome or "
                            "confidence gives another result than the whole.",
                            module.replaced(node.value, f"(({module.source(node.value)}) | True)"),
                        )
                elif isinstance(node, ast.comprehension) and node.ifs:
                    for condition in node.ifs:
                        if not about_names(condition):
                            yield found(
                                module,
                                condition,
                                "filtered",
                                0.6 if measuring else 0.25,
                                f"entries are left out: if {module.source(condition)[:60]}",
                                "Entries that do not meet a condition are left out before anything is computed "
                                "from them.",
                                module.replaced(condition, "True"),
                            )
                elif measuring and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
                    ends = [end for end in (node.slice.lower, node.slice.upper) if end is not None]
                    if (
                        node.slice.step is None
                        and len(ends) == 1
                        and isinstance(ends[0], ast.BinOp | ast.Constant)
                        and not reshapes(node)
                    ):
                        yield found(
                            module,
                            node,
                            "sliced",
                            0.4,
                            f"a part is taken: {module.source(node)[:60]}",
                            "Only the first or the last entries enter what is computed.",
                            module.replaced(node, module.source(node.value)),
                        )


def labels(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Labels that are permuted, flipped, or sorted without their inputs."""
    for module in workspace.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and called(node) in (
                "permutation",
                "shuffle",
                "roll",
                "sort",
                "sorted",
                "flip",
            ):
                names = [root(arg) for arg in node.args[:1]]
                if names and _LABEL.search(names[0]):
                    yield found(
                        module,
                        node,
                        "labels",
                        0.8,
                        f"{names[0]} is reordered by itself ({called(node)})",
                        "Labels are reordered without their inputs, so that the two no longer belong together.",
                        module.replaced(node, module.source(node.args[0])) if called(node) != "shuffle" else {},
                    )
            elif (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and _LABEL.search(root(node.targets[0]))
                and isinstance(node.targets[0], ast.Subscript)
            ):
                yield found(
                    module,
                    node,
                    "labels",
                    0.25,
                    f"some of {root(node.targets[0])} are overwritten",
                    "Labels of a part of the data are replaced.",
                    module.replaced(node, "pass"),
                )


def whole_normalised(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """Statistics of all data, or of the test data, in its normalisation."""
    for module in workspace.modules:
        for function in module.functions():
            text = module.source(function)
            for node in ast.walk(function):
                if not (isinstance(node, ast.Call) and called(node) in ("mean", "std", "fit", "fit_transform")):
                    continue
                owner = root(node.func.value) if isinstance(node.func, ast.Attribute) else ""
                subjects = [owner, *(root(arg) for arg in node.args[:1])]
                subject = next((name for name in subjects if name and name not in ("np", "torch", "self", "cls")), "")
                over_rows = any(k.arg in ("axis", "dim") and literal(k.value) == 0 for k in node.keywords) or called(
                    node
                ).startswith("fit")
                if not (
                    over_rows and re.search(r"std|scale|scaler|standard|normal|whiten|center", text, re.IGNORECASE)
                ):
                    continue
                if _TEST.search(subject) or re.search(
                    r"(^|_)(all|full|both|joint|everything|pooled)($|_)", subject, re.IGNORECASE
                ):
                    yield found(
                        module,
                        node,
                        "whole_normalised",
                        0.6,
                        f"statistics of {subject} normalise",
                        "Normalisation uses statistics of data that it should not have seen, or removes the shift "
                        "that is studied.",
                        swap_name(module, node, _TEST, "train"),
                    )


def unused_argument(workspace: Workspace, paper: Paper, results: Results) -> Iterator[Suspicion]:
    """An argument or a computed value that no code uses."""
    for module in workspace.modules:
        for function in module.functions():
            body = [child for inner in function.body for child in ast.walk(inner)]
            loaded = {child.id for child in body if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)}
            stub = len(function.body) == 1 and isinstance(function.body[0], ast.Pass | ast.Expr | ast.Raise)
            for arg in (*function.args.args, *function.args.kwonlyargs):
                if (
                    arg.arg not in loaded
                    and arg.arg not in ("self", "cls")
                    and not arg.arg.startswith("_")
                    and not stub
                ):
                    yield Suspicion(
                        "unused_argument",
                        0.8,
                        f"{function.name} ignores its argument {arg.arg}",
                        f"The argument {arg.arg} of {function.name} has no effect, although callers set it.",
                        (f"{module.name}:{arg.lineno}",),
                    )
            for child in body:
                if isinstance(child, ast.Assign) and len(child.targets) == 1 and isinstance(child.targets[0], ast.Name):
                    name = child.targets[0].id
                    if name not in loaded and not name.startswith("_") and not _declared(function, name):
                        yield found(
                            module,
                            child,
                            "unused_value",
                            0.5,
                            f"{name} is computed and not used",
                            f"{name} is worked out in {function.name}, but nothing depends on it.",
                        )


def _declared(function: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in ast.walk(function))
