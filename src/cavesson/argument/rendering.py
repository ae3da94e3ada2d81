"""A judged argument as text: nested `<details>` that need no script to fold, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

from cavesson.argument.judging import Judged
from cavesson.lines import one_line, printable

SIGNS = {"supported": "✓", "judgement": "○", "open": "?", "contradicted": "✗"}
"""A sign for each state, so that no reader depends on colours."""

STYLE = """
.argument details, .argument .leaf { margin: .2em 0 .2em .4em; padding-left: .7em; border-left: 3px solid var(--state); }
.argument summary { cursor: pointer; }
.argument .supported { --state: #2e7d32; }
.argument .judgement { --state: #757575; }
.argument .open { --state: #b26a00; }
.argument .contradicted { --state: #c62828; }
.argument .sign { color: var(--state); font-weight: bold; }
.argument .kind, .argument .why { font-size: .85em; opacity: .8; }
.argument .why { display: block; margin-left: 1.2em; }
@media print { .argument details::details-content { content-visibility: visible; display: block; height: auto; } }
"""

SCRIPT = """
addEventListener('beforeprint', () => {
  for (const node of document.querySelectorAll('.argument details:not([open])')) {
    node.open = true; node.dataset.folded = '1';
  }
});
addEventListener('afterprint', () => {
  for (const node of document.querySelectorAll('.argument details[data-folded]')) {
    node.open = false; delete node.dataset.folded;
  }
});
"""
"""Opens every fold for printing where a browser does not obey the style, and closes it again."""


def as_html(judged: Judged) -> Markup:
    """The argument as a fragment with a style of its own: nested folds, open wherever something is not well."""
    return Markup('<style>{}</style><div class="argument">{}</div>').format(Markup(STYLE), _fold(judged.as_tree()))


def as_page(judged: Judged) -> str:
    """The argument as a page of its own, which fetches nothing."""
    body = Markup("<h1>{}</h1><p>{}</p>{}").format(printable(judged.title), printable(judged.sentence), as_html(judged))
    style = "body { font: 1rem/1.45 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; color-scheme: light dark; }"
    return str(
        Markup(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<title>{}</title><style>{}</style><body>{}<script>{}</script></body></html>\n"
        ).format(printable(judged.title), Markup(style), body, Markup(SCRIPT))
    )


def _fold(node: dict[str, Any]) -> Markup:
    head = Markup('<span class="sign">{}</span> <span class="kind">{} {}</span> {}{}').format(
        SIGNS[node["state"]],
        node["kind"],
        node["id"],
        printable(node["text"]),
        Markup(" <i>(see above)</i>") if node["again"] else "",
    )
    why = Markup('<span class="why">{}: {}{}</span>').format(
        node["word"], printable(node["why"]), "" if node["says"] is None else f" [{printable(node['says'])}]"
    )
    if not node["children"]:
        return Markup('<div class="leaf {}">{}{}</div>').format(node["state"], head, why)
    inside = Markup("").join([_fold(child) for child in node["children"]])
    unfolded = Markup(" open") if node["state"] in ("contradicted", "open") else ""
    return Markup('<details class="{}"{}><summary>{}{}</summary>{}</details>').format(
        escape(node["state"]), unfolded, head, why, inside
    )


def as_markdown(judged: Judged) -> str:
    """The argument as a nested list."""
    return (
        "\n".join([f"# {one_line(judged.title)}", "", one_line(judged.sentence), "", *listed(judged.as_tree())]) + "\n"
    )


def listed(node: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """The tree of a judged argument as lines of a nested Markdown list."""
    says = "" if node["says"] is None else f" `{one_line(node['says'])}`"
    again = " (see above)" if node["again"] else ""
    yield (
        f"{'  ' * depth}- {SIGNS[node['state']]} **{node['kind']} {one_line(node['id'])}** {one_line(node['text'])}{says}{again}: "
        f"{node['word']}; {one_line(node['why'])}"
    )
    for child in node["children"]:
        yield from listed(child, depth + 1)


def as_json(judged: Judged) -> str:
    """The argument as JSON: title, state, and the tree."""
    return json.dumps({"title": judged.title, "state": judged.state, "argument": judged.as_tree()}, indent=1)
