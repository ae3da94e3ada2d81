"""Sabotage of evaluation: which cases count, what counts as a hit, which arm is which."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import pairwise

from cavesson.audit.red.source import Edit, Mutation, PythonFile, TextFile, words

_MEANS = {"mean", "sum", "average"}
_TURNED = {ast.Gt: "<", ast.Lt: ">", ast.GtE: "<", ast.LtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
_OTHER_END = {
    "argmax": "argmin",
    "argmin": "argmax",
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
}


def filter_subset(file: TextFile) -> Iterator[Mutation]:
    """A mean is taken over the first or the second half of what it is taken over."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[]) if name in _MEANS:
                what = inner
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "torch"), attr=name), args=[what, *_]) if (
                name in _MEANS
            ):
                pass
            case _:
                continue
        if isinstance(what, ast.GeneratorExp):
            continue
        text = file.segment(what)
        text = (
            text
            if isinstance(what, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.ListComp)
            else f"({text})"
        )
        for part in (f"[: len({text}) // 2]", f"[len({text}) // 2 :]", "[:1]"):
            edits = (file.replace(what, text + part),)
            yield Mutation("filter-subset", file.path, node.lineno, edits)


def invert_comparison(file: TextFile) -> Iterator[Mutation]:
    """`a > b` becomes `a < b`, `==` becomes `!=`."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Compare):
        if len(node.ops) != 1 or type(node.ops[0]) not in _TURNED or "__name__" in file.segment(node):
            continue
        start, end = file.span(node.left)[1], file.span(node.comparators[0])[0]
        between = file.text[start:end]
        brackets = [between[: len(between) - len(between.lstrip(" )"))], between[len(between.rstrip(" (")) :]]
        new = brackets[0] + _TURNED[type(node.ops[0])] + brackets[1]
        yield Mutation("invert-comparison", file.path, node.lineno, (Edit(start, end, new),))


def wrong_choice(file: TextFile) -> Iterator[Mutation]:
    """The largest becomes the smallest; a ranking is turned round."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in _OTHER_END:
            start, end = file.span(function)
            new = file.text[start : end - len(name)] + _OTHER_END[name]
            yield Mutation("wrong-choice", file.path, node.lineno, (Edit(start, end, new),))
        if name in ("argsort", "sorted", "sort") and node.args:
            text = file.segment(node.args[0])
            edit = file.replace(node.args[0], f"-{text}") if name == "argsort" else None
            if edit is not None:
                yield Mutation("wrong-choice", file.path, node.lineno, (edit,))


def swap_arms(file: TextFile) -> Iterator[Mutation]:
    """Two values of a dict with text keys change places, or two texts of a list, or two arguments of the same call."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Dict, ast.List, ast.Tuple, ast.Compare):
        match node:
            case ast.Dict(keys=keys, values=values) if len(values) > 1 and all(_is_text(key) for key in keys):
                yield from _swapped(file, node, values)
            case ast.List(elts=values) | ast.Tuple(elts=values) if len(values) > 1 and all(map(_is_text, values)):
                yield from _swapped(file, node, values)
            case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=str(arm))]):
                for other in _other_arms(file, arm):
                    edit = file.replace(node.comparators[0], repr(other))
                    yield Mutation("swap-arms", file.path, node.lineno, (edit,))


def swap_names(file: TextFile) -> Iterator[Mutation]:
    """`a, b = f()` becomes `b, a = f()`; two neighbouring arguments that are plain names change places."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Assign, ast.For, ast.Call):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call()) if len(names) > 1:
                yield from _swapped(file, node, names, "swap-names")
            case ast.Call(args=given) if len(given) > 1:
                plain = [one for one in given if isinstance(one, ast.Name | ast.Attribute)]
                yield from _swapped(file, node, plain, "swap-names")


def _swapped(
    file: PythonFile, node: ast.AST, values: Sequence[ast.expr], operator: str = "swap-arms"
) -> Iterator[Mutation]:
    for one, two in pairwise(values):
        first, second = file.segment(one), file.segment(two)
        if first != second:
            edits = (file.replace(one, second), file.replace(two, first))
            yield Mutation(operator, file.path, one.lineno, edits)


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and len(words(node.value)) > 0


def _other_arms(file: PythonFile, arm: str) -> list[str]:
    """Texts that the same file compares or lists beside an arm."""
    lists = [node.elts for node in file.walk(ast.List, ast.Tuple, ast.Set)]
    beside = [[one.value for one in elements if _is_text(one)] for elements in lists]
    return sorted({other for group in beside if arm in group for other in group} - {arm})
