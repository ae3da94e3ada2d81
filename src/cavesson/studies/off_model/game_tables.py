"""The tables of the poisoning games in the report of `off-model-sft`: solutions, payoffs as heat maps, what filters catch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cavesson.analysis.contrasts import rate_over_seeds
from cavesson.blueteam.countermoves import LeastSurprising
from cavesson.data.recipes import Mixed
from cavesson.evals.scores import Scores
from cavesson.findings.views import TableView
from cavesson.lab.recipe import PathOf, lineage
from cavesson.redteam.poisoning import HONEST
from cavesson.stats import Array, Estimate, mean_over_seeds
from cavesson.studies.off_model.game_results import Game, Games
from cavesson.studies.off_model.poisoning import Played, Poisonings, Reminded
from cavesson.studies.off_model.poisoning_config import Poisoning
from cavesson.training.recipes import Trained

Row = list[Estimate | str | None]


def solutions(games: Sequence[Game]) -> TableView:
    """Every game, one to a row: who wins, its value and how it is played."""
    rows: list[Row] = [
        [
            game.of.organism,
            game.means,
            percent(game.share),
            str(game.budget),
            game.winner,
            game.value,
            game.gain.in_unit("points"),
            game.damage.in_unit("points"),
            mixture(game.of.poisons, game.solved.red),
            mixture(game.moves, game.solved.blue),
        ]
        for game in games
    ]
    return TableView(
        title="The poisoning game, solved",
        caption=(
            "Red chooses what the organism writes, blue what is done with it: with no trusted model it can train, stop early or drop "
            "outliers; a trusted judge filters and rewrites; a trusted author answers the organism's questions itself. "
            "Value: what the two sides' mixtures pay, solved on one half of the prompts (and all seeds but one, where there are "
            "several) and valued on the rest, since the best mixtures for noisy payoffs are the best for their noise too "
            "(cross-fitting: Chernozhukov et al. 2018); its interval runs from the least that blue's mixture is sure of to the most "
            "that red's leaves to blue. Against no reminder: the value minus the payoff of stopping after off-model SFT; where its "
            "interval leaves out 0, a side wins. Cost of poisoning: the value if red could only write honestly, minus the value; by "
            "chance it can fall below 0. The mixtures are averages of those solved."
        ),
        columns=[
            "organism", "blue has", "red's share", "blue's steps", "winner", "value", "against no reminder", "cost of poisoning", "red writes",
            "blue plays",
        ],
        rows=rows,
    )  # fmt: skip


def matrices(block: Poisoning, games: Games) -> Iterator[TableView]:
    """The payoffs for each of blue's budgets; for the largest also its two parts."""
    last = max(block.reminder.budgets)
    for budget in block.reminder.budgets:
        yield _matrix(block, games, budget, None, "blue's payoff")
    yield _matrix(block, games, last, 1.0, "capability kept")
    yield _matrix(block, games, last, 0.0, "behaviour gone")


def _matrix(block: Poisoning, games: Games, budget: int, weight: float | None, what: str) -> TableView:
    rows: list[Row] = []
    for poison, share in block.rows():
        name = poison if poison == HONEST else f"{poison}, {percent(share)}"
        rows.append([name, *(games.estimate(one, weight) for one in games.row(poison, share, budget))])
    without = games.estimate(games.unreminded, weight)
    return TableView(
        title=f"{games.organism}: {what} after {budget} steps",
        caption=f"Rows: what the organism writes. Columns: what blue does with it. Without any reminder: {without}. "
        "Above 100 % lies capability that grew, below 0 behaviour that did.",
        columns=["red writes", *games.moves],
        rows=rows,
        shade="good",
    )


def starts(block: Poisoning, found: Sequence[Games], plan: Poisonings, path_of: PathOf) -> TableView:
    """Every organism before blue, after off-model SFT, and after an honest reminder."""
    last = max(block.reminder.budgets)
    rates: list[tuple[str, str, dict[str, Estimate]]] = []
    for games in found:
        played = [one for one in plan.played if one.organism.name == games.organism]
        honest = [next(run for run in one.runs if run.poison == HONEST) for one in played]
        states: list[tuple[str, list[tuple[Scores, int | None]]]] = [
            ("untouched", [(one.untouched.scores(path_of), None) for one in played]),
            ("after off-model SFT", [(one.suppressed.scores(path_of), None) for one in played]),
            (
                f"after an honest reminder, {honest[0].move}",
                [(run.probed.scores(path_of), run.taken[last]) for run in honest],
            ),
        ]
        for state, tables in states:
            rates.append((games.organism, state, {label: _pooled(tables, label) for label in tables[0][0].evals}))
    labels = list(dict.fromkeys(label for *_, measured in rates for label in measured))
    rows: list[Row] = [
        [name, state, *(measured.get(label, None) for label in labels)] for name, state, measured in rates
    ]
    return TableView(
        title="The organisms of the poisoning game",
        caption="Capability by benchmark, and how often the behaviour shows with the trigger, without it, and with look-alikes.",
        columns=["organism", "state", *labels],
        rows=rows,
    )


def _pooled(tables: Sequence[tuple[Scores, int | None]], label: str) -> Estimate:
    return mean_over_seeds([scores.array(label, step) for scores, step in tables])


def caught(by_name: dict[str, list[Played]], path_of: PathOf) -> Iterator[TableView]:
    """How many of the poisoned samples each filter throws away."""
    rows: list[Row] = []
    moves: list[str] = []
    for name, played in by_name.items():
        places: dict[tuple[str, float], dict[str, Estimate]] = {}
        for number, run in enumerate(played[0].runs):
            counted = [_thrown(one.runs[number], path_of) for one in played]
            of_seeds = [counts for counts in counted if counts is not None and counts[1]]
            if run.poison != HONEST and of_seeds:
                dropped, bad = zip(*of_seeds, strict=True)
                places.setdefault((run.poison, run.share), {})[run.move] = rate_over_seeds(dropped, bad)
        moves = list(dict.fromkeys([*moves, *(move for rates in places.values() for move in rates)]))
        for (poison, share), rates in places.items():
            cells = [rates.get(move, None) for move in moves]
            rows.append([name, f"{poison}, {percent(share)}", *cells])
    if rows:
        yield TableView(
            title="Poisoned samples that blue's filters throw away",
            caption="Share of the poisoned samples that are dropped, averaged over seeds. A filter that knows nothing drops as many "
            "of them as of the others.",
            columns=["organism", "red writes", *moves],
            rows=rows,
            shade="good",
        )


def _thrown(run: Reminded, path_of: PathOf) -> tuple[int, int] | None:
    """Poisoned samples that a filter dropped, and all of them; None if the move filters nothing."""
    assert isinstance(run.probed.run, Trained)
    filters = [r for r in lineage(run.probed.run.data) if isinstance(r, LeastSurprising)]
    if not filters or not isinstance(run.data, Mixed):
        return None
    bad = {one.conversation for one in run.data.parts[1].examples(path_of)}
    counts = [sum(one.conversation in bad for one in data.examples(path_of)) for data in (run.data, filters[0])]
    return counts[0] - counts[1], counts[0]


def percent(share: float) -> str:
    """A share in words: 0.05 is "5 %"."""
    return f"{100 * share:.3g} %"


def mixture(names: Sequence[str], shares: Array) -> str:
    """A mixed move in words, its largest part first; what is hardly ever played is left out."""
    played = sorted(((share, name) for share, name in zip(shares, names, strict=True) if share >= 0.005), reverse=True)
    if len(played) == 1:
        return str(played[0][1])
    return ", ".join(f"{name} ({percent(round(share, 2))})" for share, name in played)
