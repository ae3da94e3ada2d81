"""Sabotage of training: hyper-parameters, regularisers, states, and what arms share."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from cavesson.audit.red.operators.places import by_factor, set_to
from cavesson.audit.red.source import Edit, Mutation, PythonFile, TextFile, words

_REGULARISERS = {"l1", "l2", "decay", "penalty", "reg", "regularisation", "regularization", "ridge", "dropout", "wd", "lam",
                 "lambda", "pessimism", "beta", "kl"}  # fmt: skip
_LENGTHS = {"step", "steps", "epoch", "epochs", "iters", "iterations", "rounds", "updates"}
_NOT_SETTINGS = {
    "seed",
    "indent",
    "width",
    "height",
    "font",
    "port",
    "encoding",
    "newline",
    "precision",
    "digits",
    "axis",
}


def scale_setting(file: TextFile) -> Iterator[Mutation]:
    """A named number times a third, three, a tenth or ten; a probability becomes its complement."""
    for number in file.numbers():
        if number.value == 0 or words(number.name) & _NOT_SETTINGS:
            continue
        for factor in (10, 0.1, 3, 0.3):
            yield from by_factor("scale-setting", file, number, factor)
        if 0 < number.value < 1 and number.value != 0.5:
            yield from set_to("scale-setting", file, number, f"{1 - number.value:.4g}")


def no_regulariser(file: TextFile) -> Iterator[Mutation]:
    """A number whose name sounds like a regulariser becomes zero."""
    for number in file.numbers():
        if _has(number.name, _REGULARISERS) and number.value != 0:
            text = file.text[number.start : number.end]
            yield from set_to("no-regulariser", file, number, "0.0" if "." in text or "e" in text else "0")


def drop_term(file: TextFile) -> Iterator[Mutation]:
    """`a + b` and `a - b` become `a`; the term may be a penalty, a baseline, a noise."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.BinOp):
        if isinstance(node.op, ast.Add | ast.Sub) and not isinstance(node.right, ast.Constant | ast.JoinedStr):
            if isinstance(node.left, ast.Constant):
                continue
            yield Mutation("drop-term", file.path, node.lineno, (_only_left(file, node),))


def short_training(file: TextFile) -> Iterator[Mutation]:
    """A loop over `range(n)` makes a tenth of its rounds, or one less; a length in the configuration shrinks."""
    for number in file.numbers():
        if _has(number.name, _LENGTHS) and number.value >= 4:
            for factor in (0.25, 0.1):
                yield from by_factor("short-training", file, number, factor)
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.For):
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=[count]):
                text = file.segment(count)
                for new in (f"max(1, {text} // 10)", f"{text} - 1"):
                    yield Mutation("short-training", file.path, node.lineno, (file.replace(count, new),))


def stale(file: TextFile) -> Iterator[Mutation]:
    """`x[-1]` becomes `x[0]`, `x[-50:]` becomes `x[:50]`, and the other way round."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Subscript):
        text = file.segment(node.slice)
        new = {"-1": "0", "0": "-1", "1": "0", "-2": "-1"}.get(text)
        match node.slice:
            case ast.Slice(lower=ast.UnaryOp(op=ast.USub(), operand=count), upper=None):
                new = f":{file.segment(count)}"
            case ast.Slice(lower=None, upper=ast.expr() as count) if not text.startswith(":-"):
                new = f"-{file.segment(count)}:"
        if new is not None and isinstance(node.ctx, ast.Load):
            yield Mutation("stale-state", file.path, node.lineno, (file.replace(node.slice, new),))


def share_object(file: TextFile) -> Iterator[Mutation]:
    """`x.copy()`, `deepcopy(x)`, `x.clone()` become `x`."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr="copy" | "clone"), args=[]):
                yield Mutation("share-object", file.path, node.lineno, (file.replace(node, file.segment(inner)),))
            case ast.Call(
                func=ast.Attribute(attr="deepcopy" | "copy") | ast.Name(id="deepcopy" | "copy"), args=[inner]
            ):
                yield Mutation("share-object", file.path, node.lineno, (file.replace(node, file.segment(inner)),))


def hoist(file: TextFile) -> Iterator[Mutation]:
    """An assignment in a loop moves in front of it, if it needs nothing that the loop makes."""
    if not isinstance(file, PythonFile):
        return
    for loop in file.walk(ast.For):
        made = _stored(loop)
        for statement in loop.body:
            if not _makes_object(statement) or len(loop.body) < 2 or _read(statement) & made:
                continue
            line = _line_of(file, statement)
            if line is not None:
                head, indent = file.offset(loop.lineno, 0), " " * loop.col_offset
                text = file.text[line[0] : line[1]].strip(" ")
                yield Mutation("hoist", file.path, statement.lineno, (Edit(head, head, indent + text), Edit(*line, "")))


def sink(file: TextFile) -> Iterator[Mutation]:
    """An assignment just before a loop moves into it."""
    if not isinstance(file, PythonFile):
        return
    for loop in file.walk(ast.For):
        siblings = getattr(file.parents[loop], "body", [])
        if loop not in siblings:
            continue
        for statement in siblings[: siblings.index(loop)][-3:]:
            line = _line_of(file, statement)
            if not _makes_object(statement) or line is None or _stored(statement) & _read(loop.iter):
                continue
            first = file.offset(loop.body[0].lineno, 0)
            text = " " * loop.body[0].col_offset + file.text[line[0] : line[1]].strip(" ")
            yield Mutation("sink", file.path, statement.lineno, (Edit(*line, ""), Edit(first, first, text)))


def ignore_condition(file: TextFile) -> Iterator[Mutation]:
    """`a if c else b` becomes `a`, or `b`; `if c:` becomes `if not (c):`."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.IfExp, ast.If):
        if isinstance(node, ast.If):
            text = file.segment(node.test)
            if "__name__" not in text:
                edit = file.replace(node.test, f"not ({text})" if not text.startswith("not ") else text[4:])
                yield Mutation("ignore-condition", file.path, node.lineno, (edit,))
            continue
        for side in (node.body, node.orelse):
            yield Mutation("ignore-condition", file.path, node.lineno, (file.replace(node, file.segment(side)),))


def drop_argument(file: TextFile) -> Iterator[Mutation]:
    """A keyword of a call, or the last of three arguments or more, is left out."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        given = [*node.args, *(word for word in node.keywords if word.arg)]
        for before, last in pairwise(given):
            if isinstance(last, ast.keyword) or (last is given[-1] and len(given) > 2):
                edit = Edit(file.span(before)[1], file.span(last)[1], "")
                yield Mutation(
                    "drop-argument", file.path, last.lineno if hasattr(last, "lineno") else node.lineno, (edit,)
                )


def _has(name: str, known: set[str]) -> bool:
    return bool({part.lower() for part in name.replace(".", "_").split("_")} & known)


def _only_left(file: PythonFile, node: ast.BinOp) -> Edit:
    """The edit that leaves the left operand of a sum; brackets that no longer hold a sum go, unless they are a
    call's."""
    (left, right), (start, end) = file.span(node.left), file.span(node)
    kept = file.text[start:right] + ")" * file.text[start:left].count("(")
    alone = isinstance(node.left, ast.Name | ast.Attribute | ast.Subscript | ast.Call)
    if alone and re.search(r"(?<![\w)\]])\($", file.text[:start]) and file.text[end : end + 1] == ")":
        return Edit(start - 1, end + 1, kept)
    return Edit(start, end, kept)


def _makes_object(statement: ast.stmt) -> bool:
    """An assignment of what a call returns."""
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call | ast.ListComp)


def _stored(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def _read(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}


def _line_of(file: PythonFile, statement: ast.stmt) -> tuple[int, int] | None:
    """The span of the line of a statement that has a line to itself."""
    if statement.end_lineno != statement.lineno:
        return None
    start = file.offset(statement.lineno, 0)
    end = file.text.find("\n", start) + 1
    return (start, end) if end and file.text[start:end].count(";") == 0 else None
