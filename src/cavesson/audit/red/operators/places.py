"""What several operators share: numbers times a factor, names for their counterparts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from cavesson.audit.red.source import Edit, Mutation, Number, PythonFile, TextFile, words


def by_factor(operator: str, file: TextFile, number: Number, factor: float) -> Iterator[Mutation]:
    """A named number times a factor; whole numbers stay whole and at least 1."""
    before = file.text[number.start : number.end]
    value = number.value * factor
    whole = re.fullmatch(r"[\d_]+", before) is not None
    after = str(max(1, round(value))) if whole else f"{value:.4g}"
    if not whole and re.fullmatch(r"[-+]?\d+", after):
        after += ".0"
    yield from set_to(operator, file, number, after)


def set_to(operator: str, file: TextFile, number: Number, after: str) -> Iterator[Mutation]:
    """A named number becomes another."""
    before = file.text[number.start : number.end]
    if float(before.replace("_", "")) != float(after):
        edit = Edit(number.start, number.end, after)
        yield Mutation(operator, file.path, number.line, (edit,), (number.name, before, after))


def plain_factor(operator: str, file: TextFile, names: set[str]) -> Iterator[Mutation]:
    """A setting that is read where it is used (`cfg['train']`, `cfg.train`) is divided there."""
    if not isinstance(file, PythonFile):
        return
    for node in file.walk(ast.Subscript, ast.Attribute):
        name = _key(node)
        inner = isinstance(file.parents.get(node), ast.Attribute | ast.Call) and _is_callee(file, node)
        if name is None or inner or not isinstance(node.ctx, ast.Load) or not words(name) & names:
            continue
        text = file.segment(node)
        yield Mutation(operator, file.path, node.lineno, (file.replace(node, f"({text} // 4)"),))


def renamed(operator: str, file: TextFile, old: Iterable[str], new: Iterable[str]) -> Iterator[Mutation]:
    """A name, attribute or key with a word of `old` becomes its counterpart with a word of `new` that the file has
    too."""
    if not isinstance(file, PythonFile):
        return
    known = set(re.findall(r"\w+", file.text))
    for node in file.walk(ast.Name, ast.Attribute, ast.Constant):
        name = _name(node)
        if name is None or (isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load)):
            continue
        for counterpart in _counterparts(name, tuple(old), tuple(new)):
            if counterpart in known:
                text = file.segment(node)
                at = text.rindex(name)
                edit = file.replace(node, text[:at] + counterpart + text[at + len(name) :])
                yield Mutation(operator, file.path, node.lineno, (edit,))


def _counterparts(name: str, old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    parts = re.split(r"(_)", name)
    return [
        "".join([*parts[:at], other, *parts[at + 1 :]]) for at, part in enumerate(parts) if part in old for other in new
    ]


def _name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Constant(value=str(name)) if re.fullmatch(r"\w+", name):
            return name
    return None


def _key(node: ast.expr) -> str | None:
    match node:
        case ast.Subscript(slice=ast.Constant(value=str(name))) | ast.Attribute(attr=name):
            return name
    return None


def _is_callee(file: PythonFile, node: ast.expr) -> bool:
    parent = file.parents.get(node)
    return isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node)
