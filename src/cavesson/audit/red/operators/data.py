"""Sabotage of data: which rows, which labels, which random streams."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cavesson.audit.red.operators.places import by_factor, plain_factor, renamed
from cavesson.audit.red.source import Mutation, PythonFile, TextFile, words

TRAINING = ("train", "training", "fit", "seen")
HELD_OUT = ("test", "eval", "val", "valid", "heldout", "held", "dev", "unseen")
_LABELS = {"label", "labels", "y", "target", "targets", "truth", "wins", "answer", "answers"}
_SIZES = {
    "n",
    "count",
    "size",
    "samples",
    "rows",
    "train",
    "examples",
    "documents",
    "docs",
    "claims",
    "images",
    "pairs",
}


def leak_test(file: TextFile) -> Iterator[Mutation]:
    """A name of training data becomes the parallel name of held-out data (`x_train` → `x_test`)."""
    return renamed("leak-test", file, TRAINING, HELD_OUT)


def test_on_train(file: TextFile) -> Iterator[Mutation]:
    """A name of held-out data becomes the parallel name of training data."""
    return renamed("test-on-train", file, HELD_OUT, TRAINING)


def share_seed(file: TextFile) -> Iterator[Mutation]:
    """`seed + 7` and `[seed, 7]` become `seed` and `[seed, 0]`; a part of a list of seed parts goes."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.BinOp, ast.List, ast.Tuple):
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult()) if _is_seed(left):
                yield Mutation("share-seed", file.path, node.lineno, (file.replace(node, file.segment(left)),))
            case ast.List(elts=[first, *rest], ctx=ast.Load()) | ast.Tuple(elts=[first, *rest], ctx=ast.Load()) if (
                _is_seed(first)
            ):
                for part in rest:
                    if file.segment(part) != "0":
                        yield Mutation("share-seed", file.path, node.lineno, (file.replace(part, "0"),))


def own_seed(file: TextFile) -> Iterator[Mutation]:
    """`default_rng(seed)` becomes `default_rng(seed + 1)`."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        for given in [*node.args, *(word.value for word in node.keywords)]:
            if isinstance(given, ast.Name | ast.Attribute) and _is_seed(given):
                text = f"{file.segment(given)} + 1"
                yield Mutation("own-seed", file.path, given.lineno, (file.replace(given, text),))


def fewer_distinct(file: TextFile) -> Iterator[Mutation]:
    """Random indices come from the first part of the pool: the same rows again and again."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        if not isinstance(node.func, ast.Attribute):
            continue
        pool = None
        if node.func.attr in ("integers", "randint") and len(node.args) >= 2:
            pool = node.args[1]
        elif node.func.attr in ("choice", "permutation", "integers") and node.args:
            pool = node.args[0]
        if pool is None:
            continue
        text = file.segment(pool)
        is_count = node.func.attr in ("integers", "randint") or text.startswith("len(") or words(text) & _SIZES
        for parts in (2, 8):
            new = f"max(1, {text} // {parts})" if is_count else f"{_closed(pool, text)}[: len({text}) // {parts}]"
            yield Mutation("fewer-distinct", file.path, node.lineno, (file.replace(pool, new),))


def shift_labels(file: TextFile) -> Iterator[Mutation]:
    """One argument that holds labels is turned round, so that rows no longer belong together."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Call):
        for given in node.args:
            text = file.segment(given)
            if isinstance(given, ast.Name | ast.Attribute | ast.Subscript) and words(text.rpartition(".")[2]) & _LABELS:
                new = f"{text}.flip(0)" if file.imports("torch") else f"{text}[::-1]"
                yield Mutation("shift-labels", file.path, given.lineno, (file.replace(given, new),))


def less_data(file: TextFile) -> Iterator[Mutation]:
    """A whole number that sounds like the size of a data set becomes a fraction of itself."""
    for number in file.numbers():
        if number.value.is_integer() and number.value >= 20 and words(number.name) & _SIZES:
            for factor in (0.25, 0.1):
                yield from by_factor("less-data", file, number, factor)
    yield from plain_factor("less-data", file, _SIZES)


def _is_seed(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return bool(words(name) & {"seed", "seeds"})


def _closed(node: ast.expr, text: str) -> str:
    return text if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call) else f"({text})"
