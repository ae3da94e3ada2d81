"""The list of recipes in a report: under their stages, each with links to its inputs.

A recipe holds its inputs whole, and the inputs of its inputs: written out, the recipes of a large study would be many
times larger than the rest of the page.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from markupsafe import Markup

from cavesson.findings.origin import RecipeView
from cavesson.findings.result import StudyResult
from cavesson.lines import printable

MARK = "\ue000"
"""Stands before a fingerprint that becomes a link; a private character that no recipe has a reason to hold."""


def recipes_by_stage(result: StudyResult) -> dict[str, list[tuple[RecipeView, Markup]]]:
    """Recipes under their stages, both in order of appearance, each with its text."""
    made = {_text(view.recipe): view for view in result.recipes if view.command}
    named = {view.fingerprint: view for view in made.values()}
    stages: dict[str, list[tuple[RecipeView, Markup]]] = {}
    for view in result.recipes:
        stages.setdefault(view.stage, []).append((view, _linked(_shortened(view.recipe, made), named)))
    return stages


def _linked(recipe: dict[str, Any], named: dict[str, RecipeView]) -> Markup:
    """The recipe as JSON, in which marked fingerprints are links."""
    pieces = re.split(f'"{MARK}([^"]*)"', json.dumps(recipe, indent=2, ensure_ascii=False))
    text = [Markup(html.escape(printable(piece), quote=False)) for piece in pieces]  # half of the characters are quotes
    for index in range(1, len(pieces), 2):
        if pieces[index] in named:
            view = named[pieces[index]]
            link = '<a class="recipe" href="#recipe-{}">{}</a>'
            text[index] = Markup(link).format(view.fingerprint, printable(f"{view.name} ({view.fingerprint[:12]})"))
    return Markup("").join(text)


def _shortened(recipe: dict[str, Any], made: dict[str, RecipeView]) -> dict[str, Any]:
    """The recipe with a mark and a fingerprint in place of every artifact in it."""

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(each) for each in value]
        if not isinstance(value, dict):
            return value
        artifact = made.get(_text(value)) if "kind" in value else None
        return _shortened(value, made) if artifact is None else MARK + artifact.fingerprint

    return {key: short(value) for key, value in recipe.items()}


def _text(recipe: dict[str, Any]) -> str:
    return json.dumps(recipe, sort_keys=True)
