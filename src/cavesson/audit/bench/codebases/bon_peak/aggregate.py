"""Average results/seed*/results.json into results/mean_std.json and draw results/gold.svg."""
import glob
import json
import os

from plot import svg_curves

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'results')


def walk(items):
    if isinstance(items[0], dict):
        return {k: walk([i[k] for i in items]) for k in items[0]}
    m = sum(items) / len(items)
    s = (sum((i - m) ** 2 for i in items) / len(items)) ** 0.5
    return {'mean': round(m, 5), 'std': round(s, 5)}


def only_means(node):
    return node['mean'] if 'mean' in node and 'std' in node else {k: only_means(v) for k, v in node.items()}


if __name__ == '__main__':
    runs = []
    for name in sorted(glob.glob(os.path.join(here, 'seed*', 'results.json'))):
        with open(name) as f:
            runs.append(json.load(f))
    table = walk(runs)
    with open(os.path.join(here, 'mean_std.json'), 'w') as f:
        json.dump(table, f, indent=1)
        f.write('\n')
    gold = {arm: {n: v['mean'] for n, v in curve.items()} for arm, curve in table['gold'].items()}
    svg_curves(gold, os.path.join(here, 'gold.svg'))
