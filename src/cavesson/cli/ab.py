"""`cavesson ab`: two arms of a real deployment, compared as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cavesson.figures import percent

if TYPE_CHECKING:
    from rich.table import Table

    from cavesson.production.ab import Comparison

T = TypeVar("T")

SUSPICIOUS = 1000.0
"""Evidence against the split that the plan says, from which on the comparison says so first."""


def ab(
    log: Annotated[
        Path, typer.Argument(help="JSON lines, Parquet or CSV: a row for each task, in the order of arrival.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,…",
            help="What your log calls time, arm, outcome, delay; and, if it has them, kind, weight, id.",
            show_default="their own names",
        ),
    ] = None,
    arms: Annotated[
        str, typer.Option(help="What the log calls the arms, the one with the measure first.")
    ] = "with,without",
    share: Annotated[float, typer.Option(help="Probability with which a task goes to the arm with the measure.")] = 0.5,
    alpha: Annotated[float, typer.Option(help="Probability with which the interval may ever be wrong.")] = 0.05,
    margin: Annotated[float, typer.Option(help="Effects up to this size do not matter.")] = 0.0,
    looks: Annotated[int, typer.Option(help="Looks at the log, evenly over its time; any number does no harm.")] = 40,
    unit: Annotated[str, typer.Option(help="Of numbers that are times: seconds, minutes, hours or days.")] = "days",
    now: Annotated[str | None, typer.Option(help="When the log was written.", show_default="its latest moment")] = None,
    span: Annotated[str, typer.Option("--range", help="The good and the bad end of the outcomes.")] = "0,1",
    false_alarms: Annotated[
        str, typer.Option(help="Share of good outcomes labelled bad: a rate, or the least and the greatest.")
    ] = "0",
    misses: Annotated[
        str, typer.Option(help="Share of bad outcomes labelled good: a rate, or the least and the greatest.")
    ] = "0",
    same_errors: Annotated[
        bool, typer.Option("--same-errors", help="Both arms' labels err at the same rates.")
    ] = False,
    longest_gap: Annotated[
        float | None,
        typer.Option(help="Longest usual stretch without tasks, in --unit.", show_default="a tenth of the log's time"),
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Tasks to come, for the cost of a wrong decision.")] = None,
    through: Annotated[
        bool, typer.Option("--through", help="Read the whole log, also after the rule has decided.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Write the effect to a JSON file, for the leaf of an argument (`effect <= 0`).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the arms of a real deployment: does the measure lower the cost of bad outcomes?

    The interval holds at all looks at once, so you may look daily and stop as soon as it decides.

    Example: cavesson ab log.jsonl --columns outcome=incident,delay=hours_to_label --unit hours
    """
    import json
    from dataclasses import asdict
    from typing import get_args

    from cavesson.cli.options import naming, write_text
    from cavesson.errors import entry_of
    from cavesson.lab.documents import validated
    from cavesson.lab.show.terminal import Console
    from cavesson.production.ab import LabelErrors, Plan, compare
    from cavesson.production.logs import Unit, read_log

    units: dict[str, Unit] = {name: name for name in get_args(Unit)}
    first, second = _parts("--arms", arms, str)
    values = {
        "alpha": alpha,
        "margin": margin,
        "looks": looks,
        "share": share,
        "horizon": horizon,
    }
    errors = {"false_alarms": _rates("--false-alarms", false_alarms), "misses": _rates("--misses", misses)}
    labels = validated(LabelErrors, errors, {key: f"--{key.replace('_', '-')}" for key in errors})
    labels = labels.model_copy(update={"same_in_both_arms": same_errors})
    plan = validated(Plan, {**values, "label_errors": labels}, {key: f"--{key}" for key in values})
    with naming("--unit", unit):
        chosen = entry_of(units, unit, "unit of time")
    read = read_log(
        log,
        _named(columns or ""),
        arms=(first, second),
        unit=chosen,
        now=now,
        span=_parts("--range", span, float),
        share=share,
        longest_gap=longest_gap,
    )
    found = compare(read, plan, stop=not through)
    if figures is not None:
        write_text("--figures", figures, json.dumps({"effect": asdict(found.effect)}, indent=1))
    if as_json:
        typer.echo(found.to_json())
        return
    console = Console(highlight=False)
    if found.balance > SUSPICIOUS:
        console.print(
            f"caution: {percent(read.treated.mean(), 1)} of the tasks went to the arm with the measure, where {percent(share)} should have "
            f"(e-value {found.balance:.0e}): the arms may not have been drawn at random."
        )
    console.print(table_of(found))
    console.print(found.sentence)
    for choice, cost in found.regrets.items():
        console.print(f"  {choice}: costs at most {cost:,.1f} dearest outcomes more than the better arm")


def table_of(found: Comparison, most: int = 12) -> Table:
    """The looks, evenly thinned to `most`, the last among them."""
    from rich.table import Table

    table = Table(title=f"{found.source}: cost per task with the measure, less without", title_justify="left")
    for heading in (
        "day",
        "tasks",
        "counted",
        "no label",
        "effect",
        f"{percent(1 - found.plan.alpha)} at every look at once",
        "",
    ):
        table.add_column(heading, justify="right")
    step = -(-len(found.looks) // most)
    for look in found.looks[(len(found.looks) - 1) % step :: step]:
        table.add_row(
            f"{look.day:.1f}",
            f"{look.tasks:,}",
            f"{look.counted:,}",
            f"{look.pending:,}",
            f"{look.value:+.4f}",
            f"{look.low:+.4f} to {look.high:+.4f}",
            look.verdict,
        )
    return table


def _named(text: str) -> dict[str, str]:
    """`outcome=incident,delay=hours` as a mapping."""
    from cavesson.errors import ConfigError

    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, column = (bit.strip() for bit in part.partition("="))
        if not equals or not column or name in found:
            raise ConfigError(
                f"--columns {text!r}: {part!r} is no NAME=COLUMN of its own.", "Write outcome=incident,delay=hours."
            )
        found[name] = column
    return found


def _parts(option: str, text: str, read: Callable[[str], T]) -> tuple[T, T]:
    """The two values of an option."""
    from cavesson.errors import ConfigError

    try:
        first, second = (read(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is no pair of values.", "Write two with a comma between.") from error
    return first, second


def _rates(option: str, text: str) -> tuple[float, float]:
    """A rate, or two."""
    return _parts(option, text if "," in text else f"{text},{text}", float)
