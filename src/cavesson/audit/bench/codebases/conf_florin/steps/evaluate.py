# step 4: coverage and width
import numpy as np
import pandas as pd

from . import fit, intervals
from .generate import FEATURES


def half_widths(model, scale, ratio, tables, test, params):
    """Half-width of the interval of every row of a test table, by method."""
    alpha = params["alpha"]
    n_cal, n_un = len(tables["calibration"]), len(tables["unlabelled"])
    train_scores = intervals.residuals(model, tables["train"], FEATURES)
    scores = intervals.residuals(model, tables["calibration"], FEATURES)
    floor = params["scale"]["floor"]
    relative = scores / fit.scale_of(scale, tables["calibration"], floor)
    return {
        "training": np.full(len(test), intervals.plain_quantile(train_scores, alpha)),
        "split": np.full(len(test), intervals.split_quantile(scores, alpha)),
        "scaled": intervals.split_quantile(relative, alpha) * fit.scale_of(scale, test, floor),
        "weighted": intervals.weighted_quantiles(
            scores,
            fit.weights(ratio, tables["calibration"], n_cal, n_un),
            fit.weights(ratio, test, n_cal, n_un),
            alpha,
        ),
    }


def evaluate(model, scale, ratio, tables, params, repetition):
    frames = []
    for name in ("same", "shifted"):
        test = tables[name]
        errors = intervals.residuals(model, test, FEATURES)
        for method, width in half_widths(model, scale, ratio, tables, test, params).items():
            frames.append(pd.DataFrame({
                "repetition": repetition,
                "population": name,
                "method": method,
                "x1": test["x1"].to_numpy(),
                "error": errors,
                "half_width": width,
                "covered": errors <= width,
            }))
    return pd.concat(frames, ignore_index=True)


def summarise(rows):
    """Nested dictionaries: measure, population, method."""
    finite = rows.assign(half_width=rows["half_width"].replace(np.inf, np.nan))
    grouped = finite.groupby(["population", "method"])
    result = {}
    for measure, column in (("coverage", "covered"), ("half_width", "half_width")):
        means = grouped[column].mean()
        result[measure] = {p: {m: float(means[p, m]) for m in means[p].index} for p in means.index.levels[0]}
    per_rep = rows.groupby(["population", "method", "repetition"])["covered"].mean().groupby(["population", "method"]).std()
    result["coverage_sd"] = {p: {m: float(per_rep[p, m]) for m in per_rep[p].index} for p in per_rep.index.levels[0]}
    return result


def coverage_by_x1(rows, bins):
    """Coverage of split intervals in slices of x1, same population."""
    part = rows.query("population == 'same' and method == 'split'")
    slices = pd.cut(part["x1"], np.linspace(0, 1, bins + 1), include_lowest=True)
    return [float(v) for v in part.groupby(slices, observed=True)["covered"].mean()]
