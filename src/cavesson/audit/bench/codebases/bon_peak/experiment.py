"""One repeat: new world, new comparisons, new ensemble, one pool; three ways to pick from it."""
import numpy as np

from best_of_n import best_of_n, kl_nats, rank_weights
from comparisons import collect
from reward_models import agreement, score, train_members
from world import gold_reward, make_world, sample_answers

ARMS = ['single', 'mean', 'pessimistic']


def one_repeat(cfg, weights, rng):
    world = make_world(cfg['world'], rng)
    data = collect(world, cfg['comparisons'], rng)
    members = train_members(data, cfg['reward_model'], cfg['ensemble']['members'], rng)
    fresh = collect(world, cfg['comparisons'], rng)

    everyone = np.arange(cfg['world']['prompts'])
    pool = sample_answers(world, everyone, cfg['sampling']['pool'], cfg['sampling']['temperature'], rng)
    gold = gold_reward(world, pool)
    scores = np.stack([score(m, pool) for m in members])
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    proxies = {'mean': mean, 'pessimistic': mean - cfg['ensemble']['pessimism'] * spread}

    curves = {'gold': {}, 'proxy': {}}
    # "single" is the average over the members of what each would do alone
    alone = [best_of_n(s, gold, weights) for s in scores]
    alone_proxy = [best_of_n(s, s, weights) for s in scores]
    curves['gold']['single'] = {n: float(np.mean([c[n] for c in alone])) for n in weights}
    curves['proxy']['single'] = {n: float(np.mean([c[n] for c in alone_proxy])) for n in weights}
    for arm, proxy in proxies.items():
        curves['gold'][arm] = best_of_n(proxy, gold, weights)
        curves['proxy'][arm] = best_of_n(proxy, proxy, weights)

    picks = {'single': scores[0], **proxies}
    chosen = []
    for arm in ARMS:
        best = picks[arm].argmax(axis=1)
        for p, i in enumerate(best):
            chosen.append([arm, p, int(i), float(gold[p, i]), float(picks[arm][p, i])])
    return curves, float(np.mean([agreement(m, fresh) for m in members])), chosen


def run(cfg, seed):
    rng = np.random.default_rng(seed)
    weights = {n: rank_weights(cfg['sampling']['pool'], n) for n in cfg['best_of']}
    repeats = [one_repeat(cfg, weights, rng) for _ in range(cfg['repeats'])]
    results = {'gold': {}, 'proxy': {}}
    for kind in results:
        for arm in ARMS:
            results[kind][arm] = {
                str(n): float(np.mean([r[0][kind][arm][n] for r in repeats])) for n in cfg['best_of']
            }
    results['agreement'] = float(np.mean([r[1] for r in repeats]))
    results['kl'] = {str(n): kl_nats(n) for n in cfg['best_of']}
    chosen = [[arm, seed, f'repeat{k}_prompt{p}', i, g, s] for k, r in enumerate(repeats) for arm, p, i, g, s in r[2]]
    return results, chosen
