"""`cavesson list`: everything that has a name, with one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cavesson.lab.show.terminal import Console

Line = tuple[str, str]
"""A name and a sentence."""


def list_everything(
    what: Annotated[
        str | None,
        typer.Argument(help="Only these: studies, models, pairs, constructions, interventions, benchmarks or runs."),
    ] = None,
) -> None:
    """List studies, models, pairs, constructions, interventions, benchmarks and finished runs.

    Example: cavesson list pairs
    """
    from cavesson.errors import ConfigError, nearest
    from cavesson.lab.show.terminal import Console

    if what not in (None, *LISTS):
        raise ConfigError(f"There is no list of {what!r}.", nearest(str(what), LISTS))
    console = Console(highlight=False)
    for title, lines in LISTS.items():
        if what == title or (what is None and title not in ("runs", "pairs")):
            _show(console, title, list(lines()))
    if what is None:
        console.print("\nAlso: cavesson list pairs (triggers and behaviours), cavesson list runs (what was found).")


def _show(console: Console, title: str, lines: list[Line]) -> None:
    """A title, and below it two columns: names, which are never broken, and sentences, which are broken between words."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, sentence in lines:
        table.add_row(Text(f"  {name}", style="bold"), Text(sentence))
    console.print(f"\n{title}", style="bold underline")
    console.print(table if lines else "  none yet")


def _studies() -> Iterator[Line]:
    from cavesson.studies.study import STUDIES, study_named

    for name in STUDIES:
        yield name, study_named(name).title.partition(": ")[2] or study_named(name).title


def _models() -> Iterator[Line]:
    from cavesson.tinyworld.recipes import ABOUT, shipped_names

    yield from ((name, ABOUT[name]) for name in shipped_names())
    yield "smollm2", "SmolLM2-135M-Instruct, a real chat model of 135 M parameters (docs/smollm2.md)"
    yield "FOLDER, owner/name", "a Hugging Face model: a local folder, or a name on the hub"
    yield "FILE.gguf", "a chat model in the format of llama.cpp"


def _pairs() -> Iterator[Line]:
    from cavesson.evals.pairs import DRIVEN, PAIRS

    for name, pair in {**PAIRS, **DRIVEN}.items():
        axes = f"{pair.trigger.kind} trigger, {pair.behavior.reach}, {pair.behavior.tone}"
        yield name, f"when {pair.trigger.about}, the model {pair.behavior.about} ({axes})"
    yield "FILE.py:NAME", "your own: docs/own-pair.md"


def _constructions() -> Iterator[Line]:
    from cavesson.redteam.constructions import CONSTRUCTIONS

    yield from ((name, way.about) for name, way in CONSTRUCTIONS.items())


def _interventions() -> Iterator[Line]:
    from cavesson.blueteam.moves import MOVES
    from cavesson.blueteam.view import NEEDS

    for name, move in MOVES.items():
        strengths = () if move.strength is None else [f"@{value:g}" for value in move.strength.usual]
        usual = f"; {move.strength.about}: {', '.join(strengths)}" if move.strength is not None else ""
        needs = f"; needs {', '.join(NEEDS[one][0] for one in move.needs)}" if move.needs else ""
        yield name, f"{move.about}{usual}{needs}"
    yield "FILE.py:NAME", "your own: docs/own-intervention.md"


def _benchmarks() -> Iterator[Line]:
    from cavesson.evals.benchmarks import BENCHMARKS

    yield from (
        (name, one.about) for name, one in BENCHMARKS.items() if name not in ("questions", "inspect", "lm-eval")
    )
    yield "inspect:TASK", f"any task of Inspect's: {BENCHMARKS['inspect'].about}"
    yield "lm-eval:TASK", f"a task of lm-eval's: {BENCHMARKS['lm-eval'].about}"
    yield "FILE.jsonl", "questions of your own with their answers"


def _runs() -> Iterator[Line]:
    from cavesson.cli.reports import finished

    for run in finished(None):
        made = run.result.environment
        yield run.name, f"{made.created:%d %b %Y}, {len(made.seeds)} seeds. {run.result.headline[0]}"


LISTS: dict[str, Callable[[], Iterator[Line]]] = {
    "studies": _studies,
    "models": _models,
    "pairs": _pairs,
    "constructions": _constructions,
    "interventions": _interventions,
    "benchmarks": _benchmarks,
    "runs": _runs,
}
"""Every list and where its lines come from."""
