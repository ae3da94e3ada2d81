"""How well signs that are known before a training foretell what it does, over settings that the forecast has not seen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from cavesson.estimate import Estimate
from cavesson.stats import at_confidence, error_of

Array = NDArray[np.float64]

FEWEST = 5
"""Settings below which nothing is said."""

Groups = Sequence[Hashable] | None
"""What each setting shares with others: settings of one group may move together, so that they are no independent evidence. An interval
is then taken over groups as well as over settings, and the wider one counts. None: settings are independent."""

PENALTY = 1.0
"""Of the ridge regression on standardised signs, in settings: as if one setting more said that no sign matters."""


def forecast(signs: ArrayLike, outcomes: ArrayLike, left_out: Groups = None) -> Array:
    """For each setting the outcome that a ridge regression on the *other* settings foretells, `[settings]`.

    Args:
        signs: `[settings, signs]`; without signs, the forecast is the mean of the other settings.
        outcomes: `[settings]`.
        left_out: groups, of which the whole one is left out that a setting belongs to; None: the setting alone.
    """
    x, y = np.asarray(signs, dtype=float), np.asarray(outcomes, dtype=float)
    found = np.empty(len(y))
    for out, rest in enumerate(_others(len(y), left_out)):
        middle, spread = x[rest].mean(axis=0), x[rest].std(axis=0)
        spread = np.where(spread > 1e-12, spread, np.inf)  # a sign that is the same everywhere says nothing
        z = (x[rest] - middle) / spread
        weights = np.linalg.solve(z.T @ z + PENALTY * np.eye(x.shape[1]), z.T @ (y[rest] - y[rest].mean()))
        found[out] = y[rest].mean() + (x[out] - middle) / spread @ weights
    return found


def _others(n: int, left_out: Groups) -> NDArray[np.bool_]:
    """For each setting which others it is foretold from, `[settings, settings]`: those of other groups."""
    groups = list(range(n)) if left_out is None else list(left_out)
    return np.array([[one != two for two in groups] for one in groups], dtype=bool).reshape(n, n)


def by_kind(kinds: Sequence[str], outcomes: ArrayLike) -> Array:
    """For each setting the mean outcome of the other settings of its kind, or of all others where there are none, `[settings]`."""
    y, kind = np.asarray(outcomes, dtype=float), np.asarray(kinds)
    found = np.empty(len(y))
    for out in range(len(y)):
        others = np.arange(len(y)) != out
        same = others & (kind == kind[out])
        found[out] = y[same if same.any() else others].mean()
    return found


def explained(foretold: ArrayLike, outcomes: ArrayLike, left_out: Groups = None) -> float:
    """R² of forecasts for left-out settings: 1 for exact forecasts, 0 for no better than the mean of the other settings, else below 0.

    Args:
        left_out: as of `forecast`.
    """
    f, y = np.asarray(foretold, dtype=float), np.asarray(outcomes, dtype=float)
    blind = np.array([one - y[rest].mean() for one, rest in zip(y, _others(len(y), left_out), strict=True)])
    total = float(np.square(blind).sum())
    return 1 - float(np.square(y - f).sum()) / total if total else 0.0


def left_out_r2(signs: ArrayLike, outcomes: ArrayLike, groups: Groups = None, *, whole: bool = False) -> Estimate:
    """Leave-settings-out R² of a ridge regression on signs, with an interval over settings (jackknife).

    Args:
        signs: `[settings, signs]`.
        outcomes: `[settings]`.
        groups: of each setting.
        whole: leave a setting's whole group out, so that nothing is foretold from settings that share its cause.

    Raises:
        ValueError: there are fewer than `FEWEST` settings or groups.
    """
    x, y = np.asarray(signs, dtype=float), np.asarray(outcomes, dtype=float)

    def of(kept: NDArray[np.int_]) -> float:
        out = [groups[k] for k in kept] if whole and groups is not None else None
        return explained(forecast(x[kept], y[kept], out), y[kept], out)

    what = "leave-groups-out R²" if whole else "leave-settings-out R²"
    return _jackknife(of, len(y), what, groups).clipped((-np.inf, 1.0))


def kind_r2(kinds: Sequence[str], outcomes: ArrayLike, groups: Groups = None) -> Estimate:
    """Leave-settings-out R² of the kind of setting alone (`by_kind`), with an interval over settings (jackknife).

    Args:
        kinds: of each setting.
        outcomes: `[settings]`.
        groups: of each setting.

    Raises:
        ValueError: there are fewer than `FEWEST` settings or groups.
    """
    y, kind = np.asarray(outcomes, dtype=float), np.asarray(kinds)

    def of(kept: NDArray[np.int_]) -> float:
        return explained(by_kind(list(kind[kept]), y[kept]), y[kept])

    return _jackknife(of, len(y), "leave-settings-out R²", groups).clipped((-np.inf, 1.0))


def better_than_kind(signs: ArrayLike, kinds: Sequence[str], outcomes: ArrayLike, groups: Groups = None) -> Estimate:
    """Leave-settings-out R² of a ridge regression on signs, less that of the kind of setting alone (`by_kind`), over the same settings.

    Args:
        signs: `[settings, signs]`.
        kinds: of each setting.
        outcomes: `[settings]`.
        groups: of each setting.

    Raises:
        ValueError: there are fewer than `FEWEST` settings or groups.
    """
    x, y, kind = np.asarray(signs, dtype=float), np.asarray(outcomes, dtype=float), np.asarray(kinds)

    def gain(kept: NDArray[np.int_]) -> float:
        alone = by_kind(list(kind[kept]), y[kept])
        return explained(forecast(x[kept], y[kept]), y[kept]) - explained(alone, y[kept])

    return _jackknife(gain, len(y), "difference of leave-settings-out R²", groups)


def rank_correlation(sign: ArrayLike, outcomes: ArrayLike, groups: Groups = None) -> Estimate:
    """Spearman's correlation between a sign and the outcome over settings, with an interval over settings.

    The interval is Bonett and Wright's (2000): Fisher's z with the variance (1 + r²/2) / (n - 3), and Student's t. With groups, it is at
    least as wide as that of the jackknife of Fisher's z over groups.

    Args:
        sign: `[settings]`.
        outcomes: `[settings]`.
        groups: of each setting.

    Raises:
        ValueError: there are fewer than `FEWEST` settings or groups.
    """
    x, y = np.asarray(sign, dtype=float), np.asarray(outcomes, dtype=float)
    n = len(x)
    _enough(n)

    def fisher(kept: NDArray[np.int_]) -> float:
        return _fishers_z(float(_ranks_alike(x[kept], y[kept])), len(kept))

    r = float(_ranks_alike(x, y))
    apart = 0.0 if groups is None else _left_out_in_turn(fisher, n, groups)
    return _bonett_wright(r, n, "settings", _or_over(groups), apart)


def _bonett_wright(r: float, n: int, what: str, further: str = "", least: float = 0.0) -> Estimate:
    """Bonett and Wright's interval, but at least of a half-width on the scale of Fisher's z."""
    z, half = _fishers_z(r, n), max(least, _t(n - 2) * float(np.sqrt((1 + r * r / 2) / (n - 3))))
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    method = f"Spearman over {n} {what}, Bonett and Wright{further}{at_confidence(0.95)}"
    return Estimate(r, min(low, r), max(high, r), n, method, unit="plain", replicates=n)


def _fishers_z(r: float, n: int) -> float:
    """Fisher's z of a rank correlation over n things. Perfect agreement, where z is infinite, counts as half-way to the next value that
    a rank correlation can take (a continuity correction): five things agree perfectly a quarter of the time where the truth is .9."""
    most = 1 - 6 / (n**3 - n)
    return float(np.arctanh(np.clip(r, -most, most)))


def error_of_forecast(foretold: ArrayLike, moved: ArrayLike) -> float:
    """The length of the forecast's error divided by the length of the move itself: 0 for an exact forecast, 1 for that of no move.

    Args:
        foretold: moves, of any shape.
        moved: the moves that came, in the same shape.
    """
    f, m = np.asarray(foretold, dtype=float).ravel(), np.asarray(moved, dtype=float).ravel()
    return float(np.linalg.norm(f - m) / np.linalg.norm(m)) if m.any() else float("inf")


def fails_from(lrs: Sequence[float], errors: Sequence[float], bound: float = 0.5) -> float | None:
    """The learning rate from which on the errors of a forecast (`error_of_forecast`) stay above a bound; None: not even the highest does.

    Args:
        lrs: rising learning rates.
        errors: of the forecast at each.
    """
    failing = None
    for lr, error in sorted(zip(lrs, errors, strict=True), reverse=True):
        if error <= bound:
            break
        failing = lr
    return failing


def _jackknife(statistic: Callable[[NDArray[np.int_]], float], n: int, what: str, groups: Groups) -> Estimate:
    """A statistic of settings with the jackknife's interval: each setting left out in turn, or each group, whichever is wider."""
    _enough(n)
    value = statistic(np.arange(n))
    half = max(_left_out_in_turn(statistic, n, parts) for parts in (range(n), groups) if parts is not None)
    method = f"{what} over {n} settings, jackknife{_or_over(groups)}{at_confidence(0.95)}"
    return Estimate(value, value - half, value + half, n, method, unit="plain", replicates=n)


def _left_out_in_turn(statistic: Callable[[NDArray[np.int_]], float], n: int, groups: Sequence[Hashable]) -> float:
    """Half the width of the jackknife's interval for a statistic of n settings: each group left out in turn."""
    out = list(dict.fromkeys(groups))
    count = len(out)
    _enough(count, "groups of settings")
    without = np.array([statistic(np.array([k for k in range(n) if groups[k] != one])) for one in out])
    return _t(count - 1) * float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum()))


def _or_over(groups: Groups) -> str:
    return "" if groups is None else f" or jackknife over {len(set(groups))} groups, whichever is wider"


def _enough(n: int, what: str = "settings") -> None:
    if n < FEWEST:
        raise ValueError(f"{n} {what} are too few to say what foretells; at least {FEWEST} are needed")


def _t(freedom: int) -> float:
    return float(stdtrit(freedom, 1 - error_of(0.95) / 2))


# ----------------------------------------------------------------------------------------------- approaches that rank the same things


FEWEST_RESAMPLED = 7
"""Things below which the bootstrap's interval is too narrow: of five things it covers 73 to 86 %, of six 87 to 92 %."""

RESAMPLES = 2000
"""Samples of the bootstrap, whose generator is always seeded alike: no verdict depends on the draw."""


def resampled_rank_correlation(one: ArrayLike, two: ArrayLike, what: str = "things") -> Estimate:
    """Spearman's correlation between two ways to rate the same things, the things resampled (percentile bootstrap).

    With fewer than `FEWEST_RESAMPLED` things, or where every sample agrees perfectly, the interval is Bonett and Wright's.

    Args:
        one, two: `[things]`, or `[pairs of ways, things]` for the mean over several pairs of ways.
        what: the things are, in the plural.

    Raises:
        ValueError: there are fewer than `FEWEST` things.
    """
    from scipy.stats import bootstrap

    x, y = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (one, two))
    n = x.shape[1]
    _enough(n)

    def correlation(drawn: NDArray[np.int_], axis: int = -1) -> Array:
        return np.asarray(_ranks_alike(x[:, drawn], y[:, drawn]).mean(axis=0))

    found = bootstrap(
        (np.arange(n),),
        correlation,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        confidence_level=1 - error_of(0.95),
        random_state=np.random.default_rng(0),
    ).confidence_interval
    value = float(correlation(np.arange(n)))
    if n < FEWEST_RESAMPLED or found.low == found.high:
        return _bonett_wright(value, n, what)
    method = f"Spearman over {n} {what}, resampled (percentile){at_confidence(0.95)}"
    low, high = min(float(found.low), value), max(float(found.high), value)
    return Estimate(value, low, high, n, method, unit="plain", replicates=n)


def _ranks_alike(one: Array, two: Array) -> Array:
    """Spearman's correlation along the last axis; 0 where one of the two does not vary."""
    from scipy.stats import rankdata

    a, b = (rankdata(part, axis=-1) - (part.shape[-1] + 1) / 2 for part in (one, two))
    lengths = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray(np.divide((a * b).sum(axis=-1), lengths, out=np.zeros_like(lengths), where=lengths > 0))


def bits(correlation: float) -> float:
    """Bits that one rating says about the other per thing, for a rank correlation, if their copula is Gaussian: -log2(1 - ρ²) / 2."""
    linear = 2 * np.sin(np.pi * np.clip(correlation, -0.9999, 0.9999) / 6)
    return float(-0.5 * np.log2(1 - linear**2))
