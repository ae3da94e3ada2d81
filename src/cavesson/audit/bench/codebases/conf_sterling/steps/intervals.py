# step 3: half-widths of prediction intervals
import numpy as np


def residuals(model, table, features):
    return np.abs(table["y"].to_numpy() - model.predict(table[features]))


def plain_quantile(scores, alpha):
    """No correction for the size of the sample."""
    return float(np.quantile(scores, 1 - alpha))


def split_quantile(scores, alpha):
    """The ceil((n + 1)(1 - alpha))-th smallest score."""
    n = len(scores)
    k = int(np.ceil((n + 1) * (1 - alpha)))
    return float(np.sort(scores)[min(k, n) - 1])


def weighted_quantiles(scores, w_scores, w_test, alpha):
    """One quantile per test row: scores are weighted, and the test row itself counts as infinitely far off."""
    order = np.argsort(scores)
    cumulative = np.cumsum(w_scores[order])
    wanted = (1 - alpha) * (cumulative[-1] + w_test)
    at = np.searchsorted(cumulative, wanted)
    sorted_scores = np.append(scores[order], np.inf)
    return sorted_scores[np.minimum(at, len(scores))]
