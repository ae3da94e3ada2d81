import numpy as np

from calib.policy import log_softmax


def accuracy(logits, y):
    return float((logits.argmax(axis=1) == y).mean())


def mean_confidence(logits):
    return float(np.exp(log_softmax(logits)).max(axis=1).mean())


def negative_log_likelihood(logits, y):
    return float(-log_softmax(logits)[np.arange(len(y)), y].mean())


def expected_calibration_error(logits, y, bins):
    """Gap between accuracy and confidence, averaged over equally wide bins of confidence, weighted by their share."""
    confidence = np.exp(log_softmax(logits)).max(axis=1)
    correct = logits.argmax(axis=1) == y
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return float(total)


def best_temperature(logits, y, grid):
    """The temperature on the grid with the smallest negative log-likelihood."""
    temperatures = np.exp(np.linspace(grid.low, grid.high, grid.count))
    losses = [negative_log_likelihood(logits / t, y) for t in temperatures]
    return float(temperatures[int(np.argmin(losses))])


def reliability(logits, y, bins):
    """[(mean confidence, accuracy, share)] of the bins that are not empty."""
    confidence = np.exp(log_softmax(logits)).max(axis=1)
    correct = logits.argmax(axis=1) == y
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for b in np.unique(index):
        inside = index == b
        rows.append((float(confidence[inside].mean()), float(correct[inside].mean()), float(inside.mean())))
    return rows
