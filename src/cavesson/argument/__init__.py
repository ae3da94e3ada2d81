"""Structured arguments: what is claimed of a measure, on what evidence, under which assumptions, against which doubts.

`structure` reads and checks the file, `judging` holds it against what was measured, `rendering` writes it as HTML, Markdown or
JSON. The form is a small part of the Goal Structuring Notation (GSN Community Standard, version 3, 2021), with its defeaters.
"""

from cavesson.argument.judging import Judged, JudgedNode, Measured, judge
from cavesson.argument.rendering import as_html, as_json, as_markdown, listed
from cavesson.argument.structure import Argument, default_argument, load_argument

__all__ = [
    "Argument",
    "Judged",
    "JudgedNode",
    "Measured",
    "as_html",
    "as_json",
    "as_markdown",
    "default_argument",
    "judge",
    "listed",
    "load_argument",
]
