"""What a report of the study `transfer` shows of what foretells transfer (`transfer_foretold.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from cavesson.analysis.foretelling import fails_from, forecast, kind_r2, left_out_r2, rank_correlation
from cavesson.estimate import Estimate
from cavesson.findings.views import CurveView, SeriesView, TableView
from cavesson.inside.regression import descended
from cavesson.stats import Array, average_over
from cavesson.studies.grid import Measured, Place
from cavesson.studies.shown import Note, table
from cavesson.studies.transfer_foretold import (
    FOLLOWED,
    LATER,
    OUTCOME,
    PREDICTED,
    REGISTERED,
    SIGNS,
    error_at,
    followed,
    installs,
    outcomes,
    plain_rise,
    registration,
    score,
    separators,
    sign_of,
)
from cavesson.studies.transfer_readings import beyond_controls, phase

TOGETHER, KIND = "all together", "install kind alone"
"""Rows beside those of the single signs."""


def signs(m: Measured) -> TableView | None:
    """Each sign with its registered direction and its correlation with transfer."""
    places, outcome = outcomes(m)
    apart = separators(m, places)
    plain = np.array([plain_rise(place).mean() for place in places])
    readings: dict[str, Array] = {
        **{name: sign_of(name, places) for name in REGISTERED},
        TOGETHER: score(places),
        **{name: sign_of(name, places) for name in LATER},
    }

    def r2(name: str, whole: bool = False) -> Estimate | None:
        if name == KIND:
            return None if whole else kind_r2(installs(m, places), outcome, apart)
        return left_out_r2(readings[name][:, None], outcome, apart, whole=whole)

    directions = {name: "+" if one.direction > 0 else "−" for name, one in REGISTERED.items()}
    predicted = {**directions, TOGETHER: "+", **dict.fromkeys(LATER, "later")}
    return table(
        "What foretells transfer",
        "Spearman's correlation over settings of each sign with transfer (the rise of the alternate behaviour at the highest rate, "
        "less the larger rise under the controls), R² for settings that the forecast has not seen, R² for settings of separators that "
        "it has not seen, and the correlation with the rise whatever the controls do; intervals over settings and over separators, the "
        "wider one. All together: the registered forecast, the mean of the standardised signs. Later: found in some of these settings.",
        {(name, PREDICTED[name].about if name in PREDICTED else ""): name for name in (*readings, KIND)},
        {
            "predicted": predicted.get,
            "correlation": lambda name: None if name == KIND else rank_correlation(readings[name], outcome, apart),
            "R² left out": r2,
            "R², separators left out": partial(r2, whole=True),
            "with the plain rise": lambda name: (
                None if name == KIND else rank_correlation(readings[name], plain, apart)
            ),
        },
        first=("sign", "what it is"),
    )


def predicted_against_real(m: Measured) -> CurveView:
    """The forecast of each setting from the other settings, and what came."""
    places, outcome = outcomes(m)
    foretold_ = forecast(score(places)[:, None], outcome)
    kinds = installs(m, places)
    series = []
    for kind in dict.fromkeys(kinds):
        rows = sorted((100 * float(foretold_[n]), n) for n, one in enumerate(kinds) if one == kind)
        rates = [beyond_controls(m, places[n]).estimate for _, n in rows]
        names = [str(places[n]["setting"]) for _, n in rows]
        series.append(SeriesView(name=kind, x=[x for x, _ in rows], rates=rates, names=names))
    return CurveView(
        title="Transfer, foretold and real",
        caption="A point for each setting: what the registered signs foretell from the other settings, and what came, with the seeds.",
        x_label="foretold from the other settings, in points",
        y_label="transfer",
        joined=False,
        series=series,
    )


def linearised(m: Measured) -> Iterator[CurveView | Note | None]:
    """The rise of the log-odds by learning rate, in the network and in the linearised one, and where the two part."""
    found = phase(m, FOLLOWED)
    lrs = sorted(found.values("lr"))
    lines = {
        f"{name}, {('network', 'linearised')[which]}": (of, which)
        for name, of in found.by("setting").items()
        for which in (0, 1)
    }
    yield CurveView(
        title="The network and its linearisation",
        caption="Rise of the log-odds of the alternate against the initial behaviour by the last step, in nats.",
        x_label="learning rate",
        y_label="rise of the log-odds",
        log_x=True,
        series=[
            SeriesView(name=name, x=lrs, rates=[_rise(of.only(lr=lr), which) for lr in lrs])
            for name, (of, which) in lines.items()
        ],
    )
    errors = {lr: error_at(found, lr) for lr in lrs}
    yield CurveView(
        title="Where linearisation fails",
        caption="Length of the error of the linearised network's forecast, as a share of the move itself; above 0.5 we call it failed.",
        x_label="learning rate",
        y_label="error of the forecast",
        log_x=True,
        series=[SeriesView(name="all followed settings", x=lrs, rates=list(errors.values()))],
    )
    failing = fails_from(lrs, [errors[lr].value for lr in lrs])
    yield Note(
        "The linearised network foretells the log-odds within half of their move at every rate that was followed."
        if failing is None
        else f"From a learning rate of {failing:g} on, the linearised network misses the log-odds by more than half of their move."
    )


def _rise(place: Place, which: int) -> Estimate:
    table = followed(place, which)
    by_seed, n = table.mean(axis=1), table.shape[1]
    return average_over(by_seed, (table - by_seed[:, None]) / n, n=n).in_unit("plain")


OVERLAPS = tuple(k / 10 for k in range(11))
DISTANCES = (0.25, 0.5, 1.0, 4.0)


def regression(m: Measured) -> CurveView:
    """Linear regression from a non-zero start: how far training on one input moves another, exactly."""
    phase(m, "settings").having(SIGNS)

    def moved(cosine: float, distance: float) -> Estimate:
        weights = descended([[1.0, 0.0]], [1.0], [0.0, 0.0], lr=0.05, steps=round(distance / 0.05))
        share = float(np.array([cosine, np.sqrt(1 - cosine**2)]) @ weights)
        return Estimate(share, share, share, 1, "exact")

    return CurveView(
        title="Transfer in linear regression",
        caption="A linear model is trained on one input and asked about another: share of the way from the initial to the alternate "
        "behaviour, by the cosine between the two inputs and by learning rate × steps. What the train input does not span stays.",
        x_label="overlap of train and evaluation input",
        y_label="share of the way",
        series=[
            SeriesView(
                name=f"rate × steps = {distance:g}", x=list(OVERLAPS), rates=[moved(one, distance) for one in OVERLAPS]
            )
            for distance in DISTANCES
        ],
    )


def registered(m: Measured) -> Note:
    """The hash of the registration."""
    phase(m, "settings").having(SIGNS)
    told = "; ".join(
        f"{name} ({'more' if one.direction > 0 else 'less'} transfer, since {one.why})"
        for name, one in REGISTERED.items()
    )
    later = "; ".join(f"{name}, the {one.about}" for name, one in LATER.items())
    return Note(
        f"Registered before the runs, sha256 {registration()}: {OUTCOME}. Signs: {told}. Registered later, for settings that were not "
        f"run by then, sha256 {registration(LATER)}: {later}."
    )


FORETOLD_SHOWS = (signs, predicted_against_real, linearised, regression, registered)
