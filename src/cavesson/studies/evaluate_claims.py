"""Checks of the study `evaluate`, which say when seeds enough were run (`--seeds auto`): they are about the user's intervention."""

from __future__ import annotations

from functools import partial

from cavesson.analysis.claims import ClaimResult, above, at_least, at_most
from cavesson.studies import evaluate_zoo as zoo
from cavesson.studies import sources
from cavesson.studies.evaluate_controls import BENIGN
from cavesson.studies.evaluate_diagnostics import BACK, NONE_WITHIN
from cavesson.studies.evaluate_figures import ENOUGH
from cavesson.studies.grid import Measured
from cavesson.studies.redblue import blue_rule
from cavesson.studies.shown import claim


def _works(m: Measured) -> ClaimResult:
    figure = zoo.removed_on_average(m, m.config.intervention, blue_rule, m.config.games.max_loss)
    return at_least(figure, ENOUGH, "the share of the bad behaviour that is gone, mean over the zoo")


def _more(m: Measured) -> ClaimResult:
    gap = zoo.more_than(m, m.config.intervention, BENIGN, blue_rule, m.config.games.max_loss)
    return above(gap, NONE_WITHIN, "what is gone minus what is gone after benign training of equal size")


def _lasts(m: Measured) -> ClaimResult:
    return at_most(zoo.came_back(m, m.config.intervention), BACK, "the share that innocuous training brings back")


check = partial(claim, source=sources.APPROACHES, kind="check", published="")

CLAIMS = (
    check("takes-half", "The intervention takes half of the bad behaviour from the zoo.", test=_works),
    check("more-than-benign", "It takes more than as much benign training does.", test=_more),
    check("lasts", "Innocuous training brings hardly any of it back.", test=_lasts),
)
