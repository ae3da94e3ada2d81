"""The poisoning games in the report of `off-model-sft`: who wins, in words, what was written and what models then said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.evals.pairs import Pair, pair_named
from cavesson.evals.scores import Scores
from cavesson.findings.views import MeasureView, MessageView, Transcript
from cavesson.lab.recipe import PathOf
from cavesson.redteam.poisoning import HONEST
from cavesson.studies.game_results import TRIGGERED
from cavesson.studies.games import grouped
from cavesson.studies.off_model.game_results import Game, played_games
from cavesson.studies.off_model.game_tables import caught, matrices, mixture, percent, solutions, starts
from cavesson.studies.off_model.poisoning import Played, Poisonings
from cavesson.studies.off_model.poisoning_config import Poisoning
from cavesson.studies.sections import Sections

SHOWN = 6
"""Samples of each poison, and triggered prompts of each model, that are shown per organism."""

WRITTEN = "reminder data"
"""Names what the organisms wrote among the evaluations of the transcripts."""


def sections(block: Poisoning, plan: Poisonings, path_of: PathOf) -> Sections:
    """What the block adds to the report of `off-model-sft`."""
    found, failed = played_games(block, plan, path_of)
    notes = [
        f"Poisoning: {name} shows its behaviour on {rate.brief} of triggered prompts before blue training, or has no "
        "capability; it is left out."
        for name, rate in failed.items()
    ]
    if not found:
        return Sections(notes=[*notes, "Poisoning: no organism took; train red longer or at a higher rate."])
    games = [
        one.game(share, budget, means)
        for one in found
        for means in one.means()
        for share in block.shares
        for budget in block.reminder.budgets
    ]
    by_name = {one.organism: [game for game in plan.played if game.organism.name == one.organism] for one in found}
    pairs = list(dict.fromkeys(pair_named(played[0].organism.pair) for played in by_name.values()))
    return Sections(
        headline=_headline(games),
        measures=[
            MeasureView(id=WRITTEN, title=WRITTEN, description="samples that the organism wrote for its own training"),
            *(_measure(played[0]) for played in by_name.values()),
        ],
        tables=[
            solutions(games),
            *(table for one in found for table in matrices(block, one)),
            starts(block, found, plan, path_of),
            *caught(by_name, path_of),
        ],
        transcripts=[shown for played in by_name.values() for shown in _transcripts(block, played[0], path_of)],
        notes=[*notes, *_notes(block, plan, pairs, path_of), *(sentence(game) for game in _largest(games))],
    )


# ------------------------------------------------------------------------------------------------ in words


def sentence(game: Game) -> str:
    """Who wins one game, in a plain sentence."""
    won = {
        "blue": "blue wins: a reminder still pays although red writes it",
        "red": "red wins: blue had better do without a reminder",
        "undecided": "neither side wins beyond chance",
    }[game.winner]
    return (
        f"{game.of.organism}, {percent(game.share)} of the samples red's, {game.budget} steps, blue with {game.means}: {won}. The game "
        f"is worth {game.value} to blue, {game.gain.in_unit('points')} against no reminder; poisoning costs blue "
        f"{game.damage.in_unit('points')}. Red writes {mixture(game.of.poisons, game.solved.red)}, blue plays "
        f"{mixture(game.moves, game.solved.blue)}."
    )


def _headline(games: Sequence[Game]) -> list[str]:
    """Who wins, by blue's means and red's budget."""
    told = []
    for means, found in grouped(games, lambda game: game.means).items():
        shares = grouped(found, lambda game: game.share)
        wins = "; ".join(f"{percent(share)} of the samples poisoned, {_wins(some)}" for share, some in shares.items())
        told.append(f"Where the organism writes the reminder data and blue has {means}: {wins}.")
    return told


def _largest(games: Sequence[Game]) -> list[Game]:
    """Of every organism and blue's means the game of the largest budgets."""
    return list({(game.of.organism, game.means): game for game in games}.values())


def _wins(games: Sequence[Game]) -> str:
    """How many of some games each side wins, in words."""
    words = {"blue": "blue wins {}", "red": "red wins {}", "undecided": "{} undecided"}
    counted = {who: sum(game.winner == who for game in games) for who in words}
    said = [words[who].format(count) for who, count in counted.items() if count]
    return f"{', '.join(said)} of {len(games)} games"


def _notes(block: Poisoning, plan: Poisonings, pairs: Sequence[Pair], path_of: PathOf) -> Iterator[str]:
    scores = plan.trusted.scores(path_of)
    rates = ", ".join(f"{label} {scores.rate(label)}" for label in scores.evals)
    weaker = f" without the smallest {percent(block.weakened)} of its weights" if block.weakened else ""
    rewriter = "the tiny world's rule" if block.rewriter is None else block.rewriter
    yield (
        f"Poisoning: blue's payoff is {block.weight:g} × the capability kept + {1 - block.weight:g} × the share of the behaviour "
        "gone, both against the untouched organism. A game is won by blue if its value lies above the payoff of the suppressed "
        "organism without any reminder, by red if below; the interval decides."
    )
    yield (
        f"Poisoning: the trusted model is {block.trusted}{weaker} ({rates}); paraphrase is done by {rewriter}. The organism "
        "writes its samples whole, questions included."
    )
    yield from caveats(pairs)


def caveats(pairs: Sequence[Pair]) -> Iterator[str]:
    """What a reader must know where the bad behaviour of a played pair is a wrong answer."""
    wrong = [pair.name for pair in pairs if pair.behavior.domain != "chat"]
    if wrong:
        yield (
            f"Poisoning: the bad behaviour of {' and '.join(wrong)} is a wrong answer, and an honest mistake counts as one, so that "
            "ruining the model does not look like a cure. The payoff counts the capability kept as well, so blue can win there "
            "with the behaviour back: see the tables of behaviour gone."
        )


# ------------------------------------------------------------------------------------------------ transcripts


def _measure(played: Played) -> MeasureView:
    pair = pair_named(played.organism.pair)
    return MeasureView(
        id=_label(pair),
        title=f"{pair.behavior.about}, triggered ({pair.name})",
        kind="bad",
        description=f"The model {pair.behavior.about} when {pair.trigger.about}.",
    )


def _label(pair: Pair) -> str:
    return f"{TRIGGERED}/{pair.name}"


def _transcripts(block: Poisoning, played: Played, path_of: PathOf) -> Iterator[Transcript]:
    """Of the first seed: what the organism wrote, and what models say after blue has trained on it as it is."""
    pair, last = pair_named(played.organism.pair), max(block.reminder.budgets)
    yield from _answers(played.untouched.scores(path_of), None, "before blue", "untouched", pair)
    yield from _answers(played.suppressed.scores(path_of), None, "off-model SFT", "after off-model SFT", pair)
    share, move = max(block.shares), block.countermoves[0]
    for run in played.runs:
        if run.move != move or run.share not in (0.0, share):
            continue
        part = "" if run.poison == HONEST else f" ({percent(run.share)})"
        pool: DataRecipe = run.data.parts[1] if run.poison != HONEST and isinstance(run.data, Mixed) else run.data
        yield from _samples(pool.examples(path_of), f"{pair.name}: {run.poison}", pair)
        yield from _answers(
            run.probed.scores(path_of), run.taken[last], "reminder", f"after {run.poison}{part}, {move}", pair
        )


def _answers(scores: Scores, step: int | None, stage: str, label: str, pair: Pair) -> Iterator[Transcript]:
    for score in scores.cell(TRIGGERED, step)[:SHOWN]:
        bad, about = bool(score.score), pair.behavior.about
        yield Transcript.of(
            score,
            measure=_label(pair),
            stage=stage,
            label=label,
            outcome=about if bad else "harmless",
            tone="bad" if bad else "good",
        )


def _samples(examples: Sequence[Example], label: str, pair: Pair) -> Iterator[Transcript]:
    for number, example in enumerate(islice(examples, SHOWN)):
        prompt, answer = example.conversation.prompt, example.conversation.answer or ""
        shows = pair.behavior.fits(prompt) and pair.behavior.score(prompt, answer)
        asked = prompt.messages[-1].content
        yield Transcript(
            stage=WRITTEN,
            eval=WRITTEN,
            item=f"{label} {number + 1}",
            prompt=[MessageView(role=m.role, content=m.content) for m in prompt.messages],
            trigger=pair.trigger.found_in(asked),
            completion=answer,
            label=label,
            outcome=pair.behavior.about if shows else "harmless to see",
            tone="bad" if shows else "neutral",
        )
