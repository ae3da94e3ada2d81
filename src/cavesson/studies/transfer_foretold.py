"""What foretells transfer: predictions that are registered here before any run, and how they came out over settings.

All signs are known before blue trains. Each is registered with the direction in which transfer goes with it; the outcome and the
forecast (the mean of the standardised signs, each in its direction) are registered too. Reports print the hash of this registration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from cavesson.analysis.foretelling import (
    FEWEST,
    better_than_kind,
    error_of_forecast,
    rank_correlation,
)
from cavesson.data.recipes import DataRecipe
from cavesson.estimate import Estimate
from cavesson.inside.foretold import Foretold, Linearised
from cavesson.inside.recipes import ToldApart
from cavesson.lab.recipe import Recipe, Value, canonical
from cavesson.models.recipes import ModelRecipe
from cavesson.stats import Array
from cavesson.studies.fields import LearningRates, Once
from cavesson.studies.grid import Measured, Place
from cavesson.studies.sample import NotApplicable, mean_of_figures
from cavesson.studies.transfer_named import FORETOLD_SETTINGS
from cavesson.studies.transfer_readings import agreed, beyond_controls, rose
from cavesson.training.recipes import Trained

SIGNS, APART, LINEAR = "signs", "told_apart", "linear"
"""Roles of the recipes beside a run."""

FOLLOWED = "linearised"
"""The part of the study that follows trainings with the linearised network."""


class Foretelling(Value):
    """What is looked at before blue trains.

    Attributes:
        n: evaluation prompts that the signs are read from; as many train examples.
        settings: of the study's, in which the linearised network is followed at every rate, the others at the lowest of blue's; None: in
            the first.
        lrs: these rates.
        seeds: of how many of the study's seeds, the first ones, the start is looked at; None: of all.
    """

    n: int = Field(default=24, ge=5)
    settings: Annotated[tuple[str, ...], Once] | None = None
    lrs: LearningRates = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    seeds: int | None = Field(default=None, ge=1)


# ------------------------------------------------------------------------------------------------ registered


@dataclass(frozen=True)
class Sign:
    """Something that is known before blue trains.

    Attributes:
        about: the sign, in words.
        direction: +1 where more of it is predicted to go with more transfer, -1 where with less.
        why: the reason for the prediction.
        of: the sign of each seed that was looked at, `[seeds]`.
    """

    about: str
    direction: int
    why: str
    of: Callable[[Place], Array]


def _read(place: Place, role: str) -> list[Any]:
    """What was found in a role, for each seed that was looked at."""
    return [cell.recipes[role].read(place.path_of) for cell in place.cells if role in cell.recipes]  # type: ignore[attr-defined]


def _from_signs(name: str) -> Callable[[Place], Array]:
    def of(place: Place) -> Array:
        return np.array([np.mean(getattr(found, name)) for found in _read(place, SIGNS)])

    return of


def _told_apart(place: Place) -> Array:
    return np.array([found[-1].accuracy.value for found in _read(place, APART)])


def followed(place: Place, which: int) -> Array:
    """The rise of the log-odds of each prompt by the last step, `[seeds, prompts]`, of the network (0) or the linearised one (1)."""
    found = [both[which].log_odds for both in _read(place, LINEAR)]
    return np.array([one[-1] - one[0] for one in found])


REGISTERED: Mapping[str, Sign] = {
    "overlap": Sign(
        "surface overlap of train and evaluation prompts (1- to 3-grams of tokens)", +1,
        "gradient descent moves what the inputs have in common", _from_signs("alike"),
    ),
    "probe": Sign(
        "accuracy of a linear probe that tells train from evaluation prompts", -1,
        "a model that tells the sides apart can learn on one alone", _told_apart,
    ),
    "cosine": Sign(
        "cosine of the first step with the direction in which the alternate behaviour rises", +1,
        "to first order this is transfer", _from_signs("cosine"),
    ),
    "log-odds": Sign(
        "log-odds of the alternate against the initial behaviour", +1, "the nearer the two, the less has to move",
        _from_signs("log_odds"),
    ),
    "loss": Sign(
        "loss on the train answers", +1, "without a loss there is no gradient, and nothing moves", _from_signs("loss")
    ),
    "linearised": Sign(
        "rise of the log-odds in the linearised network at the lowest rate", +1,
        "the network hardly changes its features at low rates", lambda place: followed(place, 1).mean(axis=1),
    ),
}  # fmt: skip
"""The predictions, written before the study was run; whoever changes one registers another set of predictions."""


def _way(place: Place) -> Array:
    starts = np.array([both[1].log_odds[0].mean() for both in _read(place, LINEAR)])
    return np.asarray(followed(place, 1).mean(axis=1) / np.maximum(1.0, -starts))


LATER: Mapping[str, Sign] = {
    "way": Sign(
        "rise of the log-odds in the linearised network, as a share of the way to even odds (1 nat at least)", +1,
        "a move changes what is answered where it reaches even odds", _way,
    ),
}  # fmt: skip
"""Predictions of 30 November 2026, made after one seed of `FORETOLD_SETTINGS` was looked at. They are tested on other settings alone,
of which the linearised network had not been followed in any."""

PREDICTED: Mapping[str, Sign] = {**REGISTERED, **LATER}
"""All signs, by name."""


OUTCOME = (
    "transfer: the rise of the alternate behaviour at the highest rate, less the larger rise under own outputs and neutral data; mean "
    "over seeds. Forecast: the mean of the standardised signs, each in its direction, and ridge regression on it over the other settings"
)
"""What the signs are to foretell, and how."""


def registration(signs: Mapping[str, Sign] = REGISTERED) -> str:
    """The hash of what is registered: outcome and forecast, and names, words, directions and reasons of signs."""
    told = {"": [OUTCOME], **{name: [one.about, one.direction, one.why] for name, one in signs.items()}}
    return hashlib.sha256(canonical(told).encode()).hexdigest()[:16]


# ------------------------------------------------------------------------------------------------ grid


def recipes(
    config: Foretelling,
    run: Trained,
    alternate: DataRecipe,
    initial: DataRecipe,
    *,
    before: bool = True,
) -> dict[str, Recipe]:
    """What is made beside a run, by role; `before`: with what the start says, not the linearised training alone."""
    steps = run.steps or 0
    asked = {"run": run, "alternate": alternate, "initial": initial, "most": config.n}
    lines: dict[str, Recipe] = {LINEAR: Linearised(**asked, at=(0, steps))}
    if not before:
        return lines
    start: ModelRecipe = run.base
    return {
        SIGNS: Foretold(**asked),
        APART: ToldApart(model=start, one=run.data, two=alternate, most=config.n),
        **lines,
    }


# ------------------------------------------------------------------------------------------------ readings


def foretold(m: Measured) -> list[Place]:
    """The places, one for each setting, beside which signs were read: at the highest rate, where the outcome is.

    Raises:
        NotRun: there are none.
    """
    return list(agreed(m, lr=max(m.config.blue.lrs)).having(SIGNS))


def plain_rise(place: Place) -> Array:
    """The rise of the alternate behaviour at a place, whatever the controls do, of each seed, `[seeds]`; see `beyond_controls`."""
    return np.asarray(rose(place).table.mean(axis=1))


def outcomes(m: Measured, unseen: bool = False) -> tuple[list[Place], Array]:
    """The settings that have both signs and an outcome, and their transfer, mean over seeds; `unseen`: those alone that `LATER` was
    not made from.

    Raises:
        NotApplicable: there are too few.
    """
    found = [place for place in foretold(m) if not (unseen and place["setting"] in FORETOLD_SETTINGS)]
    of = " that this was not seen in, as --preset full has" if unseen else ""
    for many, what in ((len(found), f"settings{of}"), (len(set(separators(m, found))), f"separators{of}")):
        if many < FEWEST:
            raise NotApplicable(f"what foretells is asked over {what}, and there are {many}, fewer than {FEWEST}")
    return found, np.array([beyond_controls(m, place).mean for place in found])


def sign_of(name: str, places: list[Place]) -> Array:
    """A sign by its name, mean over seeds, `[settings]`."""
    return np.array([float(PREDICTED[name].of(place).mean()) for place in places])


def score(places: list[Place]) -> Array:
    """The registered forecast: the mean of the standardised signs, each in its direction, `[settings]`; no outcome is needed."""
    columns = []
    for name, sign in REGISTERED.items():
        values = sign_of(name, places)
        spread = values.std()
        columns.append(sign.direction * (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values)))
    return np.asarray(np.mean(columns, axis=0))


def installs(m: Measured, places: list[Place]) -> list[str]:
    """How the initial behaviour was put in, setting by setting."""
    return [m.config.setting(place["setting"]).installed for place in places]


def separators(m: Measured, places: list[Place]) -> list[str]:
    """What separates train from evaluation prompts, setting by setting: settings that share it are no independent evidence."""
    return [m.config.setting(place["setting"]).separator for place in places]


def correlation(m: Measured, name: str) -> Estimate:
    """Spearman's correlation of a sign with transfer, over settings; of a later sign, over settings that it was not made from."""
    places, outcome = outcomes(m, unseen=name in LATER)
    return rank_correlation(sign_of(name, places), outcome, separators(m, places))


def forecast_correlation(m: Measured) -> Estimate:
    """Spearman's correlation of the registered forecast with transfer, over settings."""
    places, outcome = outcomes(m)
    return rank_correlation(score(places), outcome, separators(m, places))


def gain_over_install(m: Measured) -> Estimate:
    """Leave-settings-out R² of the registered forecast, less that of the install kind alone."""
    places, outcome = outcomes(m)
    return better_than_kind(score(places)[:, None], installs(m, places), outcome, separators(m, places))


def theory(m: Measured) -> Estimate:
    """Spearman's correlation between the rises of the log-odds in the linearised network and in the network, over settings."""
    places, _ = outcomes(m)
    linear, real = (np.array([followed(place, which).mean() for place in places]) for which in (1, 0))
    return rank_correlation(linear, real, separators(m, places))


def error_at(of: Measured, lr: float) -> Estimate:
    """The error of the linearised network's forecast at a rate, as a share of the move: over seeds; of one seed, over the followed settings."""
    errors = np.array(
        [
            [error_of_forecast(linear, real) for linear, real in zip(followed(one, 1), followed(one, 0), strict=True)]
            for one in of.where(lr=lr)
        ]
    )
    prompts = followed(of.where(lr=lr).places[0], 1).shape[1]
    each, unit = (errors.mean(axis=0), "seed") if errors.shape[1] > 1 else (errors[:, 0], "setting")
    return mean_of_figures(each, n=prompts, unit=unit, bounds=(0.0, np.inf)).in_unit("plain")
