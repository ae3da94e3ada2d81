"""Code that nobody can mean: assignments without effect, arguments in each other's place, folded statistics, test data in
training, labels without their inputs, wrong denominators."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from cavesson.audit.auditors.decision import Decision, decided
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import (
    MEASURES,
    TEST,
    TRAIN,
    bodies,
    called,
    loaded_names,
    own_nodes,
    root,
    scopes,
    stored_names,
)

_PURE = frozenset((
    "clip", "astype", "replace", "dropna", "fillna", "drop_duplicates", "sort_values", "reset_index", "rename", "drop", "reshape", "normalize",
    "strip", "lower", "upper", "merge", "assign", "copy", "transpose", "squeeze", "unsqueeze", "clamp", "masked_fill", "abs", "sample",
))  # fmt: skip
"""Methods of arrays, tables and texts that return a changed copy and change nothing."""

_LABEL = re.compile(r"^(y|ys|labels?|targets?|truth|classes|answers?)$|^y_|_y$|_labels?$|_targets?$", re.IGNORECASE)
_FITS = re.compile(r"(^|_)(train|fit|fit_transform|learn|partial_fit|optimi[sz]e)($|_)", re.IGNORECASE)
_SELECT = re.compile(r"(^|_)(best|select|choose|chosen|early|pick)($|_)", re.IGNORECASE)


def mistakes(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """All mistakes that are found in the files that the command runs."""
    for module in workspace.modules:
        if module.name not in workspace.pictures:
            for finder in (no_effect, folded, denominator, test_in_training, reused_loop_value):
                yield from finder(module)
            yield from labels(module, paper)
            yield from arguments(workspace, module)
            yield from ignored_arguments(workspace, module)


def no_effect(module: Module) -> Iterator[Decision]:
    """A loop that binds its own name anew where the author can only have meant to write into the object; a call whose
    result is thrown away although it changes nothing else."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if isinstance(node, ast.For):
                mine = stored_names(node.target)
                for at, line in enumerate(node.body):
                    if not (
                        isinstance(line, ast.Assign)
                        and len(line.targets) == 1
                        and isinstance(line.targets[0], ast.Name)
                    ):
                        continue
                    name = line.targets[0].id
                    later = any(name in loaded_names(other) for other in node.body[at + 1 :])
                    if name in mine and not later and not _used_after(statements, node, name):
                        edit = module.replaced(line.targets[0], f"{name}[...]")
                        yield decided("mistake", "no_effect", 0.9, module, line, f"{name} is bound anew in a loop and never read",
                                      f"The assignment gives the loop's name {name} another value and leaves the object itself as it was: "
                                      "what this line should change is not changed.", edit)  # fmt: skip
            elif (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
                and called(node.value) in _PURE and isinstance(node.value.func.value, ast.Name)
                and not any(word.arg in ("inplace", "out") for word in node.value.keywords)
            ):  # fmt: skip
                owner = node.value.func.value.id
                if owner not in ("np", "torch", "pd", "os", "self", "shutil"):
                    edit = module.replaced(node, f"{owner} = {module.source(node.value)}")
                    yield decided("mistake", "no_effect", 0.7, module, node, f"the result of {owner}.{called(node.value)} is thrown away",
                                  "The method returns a changed copy and leaves the object as it was: the step has no effect.", edit)  # fmt: skip


def _used_after(statements: list[ast.stmt], loop: ast.For, name: str) -> bool:
    after = [
        node
        for node in own_nodes(statements)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]
    return any(node.lineno > (loop.end_lineno or loop.lineno) for node in after)


def folded(module: Module) -> Iterator[Decision]:
    """A statistic that is folded: `max(a, 1 - a)`; a sign that a measure drops."""
    for name, statements, _ in scopes(module):
        for node in own_nodes(statements):
            if not isinstance(node, ast.Call):
                continue
            if called(node) in ("max", "min", "maximum", "minimum") and len(node.args) == 2:
                for plain, mirror in (node.args, reversed(node.args)):
                    if (
                        isinstance(mirror, ast.BinOp)
                        and isinstance(mirror.op, ast.Sub)
                        and ast.dump(mirror.right) == ast.dump(plain)
                    ):
                        yield decided("mistake", "folded", 1.0, module, node, f"{name or module.name} folds its statistic: {module.source(node)[:60]}",
                                      "The larger (or smaller) of a statistic and its mirror image is taken: an effect in the other direction is "
                                      "reported as one in this direction.", module.replaced(node, f"({module.source(plain)})"))  # fmt: skip
            elif called(node) in ("abs", "fabs", "absolute") and len(node.args) == 1 and MEASURES.search(name):
                usual = re.search(
                    r"ece|calib|err|dist|mae|dev|resid|norm|diff", name + module.source(node), re.IGNORECASE
                )
                yield decided("mistake", "folded", 0.1 if usual else 0.4, module, node, f"the sign is dropped: {module.source(node)[:60]}",
                              "An absolute value makes effects of either direction look alike.", module.replaced(node, f"({module.source(node.args[0])})"))  # fmt: skip


def denominator(module: Module) -> Iterator[Decision]:
    """A sum over some things divided by the number of other things."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            subject, other = _summed(node.left), _counted(node.right)
            if subject and other and subject != other:
                edit = module.replaced(node.right, f"len({subject})") if subject.isidentifier() else {}
                yield decided("mistake", "denominator", 0.4, module, node, f"a sum over {subject} is divided by the number of {other}",
                              "Numerator and denominator count different things, so the rate is not the one that is described.", edit)  # fmt: skip


def _summed(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and called(node) == "sum":
        arg = node.args[0] if node.args else node.func.value if isinstance(node.func, ast.Attribute) else node
        if isinstance(arg, ast.GeneratorExp | ast.ListComp):
            return root(arg.generators[0].iter) if not arg.generators[0].ifs else ""
        return root(arg)
    return ""


def _counted(node: ast.expr) -> str:
    return root(node.args[0]) if isinstance(node, ast.Call) and called(node) == "len" and node.args else ""


def test_in_training(module: Module) -> Iterator[Decision]:
    """Test data given to a function that trains; training data where test data is measured; a choice by a test score;
    a transformation fitted before the data are split."""
    for _, statements, _scope in scopes(module):
        nodes = list(own_nodes(statements))
        split = min(
            (
                node.lineno
                for node in nodes
                if isinstance(node, ast.Call) and re.search(r"split$|_split|kfold", called(node), re.IGNORECASE)
            ),
            default=0,
        )
        for node in nodes:
            if isinstance(node, ast.Call):
                name = called(node)
                given = [root(arg) for arg in (*node.args, *(word.value for word in node.keywords))]
                tests, trains = [one for one in given if TEST.search(one)], [one for one in given if TRAIN.search(one)]
                if (
                    _FITS.search(name)
                    and not TEST.search(name)
                    and tests
                    and not trains
                    and not re.search("valid|val|eval", tests[0])
                ):
                    yield decided("mistake", "test_in_training", 0.7, module, node, f"{name} is given {tests[0]}",
                                  "Test data is handed to a function that trains: what is measured on it is memory.",
                                  _swapped(module, node, TEST, "train"))  # fmt: skip
                elif name in ("fit_transform", "fit") and split and node.lineno < split and given and not trains:
                    yield decided("mistake", "fitted_before_split", 0.6, module, node, f"{module.source(node)[:50]} comes before the split",
                                  "A transformation is fitted on all data before the data are split: it has seen the test data.")  # fmt: skip
            if isinstance(node, ast.Compare | ast.Call) and _is_choice(node):
                about = next(
                    (
                        one
                        for one in (
                            root(child) for child in ast.walk(node) if isinstance(child, ast.Name | ast.Attribute)
                        )
                        if TEST.search(one) and "val" not in one
                    ),
                    "",
                )
                if about:
                    yield decided("mistake", "test_in_selection", 0.6, module, node, f"a choice is made by {about}",
                                  "A model, checkpoint or setting is chosen by its score on test data, so the score is too good.")  # fmt: skip
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name | ast.Subscript)
            ):
                target = root(node.targets[0])
                about_it = {
                    root(child) for child in ast.walk(node.value) if isinstance(child, ast.Name | ast.Attribute)
                }
                used = {one for one in about_it if TRAIN.search(one)}
                if (
                    TEST.search(target)
                    and used
                    and not any(TEST.search(one) for one in about_it)
                    and isinstance(node.value, ast.Call)
                    and MEASURES.search(called(node.value))
                ):
                    yield decided("mistake", "train_as_test", 0.7, module, node, f"{target} is worked out from {sorted(used)[0]}",
                                  "What is called a test score is measured on training data.", _swapped(module, node.value, TRAIN, "test"))  # fmt: skip


def _swapped(module: Module, node: ast.AST, pattern: re.Pattern[str], new: str) -> dict[str, str]:
    """The edit that says `train` where names say `test` (or the reverse), as far as the new names exist."""
    text = changed = module.source(node)
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and (found := pattern.search(child.id)):
            other = child.id.replace(found.group(), found.group().replace(found.group().strip("_"), new))
            if re.search(rf"\b{re.escape(other)}\b", module.text):
                changed = re.sub(rf"\b{re.escape(child.id)}\b", other, changed)
    return module.replaced(node, changed) if changed != text and isinstance(node, ast.expr) else {}


def _is_choice(node: ast.Compare | ast.Call) -> bool:
    """A comparison with the best so far, or the place of the best; the most probable class is no choice of this kind."""
    if isinstance(node, ast.Compare):
        return any(_SELECT.search(root(side)) for side in (node.left, *node.comparators))
    words = {word.arg for word in node.keywords}
    if called(node) in ("argmax", "argmin", "nanargmax"):
        return (
            len(node.args) == 1
            and not words & {"axis", "dim"}
            and isinstance(node.func, ast.Attribute)
            and root(node.func.value) in ("np", "numpy")
        )
    return called(node) in ("max", "min") and "key" in words


def labels(module: Module, paper: Paper) -> Iterator[Decision]:
    """Labels that are reordered without their inputs; a paper that speaks of permuting has a control."""
    control = max(paper.has_words([word]) for word in ("permuted", "shuffled", "randomised", "reordered"))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and called(node) in ("permutation", "shuffle", "roll", "sort", "sorted", "flip"):
            names = [root(arg) for arg in node.args[:1]]
            if names and _LABEL.search(names[0]):
                edit = module.replaced(node, module.source(node.args[0])) if called(node) != "shuffle" else {}
                found = decided("mistake", "labels", 0.6, module, node, f"{names[0]} is reordered by itself ({called(node)})",
                                "Labels are reordered without their inputs, so that the two no longer belong together.", edit)  # fmt: skip
                yield replace(found, stated=control)


def reused_loop_value(module: Module) -> Iterator[Decision]:
    """A value of a loop that is read after the loop where the loop collected all values: only the last round counts."""
    for body in bodies(module.tree):
        for at, loop in enumerate(body):
            if not isinstance(loop, ast.For) or (
                isinstance(loop.iter, ast.Call)
                and called(loop.iter) in ("range", "count")
                and not stored_names(loop.target)
            ):
                continue
            collected = {
                root(node.func.value)
                for node in ast.walk(loop)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append"
            }
            last = {
                root(line.targets[0])
                for line in loop.body
                if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
            }
            before = set().union(*(stored_names(line) for line in body[:at])) if at else set()
            after = set().union(*(loaded_names(line) for line in body[at + 1 :])) if at + 1 < len(body) else set()
            for name in sorted((last - before) & after):
                if collected and not collected & after:
                    yield decided("mistake", "last_round", 0.5, module, loop.body[0], f"after the loop only the last {name} is read",
                                  f"The loop collects values, but what follows reads {name} of the last round alone.")  # fmt: skip


def arguments(workspace: Workspace, module: Module) -> Iterator[Decision]:
    """Arguments in each other's place, and arguments that one call of a function has and its neighbour forgets."""
    for _, statements, scope in scopes(module):
        parameters = {arg.arg for arg in scope.args.args} if isinstance(scope, ast.FunctionDef) else set()
        stored = [one for one in ast.walk(scope) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        calls = [node for node in own_nodes(statements) if isinstance(node, ast.Call)]
        for node in calls:
            target = workspace.function(called(node))
            if (
                target is None
                or any(isinstance(arg, ast.Starred) for arg in node.args)
                or any(word.arg is None for word in node.keywords)
            ):
                continue
            names = [arg.arg for arg in target[1].args.args if arg.arg not in ("self", "cls")]
            given = [root(arg) for arg in node.args]
            for one, two in combinations(range(min(len(names), len(given))), 2):
                if given[one] != given[two] and given[one] == names[two] and given[two] == names[one]:
                    first, second = (module.source(node.args[at]) for at in (one, two))
                    text = (
                        module.source(node).replace(first, "\0", 1).replace(second, first, 1).replace("\0", second, 1)
                    )
                    yield decided("mistake", "swapped_arguments", 0.9, module, node, f"{names[one]} and {names[two]} are exchanged in a call of {called(node)}",
                                  "Two arguments stand in each other's place.", module.replaced(node, text))  # fmt: skip
            optional = names[len(names) - len(target[1].args.defaults) :] if target[1].args.defaults else []
            passed = set(names[: len(node.args)]) | {word.arg for word in node.keywords}
            given_names = parameters | {one.id for one in stored if one.lineno < node.lineno}
            for name in optional:
                if name in passed or name not in given_names or not isinstance(scope, ast.FunctionDef):
                    continue  # code outside of functions has all of its names at hand
                beside = any(
                    other is not node
                    and called(other) == called(node)
                    and (len(other.args) > names.index(name) or any(w.arg == name for w in other.keywords))
                    for other in calls
                )
                inner = module.source(node)
                edit = module.replaced(
                    node, f"{inner[:-1].rstrip().rstrip(',')}{', ' if node.args or node.keywords else ''}{name}={name})"
                )
                yield decided("mistake", "missing_argument", 0.8 if beside else 0.5, module, node, f"{called(node)} is called without {name}, which is at hand",
                              f"The call takes the default of {name} although the scope has a {name} of its own"
                              + (", which a call beside it passes." if beside else "."), edit)  # fmt: skip


def ignored_arguments(workspace: Workspace, module: Module) -> Iterator[Decision]:
    """An argument that a function never reads: what callers set has no effect.

    Functions that share their name or their arguments with another one have an interface, of which they may leave a part.
    """
    for function in module.functions():
        if workspace.is_interface(function):
            continue
        body = [child for inner in function.body for child in ast.walk(inner)]
        read = {child.id for child in body if isinstance(child, ast.Name)}
        overwritten = {
            line.targets[0].id: line for line in function.body
            if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)
        }  # fmt: skip
        stub = len(function.body) == 1 and not isinstance(function.body[0], ast.Return)
        for arg in (*function.args.args, *function.args.kwonlyargs):
            if arg.arg in ("self", "cls") or arg.arg.startswith("_") or stub:
                continue
            if arg.arg not in read and function.name not in ("forward",):
                yield Decision("mistake", "ignored_argument", 0.4, f"{function.name} ignores its argument {arg.arg}",
                               f"The argument {arg.arg} of {function.name} has no effect, although callers set it.", (f"{module.name}:{arg.lineno}",))  # fmt: skip
            elif (line := overwritten.get(arg.arg)) is not None and literal(line.value) is not None:
                yield decided("mistake", "ignored_argument", 0.8, module, line, f"{function.name} overwrites its argument {arg.arg}",
                              f"{arg.arg} is set to {module.source(line.value)} whatever the caller says.", module.replaced(line, "pass"))  # fmt: skip
