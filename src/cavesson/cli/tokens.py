"""`cavesson tokens`: shows which tokens of conversations are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Columns, Place

if TYPE_CHECKING:
    from rich.text import Text

    from cavesson.models.rendering import Rendered, Renderer

TRAINED = ("bold black on green", "bold black on bright_green")
"""Styles of trained tokens; neighbours alternate, so that each token can be told from the next."""
READ = ("default", "dim")
"""Styles of tokens that are not trained."""


def tokens(
    file: Annotated[
        str, typer.Argument(help="Conversations: a data file, a folder, or owner/name on the hub.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Shipped name, local folder, hub id or fingerprint.")
    ] = "student",
    count: Annotated[int, typer.Option("-n", min=1, help="How many conversations to show.")] = 3,
    train_on: Annotated[str, typer.Option(help="What is trained: answers, last or all.")] = "answers",
    columns: Columns = None,
    ids: Annotated[bool, typer.Option("--ids", help="Also write each token's number.")] = False,
    store: Place = None,
) -> None:
    """Show conversations as the model gets them; trained tokens have a green background.

    Without colours, trained text stands between ⟦ and ⟧.

    Example: cavesson tokens data.jsonl --model student -n 1
    """
    from cavesson.data.named import data_named
    from cavesson.lab.show.terminal import Console
    from cavesson.lab.store import Store
    from cavesson.named import model_named

    console = Console(highlight=False, soft_wrap=True)
    data = data_named(file, columns or "")
    examples, reader = data.read()
    typer.echo(reader.summary(data.describe()), err=True)
    place = Store(store)
    renderer = model_named(model, place).renderer(place.path)
    rows = renderer.render_many([example.conversation for example in examples[:count]], train_on)  # type: ignore[arg-type]
    for number, row in enumerate(rows, start=1):
        console.rule(f"{number}: {len(row.ids)} tokens, {sum(row.mask)} trained", align="left")
        console.print(coloured(renderer, row, with_ids=ids, brackets=console.color_system is None))
    if not rows:
        console.print(f"{file} has no conversations.")


def coloured(renderer: Renderer, row: Rendered, *, with_ids: bool = False, brackets: bool = False) -> Text:
    """The conversation's tokens in their colours.

    Args:
        with_ids: write each token's number behind it.
        brackets: put trained text between ⟦ and ⟧.
    """
    from rich.text import Text

    text = Text()
    before = 0
    for position, (token, flag) in enumerate(zip(row.ids, row.mask, strict=True)):
        if brackets and flag != before:
            text.append("⟦" if flag else "⟧")
        piece = _piece_at(renderer, row.ids, position)
        text.append(f"{piece}·{token} " if with_ids else piece, style=(TRAINED if flag else READ)[position % 2])
        before = flag
    if brackets and before:
        text.append("⟧")
    return text


def _piece_at(renderer: Renderer, ids: list[int], position: int) -> str:
    """The text that a token adds, in visible characters; line ends stay line ends."""

    def text_of(start: int) -> str:
        text: str = renderer.tokenizer.decode(ids[start : position + 1], skip_special_tokens=False)
        return text

    # Decode together with the token before: decoders drop a space at the start of a text.
    alone, before = text_of(position), max(position - 1, 0)
    lead: str = renderer.tokenizer.decode(ids[before:position], skip_special_tokens=False)
    both = text_of(before)
    piece = both[len(lead) :] if both.startswith(lead) else alone
    if not piece:
        return "␀"
    return "".join(c if c.isprintable() else "↵\n" if c == "\n" else "⇥" if c == "\t" else "�" for c in piece)
