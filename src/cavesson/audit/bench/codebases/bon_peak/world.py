"""Prompts, the policy that answers them, and the gold reward.

An answer is a feature vector x in R^dim. The policy answers prompt p with
    x = mu_p + temperature * t,      t ~ multivariate Student-t,
so most answers are ordinary and a few are far out, as samples of a language model are.
"""
import numpy as np


def make_world(cfg, rng):
    taste = rng.normal(size=cfg['dim'])
    return {
        'taste': taste / np.linalg.norm(taste),
        'mu': cfg['prompt_scale'] * rng.normal(size=(cfg['prompts'], cfg['dim'])),
        'df': cfg['tail_df'],
        'limit': cfg['norm_limit'],
        'penalty': cfg['norm_penalty'],
    }


def student_t(rng, shape, df):
    z = rng.normal(size=shape)
    chi = rng.chisquare(df, size=shape[:-1] + (1,))
    return z / np.sqrt(chi / df)


def sample_answers(world, prompts, count, temperature, rng):
    """[len(prompts), count, dim]"""
    mu = world['mu'][prompts]
    dim = mu.shape[1]
    return mu[:, None, :] + temperature * student_t(rng, (len(prompts), count, dim), world['df'])


def gold_reward(world, x):
    """Linear in the taste direction, minus a Huber penalty on answers whose root-mean-square exceeds the limit."""
    rms = np.linalg.norm(x, axis=-1) / np.sqrt(x.shape[-1])
    excess = np.maximum(rms - world['limit'], 0.0)
    huber = np.where(excess < 1.0, 1.5 * excess ** 2, 3.0 * excess - 1.5)
    return x @ world['taste'] - world['penalty'] * huber
