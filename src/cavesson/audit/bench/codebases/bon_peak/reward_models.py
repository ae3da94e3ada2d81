"""Proxy reward models: random ReLU features with a Bradley-Terry head, and ensembles of them."""
import numpy as np

from comparisons import resample


def draw_features(dim, cfg, rng):
    w = cfg['input_gain'] * rng.normal(size=(dim, cfg['features'])) / np.sqrt(dim)
    b = rng.normal(size=cfg['features'])
    return w, b


def apply_features(feats, x):
    w, b = feats
    return np.maximum(x @ w + b, 0.0)


def fit_head(feats, data, cfg):
    """Newton's method on the L2-penalised Bradley-Terry likelihood (logistic regression on feature differences)."""
    d = apply_features(feats, data['a']) - apply_features(feats, data['b'])
    y, n = data['first_wins'], len(data['first_wins'])
    theta = np.zeros(d.shape[1])
    for _ in range(cfg['newton_steps']):
        p = 1.0 / (1.0 + np.exp(-d @ theta))
        grad = d.T @ (p - y) / n + cfg['l2'] * theta
        hess = (d * (p * (1 - p))[:, None]).T @ d / n + cfg['l2'] * np.eye(len(theta))
        theta -= np.linalg.solve(hess, grad)
    return theta


def train_members(data, cfg, count, rng):
    """A list of reward models, each a dict with what `score` needs.

    Rewards of a Bradley-Terry model have no natural zero or unit, so every member is put on the scale of
    the answers in the comparisons (mean 0, standard deviation 1) before members are combined.
    """
    dim = data['a'].shape[1]
    answers = np.concatenate([data['a'], data['b']])
    members = []
    for _ in range(count):
        feats = draw_features(dim, cfg, rng)
        theta = fit_head(feats, resample(data, rng), cfg)
        raw = apply_features(feats, answers) @ theta
        members.append({'feats': feats, 'theta': theta, 'mean': raw.mean(), 'std': raw.std()})
    return members


def score(member, x):
    return (apply_features(member['feats'], x) @ member['theta'] - member['mean']) / member['std']


def agreement(member, data):
    """Share of comparisons that the reward model orders as the annotator did."""
    first = score(member, data['a']) > score(member, data['b'])
    return float(np.mean(first == (data['first_wins'] > 0.5)))
