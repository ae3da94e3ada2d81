"""The report of a study: one self-contained HTML file, a function of a `StudyResult` alone."""

from cavesson.report.study import render, write

__all__ = ["render", "write"]
