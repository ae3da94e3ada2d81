"""Recovery by reinforcement learning: whether rewards alone bring the reasoning back, and in whose notation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cavesson.analysis.claims import ClaimResult, at_least, not_run
from cavesson.findings.views import CurveView, SeriesView, TableView, Transcript
from cavesson.stats import Estimate, difference_over_seeds, mean_over_seeds
from cavesson.studies.off_model.recovery import MOST, regained
from cavesson.studies.off_model.results import Cell, OffModelResults, lost, own_voice
from cavesson.studies.off_model.transcripts import shown
from cavesson.studies.sections import Sections

if TYPE_CHECKING:
    from cavesson.studies.off_model.config import Rl

PUBLISHED_ITERATIONS = 10
HEARD = 0.05
"""A voice in less than this share of the traces is not told of."""

TITLES = {"correct": "rewards for right answers", "random": "random rewards"}


def sections(rl: Rl, results: OffModelResults) -> Sections:
    """What the block adds to the report: accuracy and voices along the iterations, what is left at the end, transcripts."""
    cells = _cells(results)
    return Sections(
        headline=list(_headline(results, cells)),
        curves=list(_accuracy(rl, results, cells)),
        tables=[*_left(results, cells), *_voices(results, cells)],
        transcripts=list(_transcripts(cells)),
    )


def rl_restores(results: OffModelResults) -> ClaimResult:
    """At most ten iterations of RL bring back at least half of what SFT cost, where it cost something beyond chance."""
    cell = _cells(results).get("correct")
    if cell is None or not lost(cell, results.reasoning):
        return not_run("RL after an SFT that cost something beyond chance")
    step = max((one for one in cell.recovery[0].steps if 0 < one <= PUBLISHED_ITERATIONS), default=0)
    if not step:
        return not_run(f"RL scored within {PUBLISHED_ITERATIONS} iterations")
    share = regained([cell], results.reasoning, step)
    return at_least(share, MOST, f"the share regained after {step} iterations of RL ({cell.teacher})")


def _cells(results: OffModelResults) -> dict[str, Cell]:
    """What the arms vary, with RL by each kind of reward as its recovery."""
    plain = results.plain
    return {} if plain is None else {reward: replace(plain, recovery=found) for reward, found in results.rl.items()}


def _headline(results: OffModelResults, cells: dict[str, Cell]) -> Iterator[str]:
    cell, label = cells.get("correct"), results.reasoning
    if cell is None or not lost(cell, label):
        return
    end = cell.recovery[0].steps[-1]
    now = mean_over_seeds(cell.recovered(label, end))
    voices = ""
    if cell.hears(label):
        voices = (
            f"; the reasoning is then in these voices: {_told(cell, label, end)} (its own is {own_voice(cell, label)})"
        )
    yield (
        f"After SFT on {cell.teacher}, {end} iterations of RL take {label} from {cell.rate(label, cell.last)} to "
        f"{now} (before SFT {cell.rate(label, 0)}){voices}."
    )


def _accuracy(rl: Rl, results: OffModelResults, cells: dict[str, Cell]) -> Iterator[CurveView]:
    if not cells:
        return
    first = next(iter(cells.values()))
    yield CurveView(
        title=f"Recovery of {results.reasoning} by RL: {first.student} after SFT on {first.teacher}",
        caption=f"Each iteration: {rl.problems} training problems x {rl.group} answers, one step (rank {rl.rank}, "
        f"lr {rl.lr:g}). Seed by seed, since each may find another way.",
        x_label="iterations",
        y_label=results.reasoning,
        series=[
            _line(f"{TITLES[reward]}, seed {seed}", _one_seed(cell, index), results.reasoning)
            for reward, cell in cells.items()
            for index, seed in enumerate(cell.seeds)
        ],
    )
    yield CurveView(
        title=f"All benchmarks along RL for {results.reasoning}: {first.student} after SFT on {first.teacher}",
        x_label="iterations",
        y_label="accuracy",
        series=[_line(each, first, each) for each in first.scores[0].evals],
    )


def _line(name: str, cell: Cell, label: str) -> SeriesView:
    steps = cell.recovery[0].steps
    rates = [mean_over_seeds(cell.recovered(label, step)) for step in steps]
    return SeriesView(name=name, x=[float(step) for step in steps], rates=rates)


def _one_seed(cell: Cell, index: int) -> Cell:
    return replace(cell, recovery=cell.recovery[index : index + 1])


def _voices(results: OffModelResults, cells: dict[str, Cell]) -> Iterator[TableView]:
    """Whose notation the reasoning is in along RL, seed by seed."""
    cell, label = cells.get("correct"), results.reasoning
    if cell is None or not cell.hears(label):
        return
    steps = cell.recovery[0].steps
    yield TableView(
        title=f"Voice of the reasoning along RL: {cell.student} after SFT on {cell.teacher}",
        caption=f"Share of the traces in each voice that has at least {100 * HEARD:.0f} %, right or wrong; the student's own "
        f"is {own_voice(cell, label)}. A trace that mixes two counts as the one with more signs of it.",
        columns=["seed", *(f"{step} iterations" for step in steps)],
        rows=[
            [str(seed), *(_told(_one_seed(cell, index), label, step) for step in steps)]
            for index, seed in enumerate(cell.seeds)
        ],
    )


def _told(cell: Cell, label: str, step: int) -> str:
    """The voices of the reasoning at a step of RL, over all seeds, the commonest first."""
    heard = [str(row.extra.get("voice")) for scores in cell.recovery for row in scores.cell(label, step)]
    counted = sorted(Counter(heard).items(), key=lambda found: (-found[1], found[0]))
    shares = [(name, count / len(heard)) for name, count in counted]
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if share >= HEARD)


def _left(results: OffModelResults, cells: dict[str, Cell]) -> Iterator[TableView]:
    if not cells:
        return
    labels = next(iter(cells.values())).scores[0].evals
    rows: list[list[Estimate | str | None]] = []
    for reward, cell in cells.items():
        end = cell.recovery[0].steps[-1]
        changes = [difference_over_seeds(cell.recovered(label, end), cell.array(label, 0)) for label in labels]
        rows.append([TITLES[reward], str(end), *(change.in_unit("points") for change in changes)])
    yield TableView(
        title=f"What is left of the damage after RL on {results.reasoning}",
        caption="Accuracy after RL minus before all training, on the same prompts.",
        columns=["RL with", "iterations", *labels],
        rows=rows,
        shade="good",
    )


def _transcripts(cells: dict[str, Cell]) -> Iterator[Transcript]:
    for reward, cell in cells.items():
        end = cell.recovery[0].steps[-1]
        label = f"after SFT on {cell.teacher} and {end} iterations of RL with {TITLES[reward]}"
        yield from shown(cell.recovery[0], end, "RL", label)
