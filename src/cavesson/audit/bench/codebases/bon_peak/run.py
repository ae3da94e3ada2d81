import argparse
import csv
import json
import os

from experiment import ARMS, run
from plot import svg_curves

ap = argparse.ArgumentParser()
ap.add_argument('--seed', type=int, default=0)
ap.add_argument('--out', default='out')
ap.add_argument('--config', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), 'config.json'))


def main():
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    with open(args.config) as f:
        cfg = json.load(f)
    results, chosen = run(cfg, args.seed)
    with open(os.path.join(args.out, 'results.json'), 'w') as f:
        json.dump(results, f, indent=1)
        f.write('\n')
    # what each arm picks from the whole pool: label = gold reward, prediction = proxy score
    with open(os.path.join(args.out, 'predictions.csv'), 'w', newline='') as f:
        out = csv.writer(f, lineterminator='\n')
        out.writerow(['arm', 'seed', 'split', 'index', 'label', 'prediction'])
        out.writerows([*row[:4], f'{row[4]:.4f}', f'{row[5]:.4f}'] for row in chosen)
    svg_curves(results['gold'], os.path.join(args.out, 'gold.svg'))

    print('gold reward'.ljust(14) + ''.join(f'n={n}'.rjust(9) for n in cfg['best_of']))
    for arm in ARMS:
        print(arm.ljust(14) + ''.join(f'{results["gold"][arm][str(n)]:9.3f}' for n in cfg['best_of']))
    print(f'agreement of a reward model with fresh comparisons: {results["agreement"]:.3f}')


if __name__ == '__main__':
    main()
