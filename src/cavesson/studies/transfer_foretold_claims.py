"""The statements about what foretells transfer (`cavesson.studies.transfer_foretold`), each with its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from cavesson.analysis.claims import ClaimResult, above, at_least, at_most, below
from cavesson.studies import sources
from cavesson.studies.grid import Measured
from cavesson.studies.shown import claim
from cavesson.studies.transfer_foretold import (
    FOLLOWED,
    LATER,
    PREDICTED,
    REGISTERED,
    correlation,
    error_at,
    forecast_correlation,
    gain_over_install,
    theory,
)
from cavesson.studies.transfer_readings import phase

Test = Callable[[Measured], ClaimResult]


def _goes_with(name: str) -> Test:
    def test(m: Measured) -> ClaimResult:
        sign = PREDICTED[name]
        rule = above if sign.direction > 0 else below
        return rule(correlation(m, name), 0.2, f"the correlation over settings of transfer with the {sign.about}")

    return test


def beats_install(m: Measured) -> ClaimResult:
    """The registered forecast explains more of unseen settings than the install kind alone."""
    return above(
        gain_over_install(m),
        0.05,
        "leave-settings-out R² of the registered forecast less that of the install kind alone",
    )


def forecasts(m: Measured) -> ClaimResult:
    """The registered forecast orders the settings."""
    return above(forecast_correlation(m), 0.2, "the correlation over settings of the registered forecast with transfer")


def _error(rule: Callable[..., ClaimResult], end: Callable[[Iterable[float]], float], which: str) -> Test:
    """How far the linearised network's forecast is off at one end of the rates."""

    def test(m: Measured) -> ClaimResult:
        found = phase(m, FOLLOWED)
        said = f"the error of the linearised network's forecast at the {which} rate"
        return rule(error_at(found, end(found.values("lr"))), 0.5, said)

    return test


def theory_holds(m: Measured) -> ClaimResult:
    """Over settings, the linearised network orders the real moves."""
    return above(
        theory(m),
        0.2,
        "the correlation over settings between the linearised network's rise of the log-odds and the real one",
    )


_OURS: Any = partial(claim, source=sources.TRANSFER, published="registered here before the runs", unit="plain")

FORETOLD_CLAIMS = (
    claim(
        "overlap", "Transfer follows the surface overlap of train and evaluation prompts.", "order of the plotted conditions",
        _goes_with("overlap"), source=sources.INOCULATION, unit="plain",
    ),
    *(
        _OURS(f"foretell-{name}", f"{'More' if REGISTERED[name].direction > 0 else 'Less'} transfer goes with the {REGISTERED[name].about}.", test=_goes_with(name))
        for name in ("probe", "cosine", "log-odds", "loss", "linearised")
    ),
    _OURS("foretell-way", f"More transfer goes with the {LATER['way'].about}, in settings that this was not seen in.", test=_goes_with("way")),
    _OURS("forecast", "The registered signs order settings by their transfer.", test=forecasts),
    _OURS("forecast-install", "The registered signs foretell unseen settings better than the install kind alone.", test=beats_install),
    _OURS("theory", "Over settings, the linearised network orders the moves of the network.", test=theory_holds),
    _OURS("linear-low", "At low rates the linearised network foretells the move.", test=_error(at_most, min, "lowest")),
    _OURS("linear-high", "At high rates the linearised network does not foretell the move.", test=_error(at_least, max, "highest")),
)  # fmt: skip
