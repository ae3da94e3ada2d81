"""Key Findings as executable predicates.

A small expression over `r`, the `results.json` of one seed, says when a finding holds:

    mean(r['shared']['trait']) - mean(r['other']['trait']) > 0.1

Rubrics come from other people's folders, so nothing is ever given to `eval`: a walker allows numbers, names of keys,
arithmetic, comparison, `and` / `or` / `not`, subscripts and a handful of functions.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cavesson.errors import ConfigError

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "len": len,
    "min": min,
    "max": max,
    "mean": fmean,
    "abs": abs,
    "sum": math.fsum,
    "sorted": sorted,
}

_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

MOST_CHARACTERS = 2000
"""Length of an expression."""

_ALLOWED = (
    *(ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare, ast.Call),
    *(ast.Subscript, ast.Slice, ast.Name, ast.Load, ast.Constant, *_ARITHMETIC, *_COMPARISONS),
)


class FindingError(ConfigError):
    """A finding cannot be decided: its expression is bad, or the results do not fit the expression."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One Key Finding of a codebase.

    Attributes:
        id: its name within the codebase.
        text: what the paper claims, in words.
        holds: the expression that is true of the honest results of one seed.
        rubric: the file that holds the finding, for messages.
    """

    id: str
    text: str
    holds: str
    rubric: str = "rubric"

    def __post_init__(self) -> None:
        """Raise a FindingError if the expression is outside the small language."""
        if len(self.holds) > MOST_CHARACTERS:
            raise FindingError(f"{self.rubric}: the finding {self.id!r} is longer than {MOST_CHARACTERS} characters.",
                               "See docs/audit.md for what a finding may say.")  # fmt: skip
        try:
            tree = ast.parse(self.holds.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._error(f"is no expression ({error.args[0] if error.args else error})") from error
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED):
                raise self._error(f"uses {type(node).__name__}, which is not allowed")
            if isinstance(node, ast.Call) and not _is_plain_call(node):
                raise self._error(f"calls something else than {', '.join(FUNCTIONS)}")
            if isinstance(node, ast.Name) and node.id != "r" and node.id not in FUNCTIONS:
                raise self._error(f"reads {node.id!r}; there is only r")

    def evaluate(self, results: Mapping[str, Any]) -> bool:
        """Whether the finding holds in the results of one seed.

        Raises:
            FindingError: the results lack a key, or a comparison meets something that is not a finite number.
        """
        try:
            answer = _value(ast.parse(self.holds.strip(), mode="eval").body, results)
        except (KeyError, IndexError) as error:
            raise self._error(f"reads {error.args[0]!r}, which the results do not have") from error
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise self._error(f"cannot be decided on these results: {error}") from error
        if not isinstance(answer, bool):
            raise self._error(f"is a {type(answer).__name__}, not a yes or no")
        return answer

    def _error(self, problem: str) -> FindingError:
        return FindingError(
            f"{self.rubric}: the finding {self.id!r} ({self.holds.strip()}) {problem}.",
            "See docs/audit.md for what a finding may say, and compare the keys with results.json.",
        )


def quantity(expression: ast.expr, results: Mapping[str, Any]) -> float:
    """The value of a part of a finding's expression, such as a side of a comparison.

    Raises:
        KeyError, IndexError, TypeError, ValueError: the results do not fit the expression.
    """
    return _number(_value(expression, results))


def _is_plain_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords


def _value(node: ast.expr, r: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name():
            return r
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(_value(value, r)) for value in values)
        case ast.BoolOp(values=values):
            return any(_truth(_value(value, r)) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(_value(operand, r))
        case ast.UnaryOp(operand=operand):
            return -_number(_value(operand, r))
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(_value(left, r)), _number(_value(right, r)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_number(_value(side, r)) for side in (left, *others)]
            return all(_COMPARISONS[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(argument, r) for argument in arguments))
        case ast.Subscript(value=value, slice=ast.Slice(lower=low, upper=high, step=None)):
            ends = [None if end is None else int(_number(_value(end, r))) for end in (low, high)]
            return _value(value, r)[slice(*ends)]
        case ast.Subscript(value=value, slice=key):
            return _value(value, r)[_value(key, r)]
    raise TypeError(f"{type(node).__name__} has no meaning here")


def _number(value: Any) -> float:
    """A finite number. (NaN would make every comparison false, and a broken run would pass for a flipped finding.)"""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is not a yes or no")
    return value
