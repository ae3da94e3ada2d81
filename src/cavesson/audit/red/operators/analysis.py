"""Sabotage of analysis: from measurements to the numbers that are reported."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cavesson.audit.red.source import Edit, Mutation, PythonFile, TextFile

_AXES = {"0": ("1", "-1"), "1": ("0",), "-1": ("0",), "2": ("1",)}
_AGGREGATES = {"mean": ("max", "min", "sum"), "max": ("mean",), "min": ("mean",), "median": ("max",), "sum": ("max",),
               "std": ("mean",), "fmean": ("max",)}  # fmt: skip
_NOT_METRICS = {"__init__", "__post_init__", "main", "parse_args"}


def wrong_axis(file: TextFile) -> Iterator[Mutation]:
    """`axis=0` becomes `axis=1`, or goes; the same for `dim`."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        for word in node.keywords:
            if word.arg in ("axis", "dim"):
                for other in _AXES.get(file.segment(word.value), ()):
                    yield Mutation("wrong-axis", file.path, word.lineno, (file.replace(word.value, other),))
                if len(node.keywords) == 1 and node.args == []:
                    yield Mutation("wrong-axis", file.path, word.lineno, (file.replace(word, ""),))


def wrong_denominator(file: TextFile) -> Iterator[Mutation]:
    """`a / b` becomes `a`, or a tenth of `b` too much."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.BinOp):
        if not isinstance(node.op, ast.Div) or isinstance(node.right, ast.Constant):
            continue
        right = file.segment(node.right)
        start, end = file.span(node)
        left = file.text[start : file.span(node.left)[1]]
        closed = ")" * (left.count("(") - left.count(")"))
        yield Mutation("wrong-denominator", file.path, node.lineno, (Edit(start, end, left + closed),))
        bare = isinstance(node.right, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
        squared = f"{right} ** 2" if bare else f"({right}) ** 2"
        if bare:
            yield Mutation("wrong-denominator", file.path, node.lineno, (file.replace(node.right, squared),))
            yield Mutation("wrong-denominator", file.path, node.lineno, (file.replace(node.right, f"(2 * {right})"),))


def other_aggregate(file: TextFile) -> Iterator[Mutation]:
    """A mean becomes a maximum, a maximum a mean."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        if isinstance(node.func, ast.Attribute):
            for other in _AGGREGATES.get(node.func.attr, ()):
                end = file.span(node.func)[1]
                edit = Edit(end - len(node.func.attr), end, other)
                yield Mutation("other-aggregate", file.path, node.lineno, (edit,))


def clip_metric(file: TextFile) -> Iterator[Mutation]:
    """What a function returns as a number is floored at one half, folded there, rounded, or taken as an absolute
    value."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Return):
        value = node.value
        function = next((up for up in file.above(node) if isinstance(up, ast.FunctionDef)), None)
        if value is None or function is None or function.name in _NOT_METRICS or not _is_number(value, function):
            continue
        text = file.segment(value)
        for new in (f"max({text}, 0.5)", f"min({text}, 0.5)", f"abs({text} - 0.5) + 0.5", f"round({text})"):
            yield Mutation("clip-metric", file.path, node.lineno, (file.replace(value, new),))


def _is_number(value: ast.expr, function: ast.FunctionDef) -> bool:
    annotated = isinstance(function.returns, ast.Name) and function.returns.id == "float"
    cast = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "float"
    reduced = (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("mean", "item")
    )
    return annotated or cast or reduced
