"""Papers, code and searches as HTML in which no hostile text can act.

Markdown is rendered with raw HTML off; pictures come from the workspace or not at all; code is coloured by Pygments,
which escapes the code. Control characters and marks that reverse the reading direction are shown instead of obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from cavesson.audit import workspace
from cavesson.lines import printable

IMAGES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""What the page shows as a picture, with its media type."""

MAX_SHOWN = 120_000
"""Characters of a file that are shown; a longer file is data rather than code."""

MAX_HITS = 200

MAX_PAPER = 500_000
"""Characters of a paper that are shown."""

Tree = Mapping[str, Path]
"""The files of a workspace: relative path → where the content is. The page serves no other file."""


def paper_html(text: str, tree: Tree, image_url: Callable[[str], str]) -> Markup:
    """A paper's Markdown as HTML.

    Args:
        tree: files that pictures may come from.
        image_url: from a picture's name to its address.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = markdown.parse(printable(text[:MAX_PAPER]))
    for token in tokens:
        for part in (token, *(token.children or ())):
            _tame(part, tree, image_url)
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))


def _tame(token: Any, tree: Tree, image_url: Callable[[str], str]) -> None:
    """Pictures of the workspace only, links to the web only and without a referrer, alignment as a class (no inline
    style)."""
    if style := token.attrs.pop("style", None):
        token.attrs["class"] = str(style).removeprefix("text-align:")
    if token.type == "image":
        name = str(token.attrs["src"]).removeprefix("./")
        if name in tree and PurePosixPath(name).suffix in IMAGES:
            token.attrs["src"] = image_url(name)
        else:
            token.type, token.tag, token.content = (
                "text",
                "",
                f"[a picture that is not in the workspace: {token.content}]",
            )
    elif token.type == "link_open":
        address = str(token.attrs.get("href", ""))
        if address.startswith(("http://", "https://")):
            token.attrs |= {"target": "_blank", "rel": "noreferrer noopener"}
        else:
            token.attrs.pop("href", None)


def read_text(path: Path) -> str | None:
    """A file's text with plain line ends; None if it is binary."""
    text = workspace.read_text(path)
    return None if "\0" in text[:8000] else text


def code_html(name: str, text: str) -> Markup:
    """Coloured lines, each with a number that links to its place (`#train.py:30`)."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import TextLexer, get_lexer_for_filename
    from pygments.util import ClassNotFound

    shown = printable(text)[:MAX_SHOWN]
    options = {"stripnl": False, "ensurenl": True}
    try:
        lexer = get_lexer_for_filename(name, **options)
    except ClassNotFound:
        lexer = TextLexer(**options)
    coloured = highlight(shown, lexer, HtmlFormatter(nowrap=True)).removesuffix("\n").split("\n")
    line = Markup('<div class="line" data-line="{0}"><a tabindex="-1" href="#{1}:{0}">{0}</a><code>{2}</code></div>')
    address = quote(name, safe="")
    rows = Markup("").join(line.format(number, address, Markup(row)) for number, row in enumerate(coloured, start=1))
    return rows + Markup('<p class="quiet">The rest of the file is not shown.</p>' if len(text) > MAX_SHOWN else "")


def colours() -> str:
    """The style sheet of the code's colours, light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (
        "\n".join(
            rule
            for rule in HtmlFormatter(style=style).get_style_defs("#file").splitlines()
            if rule.startswith("#file .") and ".err" not in rule
        )
        for style in ("friendly", "monokai")
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def tree_html(tree: Tree) -> Markup:
    """The files, folders after files, as nested lists of buttons; folders can be closed."""
    nested: dict[str, Any] = {}
    for name in tree:
        *folders, last = name.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder + "/", {})
        place[last] = name
    return _branch(nested)


def _branch(nested: Mapping[str, Any]) -> Markup:
    parts = []
    for name, inner in sorted(nested.items(), key=lambda item: (isinstance(item[1], dict), item[0].lower())):
        if isinstance(inner, dict):
            opened = Markup(" open") if len(inner) < 12 else Markup("")
            parts.append(
                Markup("<li><details{}><summary>{}</summary>{}</details></li>").format(
                    opened, printable(name), _branch(inner)
                )
            )
        else:
            parts.append(
                Markup('<li><button type="button" data-file="{}">{}</button></li>').format(inner, printable(name))
            )
    return Markup("<ul>{}</ul>").format(Markup("").join(parts))


def search_html(tree: Tree, wanted: str) -> Markup:
    """Lines that hold a text, in upper or lower case, by file; each line links to its place."""
    hits = list(_hits(tree, wanted.lower())) if wanted.strip() else []
    rows = [
        Markup('<li><a href="#{0}:{1}"><span class="where">{2}:{1}</span><code>{3}</code></a></li>').format(
            quote(name, safe=""), number, printable(name), _marked(line, wanted)
        )
        for name, number, line in hits[:MAX_HITS]
    ]
    count = f"{MAX_HITS} of {len(hits)}" if len(hits) > MAX_HITS else str(len(hits))
    head = Markup('<p class="quiet">{} line{} with “{}”</p>').format(
        count, "" if len(hits) == 1 else "s", printable(wanted)
    )
    return head + Markup('<ol class="hits">{}</ol>').format(Markup("").join(rows))


def _hits(tree: Tree, wanted: str) -> Iterator[tuple[str, int, str]]:
    for name, path in tree.items():
        if PurePosixPath(name).suffix in IMAGES or (text := read_text(path)) is None:
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if wanted in line.lower():
                yield name, number, line


def _marked(line: str, wanted: str) -> Markup:
    at = line.lower().find(wanted.lower())
    start = max(0, at - 60)
    before, hit, after = line[start:at], line[at : at + len(wanted)], line[at + len(wanted) :][:160]
    return Markup("{}{}<mark>{}</mark>{}").format(
        "…" if start else "", printable(before.lstrip()), printable(hit), printable(after)
    )
