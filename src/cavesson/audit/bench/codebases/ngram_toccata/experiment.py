#!/usr/bin/env python3
"""
usage: experiment.py SEED OUTDIR

For each size of the training corpus: count, tune each smoother on the development set, test.
"""
import json
import os
import sys

import corpus
import lm
import plot

SIZES = [300, 1000, 3000]       # training sentences
DEV, TEST = 280, 600
MIN_COUNT = 2


def tune(cls, counts, V, dev):
    """the setting with the lowest perplexity on dev"""
    best = None
    for kw in lm.GRIDS[cls.name]:
        pp = lm.perplexity(cls(counts, V, **kw), dev)
        if best is None or pp < best[0]:
            best = (pp, kw)
    return best


def seen_split(model, counts, sents):
    """perplexity of predictions whose bigram was / was not in training"""
    import math
    lp, n = {'seen': 0.0, 'unseen': 0.0}, {'seen': 0, 'unseen': 0}
    for s in sents:
        ws = lm.words_with_ends(s)
        for a, b in zip(ws, ws[1:]):
            k = 'seen' if counts.bi.get(a, {}).get(b) else 'unseen'
            lp[k] += math.log(model.p(b, a))
            n[k] += 1
    return {k: math.exp(-lp[k] / max(n[k], 1)) for k in lp}, n['unseen'] / (n['seen'] + n['unseen'])


def run(seed):
    lang = corpus.Language(seed)
    train_all = lang.sample(max(SIZES), seed * 1000 + 1)
    dev = lang.sample(DEV, seed * 1000 + 2)
    test = lang.sample(TEST, seed * 1000 + 3)
    res = {'perplexity': {}, 'dev': {}, 'setting': {}, 'unseen': {}, 'by_seen': {}, 'corpus': corpus.describe(train_all)}
    for size in SIZES:
        train = train_all[:size]
        vocab = lm.Vocab(train, MIN_COUNT)
        tr, dv, te = ([vocab.map(s) for s in x] for x in (train, dev, test))
        counts = lm.Counts(tr)
        key = str(size)
        for part in ('perplexity', 'dev', 'setting', 'by_seen'):
            res[part][key] = {}
        for cls in lm.SMOOTHERS:
            pp, kw = tune(cls, counts, vocab.size, dv)
            model = cls(counts, vocab.size, **kw)
            lm.check_sums(model, vocab, [lm.BOS, tr[0][0]])
            res['perplexity'][key][cls.name] = lm.perplexity(model, te)
            res['dev'][key][cls.name] = pp
            res['setting'][key][cls.name] = list(kw.values())[0]
            res['by_seen'][key][cls.name], res['unseen'][key] = seen_split(model, counts, te)
    return res


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    seed, outdir = int(sys.argv[1]), sys.argv[2]
    res = run(seed)
    os.makedirs(outdir, exist_ok=True)
    with open(os.path.join(outdir, 'results.json'), 'w') as f:
        json.dump(res, f, indent=2)
        print(file=f)
    plot.bars(res['perplexity'], os.path.join(outdir, 'perplexity.svg'))
    for size, pp in res['perplexity'].items():
        print(size.rjust(6), '  '.join('%s %.2f' % x for x in pp.items()), ' unseen %.3f' % res['unseen'][size])


if __name__ == '__main__':
    main()
