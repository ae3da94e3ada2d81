"""Pairs of answers to the same prompt and the label of a noisy annotator (Bradley-Terry on the gold reward)."""
import numpy as np

from world import gold_reward, sample_answers


def collect(world, cfg, rng):
    n = cfg['count']
    prompts = rng.integers(0, len(world['mu']), size=n)
    pairs = sample_answers(world, prompts, 2, cfg['temperature'], rng)
    a, b = pairs[:, 0], pairs[:, 1]
    margin = gold_reward(world, a) - gold_reward(world, b)
    p_first = 1.0 / (1.0 + np.exp(-margin / cfg['annotator_noise']))
    first_wins = (rng.random(n) < p_first).astype(float)
    return {'a': a, 'b': b, 'first_wins': first_wins}


def resample(data, rng):
    i = rng.integers(0, len(data['first_wins']), size=len(data['first_wins']))
    return {k: v[i] for k, v in data.items()}
