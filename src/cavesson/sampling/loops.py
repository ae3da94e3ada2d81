"""Loops: an answer that says one thing again and again until the limit on tokens stops the model."""

from __future__ import annotations

TIMES = 4
"""So often in a row stands the piece of text at the end of an answer that loops."""

LEAST = 40
"""So many characters at least the repetitions take together: four equal words alone are no loop."""


def loops(text: str) -> bool:
    """Whether a text ends in one piece of text that stands at least `TIMES` times in a row, the last one perhaps cut short.

    The piece may be of any length, and is repeated to the letter. The rule is for answers that were cut at the limit on tokens:
    a model that repeats itself and then ends its turn has written what it wanted to write, such as a chant or a refrain.
    """
    for period in range(1, len(text) // TIMES + 1):
        end = text[-max(TIMES * period, LEAST) :]
        if len(end) >= LEAST and end[period:] == end[:-period]:
            return True
    return False
