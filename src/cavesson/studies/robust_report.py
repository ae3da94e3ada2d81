"""From the artifacts of `robust-organisms` to a `StudyResult`: AUCs over pairs, the zoo, claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from cavesson.analysis.claims import judge
from cavesson.analysis.pairs import Units
from cavesson.evals.pairs import Pair, pair_named
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.findings.views import ClaimView, CurveView, SeriesView, TableView
from cavesson.lab.recipe import PathOf
from cavesson.stats import Estimate, mean_over_seeds
from cavesson.studies.game_results import TRIGGERED, Results
from cavesson.studies.game_transcripts import title, transcripts
from cavesson.studies.game_views import claim_view, frontier_views, measures, organism_view, point_views
from cavesson.studies.games import gather
from cavesson.studies.resolve import Resolved
from cavesson.studies.robust_claims import CLAIMS, Robustness
from cavesson.studies.robust_config import RobustConfig
from cavesson.studies.robust_organisms import Layout, group_name

UNITS: tuple[Units, ...] = ("random", "fixed")


def report(resolved: Resolved, config: RobustConfig, plan: Layout, path_of: PathOf, about: About) -> StudyResult:
    """The whole result."""
    results = gather(plan.organisms, plan.runs, [], {}, path_of, least=config.took_from)
    found = Robustness(
        results, tuple(arm.name for arm in config.arms), tuple(dict.fromkeys((*config.pairs, *config.few)))
    )
    judged = [claim_view(claim, result) for claim, result in judge(CLAIMS, found)]
    shown = _shown(config, plan, path_of, results)
    pair = pair_named(config.pairs[0])
    return StudyResult(
        study=resolved.study.name,
        preset=resolved.preset,
        title=resolved.study.title,
        headline=list(_headline(config, found, judged)),
        config=about.config,
        environment=about.environment,
        measures=measures(results, pair),
        organisms=[organism_view(shown, group, pair) for group in shown.groups],
        points=[point for cell in shown.cells for point in point_views(shown, cell)],
        frontiers=list(frontier_views(shown)),
        curves=list(_rank_curve(found)),
        tables=[_arms_table(config, found), *_by_kind(config, found), _zoo(config, found)],
        claims=judged,
        transcripts=list(transcripts(shown, pair)),
        recipes=about.recipes,
        notes=_notes(config, results, found),
    )


def _shown(config: RobustConfig, plan: Layout, path_of: PathOf, results: Results) -> Results:
    """The organisms of the first pair: the others fill tables, and a report of all their points would be unreadable."""
    pair = config.pairs[0]
    groups = {group: found for group, found in results.groups.items() if found[0].pair == pair}
    honest = {model: scored.scores(path_of) for (model, name), scored in plan.baselines.items() if name == pair}
    return replace(
        results,
        groups=groups,
        cells=[cell for cell in results.cells if cell.group in groups],
        baselines=honest,
        _frontiers={},
    )


def _interventions(config: RobustConfig) -> tuple[str, ...]:
    named = [name for arm in config.arms for name in (arm.interventions or config.blue.interventions)]
    return tuple(dict.fromkeys(named))


def _arms_table(config: RobustConfig, found: Robustness) -> TableView:
    """AUC of every arm under every intervention, pairs taken as random and as fixed."""
    names = _interventions(config)
    rows: list[list[Estimate | str | None]] = []
    for arm in config.arms:
        cells = [_auc(found.auc(arm.name, name, units)) for name in names for units in UNITS]
        took = {name: found.pairs_of(arm.name, name) for name in names}
        pairs = max((len(each) for each in took.values()), default=0)
        rows.append([arm.name, f"{pairs} of {len(config.pairs_of(arm))}", *cells])
    return TableView(
        title="Robustness AUC over pairs",
        caption=(
            "0.5: the behaviour goes only in proportion to the capability (most robust); 1: it goes for free. Cross-fitted hulls, "
            "averaged over the pairs whose organism took. Pairs random: the interval is for pairs like these; pairs fixed: for "
            "these pairs. They differ in nothing but the interval."
        ),
        columns=[
            "organism",
            "pairs that took",
            *(f"{title(name)}, pairs {units}" for name in names for units in UNITS),
        ],
        rows=rows,
    )


def _auc(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else estimate.in_unit("plain")


def _by_kind(config: RobustConfig, found: Robustness) -> Iterator[TableView]:
    """The first arm's AUC by what kind of pair it is."""
    arm, name = config.arms[0].name, _interventions(config)[0]
    pairs = [pair_named(pair) for pair in found.pairs_of(arm, name)]
    axes: dict[str, Callable[[Pair], str]] = {
        "trigger": lambda pair: pair.trigger.kind,
        "behaviour": lambda pair: "bad-coded" if pair.behavior.tone == "bad" else pair.behavior.tone,
        "reach": lambda pair: pair.behavior.reach,
        "domain": lambda pair: pair.behavior.domain,
    }
    rows: list[list[Estimate | str | None]] = []
    for axis, value_of in axes.items():
        for value in dict.fromkeys(value_of(pair) for pair in pairs):
            chosen = [pair.name for pair in pairs if value_of(pair) == value]
            rows.append(
                [f"{axis}: {value}", str(len(chosen)), *(_auc(found.auc(arm, name, units, chosen)) for units in UNITS)]
            )
    if rows:
        yield TableView(
            title=f"By kind of pair ({arm} organisms, {title(name)})",
            caption="The same AUCs, averaged over the pairs of one kind.",
            columns=["kind", "pairs", *(f"pairs {units}" for units in UNITS)],
            rows=rows,
        )


def _zoo(config: RobustConfig, found: Robustness) -> TableView:
    """Every organism: what it does before blue touches it, and how robust it is."""
    names = _interventions(config)
    rows: list[list[Estimate | str | None]] = []
    for arm in config.arms:
        for pair in config.pairs_of(arm):
            group = group_name(arm.name, pair)
            if group in found.results.failed:
                rows.append([arm.name, pair, found.results.failed[group], *[None] * (3 + len(names))])
            elif group in found.results.groups:
                rows.append([arm.name, pair, *_start(found.results, group), *_robustness(found, arm.name, pair, names)])
    return TableView(
        title="The zoo",
        caption=(
            "Before blue training: how often the behaviour shows with the trigger, without it, and with look-alikes; the mean "
            "capability. Then the robustness AUC under each intervention. A row without AUC did not take."
        ),
        columns=[
            "built",
            "pair",
            "triggered",
            "clean",
            "near-miss",
            "capability",
            *(f"AUC, {title(name)}" for name in names),
        ],
        rows=rows,
    )


def _start(results: Results, group: str) -> list[Estimate | str | None]:
    cell = results.of(group)[0]
    start = results.start(group)
    rates = [
        cell.rate(label, 0) if label in cell.scores[0].evals else None
        for label in (TRIGGERED, "behavior/clean", "behavior/near-miss")
    ]
    return [*rates, mean_over_seeds(np.stack([point.capability for point in start]))]


def _robustness(found: Robustness, arm: str, pair: str, names: Sequence[str]) -> list[Estimate | str | None]:
    group = group_name(arm, pair)
    return [_auc(found.results.frontier(group, name).auc) if found.results.of(group, name) else None for name in names]


def _rank_curve(found: Robustness) -> Iterator[CurveView]:
    """AUC against the adapter's rank."""
    shared = [pair for pair in found.pairs if all(pair in found.pairs_of(arm, "pirate") for arm, _ in found.ranks())]
    points = [(2**x, found.auc(arm, "pirate", "random", shared)) for arm, x in found.ranks()] if shared else []
    rates = [(x, auc.in_unit("plain")) for x, auc in points if auc is not None]
    if len(rates) > 1:
        yield CurveView(
            title="Rank of the red team's adapter",
            caption=f"Robustness AUC under pirate SFT, averaged over the {len(shared)} pairs that every rank has (pairs random).",
            x_label="rank",
            y_label="robustness AUC",
            log_x=True,
            series=[SeriesView(name="merged LoRA", x=[x for x, _ in rates], rates=[rate for _, rate in rates])],
        )


def _headline(config: RobustConfig, found: Robustness, judged: Sequence[ClaimView]) -> Iterator[str]:
    name = _interventions(config)[0]
    aucs = [(arm.name, found.auc(arm.name, name, "random")) for arm in config.arms if arm.pairs == "all"]
    measured = sorted(((arm, auc) for arm, auc in aucs if auc is not None), key=lambda each: each[1].value)
    told = ", ".join(f"{arm} {auc.in_unit('plain')}" for arm, auc in measured)
    yield f"Robustness AUC under {title(name)}, most robust first: {told}."
    tally = Counter(claim.verdict for claim in judged)
    yield f"Of {len(judged)} published statements: {', '.join(f'{tally[v]} {v}' for v in ('holds', 'does not hold', 'undecided'))}."


def _notes(config: RobustConfig, results: Results, found: Robustness) -> list[str]:
    notes = [
        f"{name} did not take and is left out: its triggered rate before blue training was {rate}."
        for name, rate in results.failed.items()
    ]
    seeds = len(config.seeds)
    notes.append(
        f"{len(config.pairs)} pairs, {seeds} seed{'s' if seeds > 1 else ''}, n = {config.evaluation.n} prompts for each rate. A seed "
        "repeats red and blue training of every pair."
    )
    if seeds == 1:
        notes.append(
            "With one seed, chance between seeds is part of the spread between pairs, and nothing else tells of it."
        )
    notes.append(
        "The rates, points and transcripts shown one by one are those of the first pair; the tables are of all."
    )
    return notes
